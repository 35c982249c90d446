"""Downloads one file over HTTP: whole, with the right checksum, or not at all.

`requests` speaks HTTP with proxies and time-outs, `filelock` (`ava_jax/lock.py`) lets
one process at a time download a file, and `tqdm` draws the bar. Pooch has none of
resuming, locks and checksums of eight digits: it gives every download a temporary file
of its own, which it deletes after an error, and only its retries and renaming would
have been used. huggingface_hub resumes, but only what its own servers describe.

    AVA_JAX_MIRROR=URL   asked instead of the hosts; the path of a URL stays
    AVA_JAX_OFFLINE=1    nothing is downloaded
    HTTPS_PROXY, ...     as everywhere
"""

import os
import pathlib
import sys
import time

import requests
import tqdm
import urllib3

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.lock import only_process
from ava_jax.published.checksum import mismatch
from ava_jax.published.mirror import is_offline, mirrored

# Seconds to connect, and between two pieces: a silent server is given up.
TIMEOUT = (10, 20)
ATTEMPTS = 5  # without a new byte
BACK_OFF = 0.5  # seconds before the second attempt; doubled for each later one
_LONGEST_WAIT = 60.0  # seconds that a server may ask for
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
# What arrives within a piece is lost if the connection breaks.
_PIECE = 1 << 14
_SECONDS_BETWEEN_LINES = 10


def download(
    url: str,
    path: str | os.PathLike,
    *,
    sha256: str = "",
    size: int = 0,
    name: str = "",
) -> None:
    """Downloads a file, unless it is there.

    Of several processes that want the same file one downloads it, and the others wait
    for it, on other hosts too if they share the folder. What a broken transfer or a
    killed process has left beside `path` is resumed: with a checksum, or if the
    server has marked the file with an ETag, which is then the same.

    Args:
      url: where it was published.
      path: of the file; folders are made.
      sha256: its checksum in hexadecimal digits, or the first ones.
      size: bytes; 0 if unknown.
      name: for messages, instead of the last part of the path.

    Raises:
      UserError: it cannot be downloaded or written, or is not the expected file.
        The message has what to do.
    """
    path = pathlib.Path(path)
    request = _Request(mirrored(url), path, sha256, size, name or path.name)
    if is_offline():
        raise UserError(
            f"{request.name} is not in the cache, and AVA_JAX_OFFLINE="
            f"{os.environ['AVA_JAX_OFFLINE']} forbids to download {request.url}. "
            f"Unset it, or {request.by_hand}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_process(path, f"downloading {request.name}"):
            if not path.is_file():  # now, after waiting for another process
                _download(request)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}), so {request.name} "
            f"cannot be downloaded from {request.url}. Make room or the folder "
            "writable, or give another place: AVA_JAX_CACHE=FOLDER."
        ) from error


class _Request:
    """What is downloaded, and where to.

    Attributes:
      url, path, sha256, size, name: see `download`.
      partial: the file as far as it has arrived.
      by_hand: how a user can do without this download, for messages.
    """

    def __init__(self, url, path, sha256, size, name):
        self.url, self.path, self.name = url, path, name
        self.sha256, self.size = sha256, size
        self.partial = files.partial_path(path)
        self._etag = self.partial.with_name(self.partial.name + ".etag")
        self.by_hand = f"download it elsewhere and put it at {path}"

    @property
    def received(self) -> int:
        """Bytes that have arrived."""
        return self.partial.stat().st_size if self.partial.exists() else 0

    def discard(self) -> None:
        """Removes what has arrived."""
        self.partial.unlink(missing_ok=True)
        self._etag.unlink(missing_ok=True)

    def open(self, etag: str | None) -> None:
        """Starts an empty file, of the version that the server calls `etag`."""
        self.discard()
        # First, so that no part is ever taken for one of another version.
        if etag and not etag.startswith("W/"):
            self._etag.write_text(etag)
        self.partial.touch()

    def finish(self) -> None:
        """Gives the file its name."""
        with open(self.partial, "rb") as file:
            os.fsync(file.fileno())  # otherwise a power cut may leave holes
        self.partial.replace(self.path)
        self.discard()

    def range(self) -> dict[str, str]:
        """Headers that ask for the rest, if what has arrived can be trusted."""
        etag = self._etag.read_text() if self._etag.exists() else ""
        if not (self.received and (etag or self.sha256)):
            return {}
        condition = {"If-Range": etag} if etag else {}
        return {"Range": f"bytes={self.received}-", **condition}


def _download(request: _Request) -> None:
    try:
        is_resumed = _receive(request)
        problem = mismatch(request.partial, request.sha256, request.size)
        if problem and is_resumed:
            # The parts may be of different versions, or of a disk after a power cut.
            request.discard()
            _receive(request)
            problem = mismatch(request.partial, request.sha256, request.size)
        if problem:
            request.discard()
            raise UserError(
                f"What {request.url} gives is not {request.name}: {problem}. It was "
                "not kept. The server or a proxy may have changed it: try again or "
                f"another network, set AVA_JAX_MIRROR=URL, or {request.by_hand}."
            )
        request.finish()
    except OSError:
        request.discard()  # otherwise a full disk would stay full
        raise


