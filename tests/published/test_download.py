"""Downloads into the cache, from servers with the faults of real ones."""

import os
import pathlib
import re
import resource
import subprocess
import sys
import time
import types

import pytest
from file_server import Served

from ava_jax import published
from ava_jax.errors import UserError
from ava_jax.published.download import download

WORKER = pathlib.Path(__file__).with_name("fetch_worker.py")


def assert_whole(file, served):
    assert published.cached_path(file).read_bytes() == served.content


@pytest.mark.parametrize("digits", [0, 8, 64])
def test_a_file_is_downloaded_once(publish, left, digits, tmp_path):
    file, served = publish(digits=digits)
    path = published.fetch(file)
    assert path == tmp_path / "cache/published/net.pth"
    assert_whole(file, served)
    assert published.fetch(file) == path and published.damage(file) == ""
    assert served.told == [None] and left(file) == ["net.pth"]


FAULTS = {
    "slow": {"pause": 0.002},
    "broken off": {"breaks": [30_000]},
    "broken off again and again": {"breaks": [20_000] * 4},
    "broken off before the first byte": {"breaks": [0, 0, 0]},
    "without Range": {"breaks": [30_000], "ranges": False},
    "overloaded": {"statuses": [503, 429, 500]},
    "of unknown length": {"headers": {"Content-Length": ""}},
    "an empty name of its kind": {"headers": {"Content-Type": ""}},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_not_noticed(publish, left, fault):
    file, served = publish(**FAULTS[fault])
    published.fetch(file)
    assert_whole(file, served)
    assert left(file) == ["net.pth"]


def test_only_the_rest_is_asked_for(publish):
    file, served = publish(breaks=[40_960, 20_480])
    published.fetch(file)
    starts = [int(told.strip("bytes=-")) for told in served.told[1:]]
    # At most a piece of 16 KiB that was incomplete is asked for again.
    assert len(starts) == 2 and 24_576 < starts[0] <= 40_960 < starts[1] <= 61_440


def is_resumed(file, served):
    """Whether a second start, after one that has failed, asks only for the rest."""
    with pytest.raises(UserError) as error:
        published.fetch(file)
    assert not published.cached_path(file).exists()
    served.breaks.clear()
    del served.told[:]
    published.fetch(file)
    assert_whole(file, served)
    has_said_so = "The next start resumes after the 0." in str(error.value)
    return served.told[0] is not None, has_said_so


@pytest.mark.parametrize(
    ("digits", "headers", "expected"),
    [
        (8, {}, True),
        (0, {"ETag": '"a"'}, True),
        (0, {"ETag": 'W/"a"'}, False),
        (0, {}, False),
    ],
)
def test_the_next_start_resumes_what_it_can_trust(publish, digits, headers, expected):
    file, served = publish(digits=digits, headers=headers, breaks=[50_000] + [0] * 9)
    assert is_resumed(file, served) == (expected, expected)


@pytest.mark.parametrize("digits", [0, 8])
def test_a_file_that_has_changed_meanwhile_is_not_mixed(publish, server, digits):
    old, served = publish(b"a" * 90_000, breaks=[50_000] + [0] * 9, digits=0)
    served.headers["ETag"] = '"old"'
    with pytest.raises(UserError):
        published.fetch(old)
    file, served = publish(b"b" * 100_000, digits=digits)
    if digits == 0:
        served.headers["ETag"] = '"new"'
    published.fetch(file)
    assert_whole(file, served)


@pytest.mark.parametrize("tail", [b"", b"x"])
def test_a_part_that_is_as_long_as_the_file_or_longer(publish, tail):
    """Such as a file that was not renamed any more."""
    file, served = publish()
    path = published.cached_path(file)
    path.parent.mkdir(parents=True)
    path.with_name("net.pth.partial").write_bytes(served.content + tail)
    published.fetch(file)
    assert_whole(file, served)
    expected = ["bytes=100001-", None] if tail else ["bytes=100000-"]
    assert served.told == expected


def test_a_part_with_holes_is_not_used(publish):
    file, served = publish()
    path = published.cached_path(file)
    path.parent.mkdir(parents=True)
    path.with_name("net.pth.partial").write_bytes(bytes(50_000))
    published.fetch(file)
    assert_whole(file, served)
    assert served.told == ["bytes=50000-", None]


REFUSED = {
    "another file": (
        {"digits": 8},
        {"content": b"another"},
        r"found SHA-256 [0-9a-f]{64}, expected that it begins with [0-9a-f]{8} "
        r"\(7 bytes\)",
    ),
    "with all digits": (
        {"digits": 64},
        {"content": b"another"},
        r"found SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64} \(7 bytes\)",
    ),
    "404": ({}, {"statuses": [404]}, r"found HTTP status 404 \(Not Found\)"),
    "403": ({}, {"statuses": [403]}, r"found HTTP status 403 \(Forbidden\)"),
    "503": (
        {},
        {"statuses": [503] * 9},
        r"status 503 \(Service Unavailable\) \(5 attempts, \d+ s\)",
    ),
    "web page": (
        {},
        {"content": b"<html>", "headers": {"Content-Type": "text/html; charset=a"}},
        r"web page \(text/html; charset=a\), expected the file net.pth",
    ),
    "silent": ({}, {"stays_silent": 1.0}, r"the server was silent for 0.3 s"),
    "broken off": (
        {},
        {"breaks": [70_000] + [0] * 9},
        r"IncompleteRead.*next start resumes after the 0.1 MB",
    ),
    "unknown length": (
        {"digits": 0},
        {"headers": {"Content-Length": ""}},
        "a part could be taken for the whole",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_paragraph_says_what_is_wrong(publish, server, left, fault):
    row, how, message = REFUSED[fault]
    file, served = publish(**row)
    for name, value in how.items():
        setattr(served, name, value)
    with pytest.raises(UserError, match=message) as error:
        published.fetch(file)
    text = str(error.value)
    assert f"{server.url}/models/net.pth" in text  # what was asked
    assert str(published.cached_path(file)) in text  # where to put it
    assert "AVA_JAX_MIRROR=URL" in text and "\n" not in text
    names = left(file)
    assert names == (["net.pth.partial"] if fault == "broken off" else [])


def test_a_wrong_size_is_refused(publish, server):
    server.files["/models/net.pth"] = Served(b"content")
    path = published.cached_path(publish(b"content")[0])
    with pytest.raises(UserError, match="found 7 bytes, expected 8"):
        download(f"{server.url}/models/net.pth", path, size=8)
    assert not path.exists()


def test_another_file_in_the_cache_is_refused(publish, server):
    file, served = publish()
    path = published.cached_path(file)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of i")
    assert "found SHA-256" in published.damage(file)
    with pytest.raises(UserError, match=f"{path} is not net.*found.*Delete it"):
        published.fetch(file)
    assert path.read_bytes() == b"half of i" and served.told == []


def test_one_that_a_user_has_put_there_is_taken(publish, monkeypatch):
    file, served = publish()
    monkeypatch.setenv("AVA_JAX_OFFLINE", "1")
    with pytest.raises(UserError) as error:
        published.fetch(file)
    (place,) = re.findall(r"put it at (\S+)\.", str(error.value))
    os.makedirs(os.path.dirname(place))
    with open(place, "wb") as there:
        there.write(served.content)
    assert published.fetch(file) == pathlib.Path(place)
    assert served.told == []


def test_without_network_it_ends_at_once(publish, server, monkeypatch):
    file, _ = publish()
    server.shutdown()
    server.server_close()
    waits = record_waits(monkeypatch)
    with pytest.raises(UserError, match="Connection refused.*HTTPS_PROXY"):
        published.fetch(file)
    assert waits == []


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("", [0.01, 0.02, 0.04]),
        ("3", [3, 3, 3]),
        ("3000", [60, 60, 60]),
        ("Thu, 01 Jan 2026 00:00:00 GMT", [0.01, 0.02, 0.04]),
    ],
)
def test_waits_grow_or_are_those_that_the_server_asks_for(
    publish, monkeypatch, asked, waits
):
    file, _ = publish(statuses=[503] * 3, headers={"Retry-After": asked})
    found = record_waits(monkeypatch)
    published.fetch(file)
    assert found == pytest.approx(waits)


def record_waits(monkeypatch):
    """Seconds that a download waits, which it then does not."""
    waits = []
    clock = types.SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    monkeypatch.setattr("ava_jax.published.download.time", clock)
    return waits


@pytest.mark.parametrize("mirror", ["/data/mirror", "mirror.example"])
def test_a_mirror_must_be_an_address(publish, monkeypatch, mirror):
    monkeypatch.setenv("AVA_JAX_MIRROR", mirror)
    with pytest.raises(UserError, match=f"AVA_JAX_MIRROR is '{mirror}'; expected"):
        published.fetch(publish()[0])


def test_a_mirror_with_a_path(publish, server, monkeypatch):
    file, served = publish()
    server.files["/a/models/net.pth"] = server.files.pop("/models/net.pth")
    monkeypatch.setenv("AVA_JAX_MIRROR", f"{server.url}/a/")
    published.fetch(file)
    assert_whole(file, served)


def test_a_proxy_is_asked(publish, server, monkeypatch):
    file, served = publish()
    monkeypatch.setenv("AVA_JAX_MIRROR", "http://mirror.invalid")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    published.fetch(file)
    assert_whole(file, served)


def test_a_full_disk_does_not_stay_full(publish, left):
    file, served = publish()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, hard))
    try:
        with pytest.raises(UserError, match="File too large.*AVA_JAX_CACHE=FOLDER"):
            published.fetch(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left(file) == []
    published.fetch(file)
    assert_whole(file, served)


def test_a_cache_that_cannot_be_written(publish, monkeypatch):
    monkeypatch.setenv("AVA_JAX_CACHE", "/dev/null/cache")
    with pytest.raises(UserError, match="cannot be written .*AVA_JAX_CACHE=FOLDER"):
        published.fetch(publish()[0])


def test_lines_instead_of_a_bar(publish, server, capsys, monkeypatch):
    monkeypatch.setattr("ava_jax.published.download._SECONDS_BETWEEN_LINES", 0)
    file, _ = publish()
    path = published.fetch(file)
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == f"Downloading net from {server.url}/models/net.pth to {path}."
    assert lines == ["net: 0 of 0 MB"] * 7  # pieces of 16 KiB


# ---------------------------------------------------------------- processes


def work(file, served, *arguments):
    """Runs `fetch_worker.py`, which starts processes that fetch the file."""
    done = subprocess.run(
        [sys.executable, WORKER, file.url, file.sha256, *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if published.cached_path(file).exists():
        assert_whole(file, served)
    return done


def test_of_many_processes_one_downloads(publish, left):
    file, served = publish(pause=0.01)
    done = work(file, served, "together", "4")
    assert served.told == [None] and left(file) == ["net.pth"]
    assert done.stderr.count("Another process is downloading net: waiting") == 3


def test_who_waits_goes_on_when_the_other_is_killed(publish, left):
    file, served = publish(pause=0.01)
    work(file, served, "kill the holder")
    assert len(served.told) == 2 and left(file) == ["net.pth"]


def test_killed_at_any_moment_the_next_start_is_right(publish, left):
    """20 times: from the first byte to the last, and just before the renaming."""
    file, served = publish(pause=0.004)
    work(file, served, "kill", "20", str(len(served.content)))
    told = served.told
    # The first 19 were killed within the transfer.
    assert 39 <= len(told) <= 41 and left(file) == ["net.pth"]
    assert sum(range_ is not None for range_ in told) >= 15
