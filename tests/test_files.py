"""Files appear whole or not at all."""

import os

import pytest

from ava_jax import files
from ava_jax.errors import UserError


@pytest.mark.parametrize("content", ["text é\n", b"\x00\xff"])
def test_a_file_is_replaced(tmp_path, content):
    path = tmp_path / "a.bin"
    path.write_text("old")
    files.replace(path, content)
    expected = content if isinstance(content, bytes) else content.encode()
    assert path.read_bytes() == expected
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_what_is_there_outlives_a_failure(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    expected = UserError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught, files.beside(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
    if expected is UserError:
        assert "a.txt cannot be written (No space left)" in str(caught.value)


def test_a_folder(tmp_path):
    path = tmp_path / "a"
    left = files.partial_path(path)  # by a process that was killed
    left.mkdir()
    (left / "half").touch()
    with files.beside(path) as partial:
        partial.mkdir()
        (partial / "whole").touch()
    assert os.listdir(tmp_path) == ["a"] and os.listdir(path) == ["whole"]
    with pytest.raises(KeyError), files.beside(path) as partial:
        partial.mkdir()
        (partial / "half").touch()
        raise KeyError
    assert os.listdir(tmp_path) == ["a"] and os.listdir(path) == ["whole"]


def test_a_folder_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "precious").touch()
    with pytest.raises(UserError, match="cannot be written"):
        files.replace(path, "text")
    with pytest.raises(UserError, match="cannot be written"), files.beside(path) as new:
        new.mkdir()
    assert os.listdir(tmp_path) == ["a"] and os.listdir(path) == ["precious"]
    with files.beside(path) as new:
        new.write_text("text")
        files.remove(path)
    assert path.read_text() == "text"


def test_several_write_at_the_same_time(tmp_path):
    path = tmp_path / "a"
    with files.beside(path, unique=True) as first:
        with files.beside(path, unique=True) as second:
            second.write_text("second")
            first.write_text("first")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="none/a.txt cannot be written"):
        files.replace(tmp_path / "none/a.txt", "")


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "abc") == expected


def test_json(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"mAP": 0.5, "names": ["é"]})
    assert files.read_json(str(path)) == {"mAP": 0.5, "names": ["é"]}
    assert path.read_text().endswith("}\n")
    path.write_text("{")
    for broken in (path, tmp_path / "none.json"):
        with pytest.raises(UserError, match=rf"{broken} cannot be read as JSON"):
            files.read_json(broken)