def _receive(request: _Request) -> bool:
    """Receives the whole file; True if it was put together from several parts."""
    is_resumed = request.received > 0
    failures, start = 0, time.monotonic()
    with requests.Session() as session, _Progress(request) as progress:
        while True:
            before = request.received
            try:
                _receive_part(request, session, progress)
                return is_resumed
            except requests.RequestException as error:
                failures = 1 if request.received > before else failures + 1
                is_resumed |= request.received > 0
                if failures == ATTEMPTS or not _may_pass(error, is_resumed):
                    raise _failure(request, error, failures, start) from None
                time.sleep(_wait(error, failures))


def _receive_part(
    request: _Request, session: requests.Session, progress: "_Progress"
) -> None:
    """Receives the file, or the rest of it."""
    # Otherwise the length would be that of the compressed file.
    headers = {"Accept-Encoding": "identity", **request.range()}
    with session.get(
        request.url, headers=headers, timeout=TIMEOUT, stream=True
    ) as response:
        if response.status_code == 416:
            if response.headers.get("Content-Range") == f"bytes */{request.received}":
                return  # all of it had arrived
            request.discard()
            raise requests.ConnectionError("the server has another version by now")
        response.raise_for_status()
        _check_is_file(request, response)
        if not _is_the_rest(request, response):
            request.open(response.headers.get("ETag"))
        length = int(response.headers.get("Content-Length", 0))
        progress.start(request.received, length and request.received + length)
        with open(request.partial, "ab") as file:
            for piece in response.iter_content(_PIECE):
                _write(file, piece)
                progress.update(len(piece))


def _write(file, piece: bytes) -> None:
    # A separate function, because exceptions of requests are OSErrors, too.
    file.write(piece)


def _is_the_rest(request: _Request, response: requests.Response) -> bool:
    """Whether it begins where the file ends; servers may ignore the header Range."""
    content_range = response.headers.get("Content-Range", "")
    is_part = response.status_code == 206
    return is_part and content_range.startswith(f"bytes {request.received}-")


def _check_is_file(request: _Request, response: requests.Response) -> None:
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html"):
        raise UserError(
            f"{request.url} gives a web page ({kind}), expected the file "
            f"{request.path.name}. It may be the login page of a network or proxy, or "
            f"the file has moved: look at it in a browser, set AVA_JAX_MIRROR=URL, or "
            f"{request.by_hand}."
        )
    has_end = {"Content-Length", "Transfer-Encoding"} & set(response.headers)
    if not (has_end or request.sha256 or request.size):
        raise UserError(
            f"{request.url} does not say how long the file is, and nobody has "
            f"published a checksum of {request.name}: a part could be taken for the "
            f"whole. Set AVA_JAX_MIRROR=URL, or {request.by_hand}."
        )


def _may_pass(error: requests.RequestException, is_resumed: bool) -> bool:
    """Whether it can be better a moment later."""
    if error.response is not None:
        return error.response.status_code in _TRY_AGAIN
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    # No such host, no network, nobody listening: a user should not have to wait.
    no_network = isinstance(reason, urllib3.exceptions.ConnectTimeoutError)
    no_network |= isinstance(error, requests.exceptions.ProxyError)
    broken = (requests.ConnectionError, requests.Timeout)
    broken += (requests.exceptions.ChunkedEncodingError,)
    return isinstance(error, broken) and (is_resumed or not no_network)


def _wait(error: requests.RequestException, failures: int) -> float:
    """Seconds before the next attempt."""
    asked = "" if error.response is None else error.response.headers.get("Retry-After")
    seconds = float(asked) if asked and asked.isdigit() else 0.0
    return max(min(seconds, _LONGEST_WAIT), BACK_OFF * 2 ** (failures - 1))


def _failure(request, error, failures, start) -> UserError:
    found = _reason(error)
    if failures > 1:
        found += f" ({failures} attempts, {time.monotonic() - start:.0f} s)"
    kept = ""
    if request.range():
        megabytes = request.received / 1e6
        kept = f" The next start resumes after the {megabytes:.1f} MB that arrived."
    return UserError(
        f"{request.name} could not be downloaded from {request.url}: {found}. "
        "Check the network and its proxy (HTTPS_PROXY), set AVA_JAX_MIRROR=URL, or "
        f"{request.by_hand}.{kept}"
    )


def _reason(error: requests.RequestException) -> str:
    response = error.response
    if response is not None:
        return f"found HTTP status {response.status_code} ({response.reason})"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"the server was silent for {TIMEOUT[1]} s"
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", inner))


class _Progress:
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self, request: _Request):
        self._name = request.name
        self._bar = tqdm.tqdm(
            desc=request.path.name,
            unit="B",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self._received, self._total = 0, 0
        self._shown = time.monotonic()
        if self._bar.disable:
            _say(f"Downloading {request.name} from {request.url} to {request.path}.")

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def start(self, received: int, total: int) -> None:
        """Begins at `received` of `total` bytes; 0 if that is unknown."""
        self._received, self._total = received, total
        self._bar.reset(total or None)
        self._bar.initial = received
        self._bar.update(received)

    def update(self, count: int) -> None:
        """Adds bytes."""
        self._bar.update(count)
        self._received += count
        now = time.monotonic()
        if self._bar.disable and now - self._shown > _SECONDS_BETWEEN_LINES:
            self._shown = now
            total = f" of {self._total / 1e6:.0f}" if self._total else ""
            _say(f"{self._name}: {self._received / 1e6:.0f}{total} MB")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
