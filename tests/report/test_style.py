import pytest

from ava_jax.report import style


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("walk", "walk"),
        ("carry/hold (an object)", "carry/hold"),
        ("bend/bow (at the waist)", "bend/bow"),
        ("talk to (e.g., self, a person, a group)", "talk to"),
        # Pairs of AVA that only the parentheses tell apart.
        ("watch (a person)", "watch a person"),
        ("watch (e.g., TV)", "watch"),
        ("kick (a person)", "kick a person"),
        ("kick (an object)", "kick"),
        ("give/serve (an object) to (a person)", "give/serve to a person"),
        ("(e.g., nothing)", "(e.g., nothing)"),  # never empty
    ],
)
def test_short_action(name, short):
    assert style.short_action(name) == short
