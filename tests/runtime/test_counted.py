import sys

from ava_jax.runtime import counted


def test_a_log_file_has_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(counted, "LINE_EVERY", 0.0)
    assert list(counted.counted("abc", 3, "movies")) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["1 of 3 movies", "2 of 3 movies", "3 of 3 movies"]


def test_a_short_loop_says_nothing_in_a_log_file(capsys):
    assert list(counted.counted("abc", 3, "movies")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(counted.counted("abc", 3, "movies")) == ["a", "b", "c"]
    assert "movies: 100%" in capsys.readouterr().err
