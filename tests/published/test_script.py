"""`scripts/published.py`: what its commands print."""

import pathlib
import runpy

import pytest

from ava_jax import published

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/published.py"


@pytest.fixture
def script(publish, monkeypatch, capsys):
    """Runs a command on a table of two files: exit status, stdout, stderr."""
    files = (publish(digits=64, name="one")[0], publish(digits=0, name="another")[0])
    monkeypatch.setattr(published, "all_files", lambda: files)
    find = {file.name: file for file in files}.get
    fetch = published.fetch
    monkeypatch.setattr(published, "find", find)
    monkeypatch.setattr(published, "fetch", lambda name: fetch(find(name)))

    def run(*arguments):
        return runpy.run_path(str(SCRIPT))["main"](arguments), *capsys.readouterr()

    return run


def test_commands(script, tmp_path):
    one, another = (tmp_path / f"cache/published/{n}.pth" for n in ("one", "another"))
    status, out, err = script("where", "one")
    assert (status, out) == (0, f"{one}\n")
    assert "not there yet" in err and "https://download.example/models/one.pth" in err
    assert script("fetch", "one", "another")[:2] == (0, f"{one}\n{another}\n")
    assert script("where", "one") == (0, f"{one}\n", "")
    rows = script("list", "--kind=detector")[1].splitlines()
    assert [row.split()[0] for row in rows] == ["name", "one", "another"]
    assert all(row.endswith("in the cache") for row in rows[1:])
    rows = script("list", "another")[1].splitlines()
    assert [row.split()[0] for row in rows] == ["name", "another"]
    assert len(script("list", "--kind=pretrained")[1].splitlines()) == 1
    expected = f"{one}: ok\n{another}: no known checksum\n"
    assert script("verify") == (0, expected, "")
    one.write_bytes(b"half")
    status, out, err = script("verify", "one")
    assert status == 1 and out.startswith(f"{one}: found SHA-256") and "Delete" in err
    one.unlink()
    assert script("verify") == (0, expected.splitlines(keepends=True)[1], "")
    assert script("verify", "one") == (0, f"{one}: not there\n", "")


def test_nothing_to_verify_is_said(script):
    assert script("verify") == (0, "Nothing was downloaded yet.\n", "")
