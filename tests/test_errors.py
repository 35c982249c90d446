import pytest

from ava_jax.errors import join_first


@pytest.mark.parametrize(
    ("names", "expected"),
    [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c, ...")],
)
def test_join_first(names, expected):
    assert join_first(list(names)) == expected
