"""Names of videos and pictures, as tools write them."""

import pathlib
import re
import urllib.parse
from collections.abc import Iterable

from ava_jax.video.reader import SUFFIXES

_PICTURE_SUFFIXES = r"\.(?:bmp|jpe?g|png|tiff?|webp|xml|txt)"
# Roboflow writes film_mp4-12_jpg.rf.0123abcd.jpg for picture 12 of film.mp4.
_ROBOFLOW = re.compile(r"(.+)_(?:jpe?g|png)\.rf\.[0-9A-Za-z]+", re.IGNORECASE)
_VIDEO_END = re.compile(
    "[._](?:{})$".format("|".join(suffix[1:] for suffix in SUFFIXES)), re.IGNORECASE
)
# What stands for the whole of a frame's name and names no video.
_FRAME_WORDS = re.compile(r"(?:img|image|frame|frames|f|im)?", re.IGNORECASE)
_NUMBER_AT_END = re.compile(r"(.*?)[,_\-. ]?(\d+(?:\.\d+)?)")
# Label Studio puts eight digits before the name of a file that is uploaded.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")


def video_name(text: str) -> str:
    """The name of a movie from a file's name, path or address.

    '/data/upload/3/9f86d081-film.mp4' is 'film'.
    """
    address = urllib.parse.urlsplit(text)
    if address.query.startswith("d="):  # Label Studio's local files
        text = address.query[2:]
    elif address.scheme and address.netloc:
        text = address.path
    is_upload = "/upload/" in text
    name = urllib.parse.unquote(text).replace("\\", "/").rstrip("/").rpartition("/")[2]
    if is_upload and (match := _UPLOADED.fullmatch(name)):
        name = match[1]
    path = pathlib.PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else name


def picture_name(text: str) -> tuple[str, float] | None:
    """Video and number from the name of a picture; None: it has no number.

    'film/img_00031.jpg' and 'film_31.jpg' are ('film', 31); 'frame_000031' names no
    video and is ('', 31).
    """
    text = text.replace("\\", "/")
    folder, _, name = re.sub(_PICTURE_SUFFIXES + "$", "", text, flags=re.I).rpartition(
        "/"
    )
    if match := _ROBOFLOW.fullmatch(name):
        name = match[1]
    match = _NUMBER_AT_END.fullmatch(name)
    if match is None:
        return None
    if not _FRAME_WORDS.fullmatch(match[1]):
        video = re.sub(r"[_\-.](?:img|image|frame)$", "", match[1], flags=re.I)
    else:
        parts = [part for part in folder.split("/") if part]
        words = ("images", "labels", "train", "valid", "val", "test", "obj_train_data")
        while parts and parts[-1].lower() in words:
            parts.pop()
        video = parts[-1] if parts else ""
    return _VIDEO_END.sub("", video), float(match[2])


def plain_name(name: str) -> str:
    """A name without what people write differently: case, padding, spaces, marks."""
    parts = "".join(c if c.isalnum() else " " for c in name.casefold()).split()
    text = " ".join(parts)
    digits, plain = "", ""
    for c in text + " ":
        if c.isdecimal():
            digits += c
            continue
        plain += (digits.lstrip("0") or "0") if digits else ""
        digits = ""
        plain += c
    return plain.strip()


def other_spelling(name: str, known: Iterable[str]) -> str:
    """The one of the known names that a name differs from in spelling alone, or ''.

    In case, padding or marks, or by the ending of a video's file.
    """
    plain = plain_name(video_name(name))
    found = [one for one in known if plain_name(one) == plain]
    return found[0] if len(found) == 1 else ""
