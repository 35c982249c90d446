"""The table of published files: `files.json`, one file a line."""

import dataclasses
import difflib
import functools
import json
import pathlib
import urllib.parse
from importlib import resources

from ava_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file that somebody has published.

    Attributes:
      name: its name here. A detector has the name of its configuration in MMAction2
        (0.x and 1.x are different files) or of its file in PySlowFast.
      kind: 'detector', 'pretrained' (a recogniser to start from), 'person_detector',
        'proposals', 'annotations' or 'video'.
      url: where it was published.
      dataset: what it was trained on, or is part of.
      release: who published it.
      sha256: 64 hexadecimal digits, or the first eight where only they are known
        (OpenMMLab's file names have them); empty if nobody has published any.
      size: bytes; 0 if unknown.
      mean_ap: published mAP in percent; None if it has none.
      metric: what `mean_ap` is, where it is not the mAP of AVA's 60 actions.
      config: the recipe of a detector, as 'configs/FILE.py:VARIANT'.
      init_from: name of the file that the training of a detector started from.
      aliases: other names.
      unsupported: why this project cannot read it; empty if it can.
    """

    name: str
    kind: str
    url: str
    dataset: str
    release: str
    sha256: str = ""
    size: int = 0
    mean_ap: float | None = None
    metric: str = ""
    config: str = ""
    init_from: str = ""
    aliases: tuple[str, ...] = ()
    unsupported: str = ""

    @property
    def file_name(self) -> str:
        """The last part of its URL."""
        return pathlib.PurePosixPath(urllib.parse.urlsplit(self.url).path).name

    def check_supported(self) -> None:
        """Raises a `UserError` if this project cannot read the file."""
        if self.unsupported:
            raise UserError(
                f"{self.name} is published ({self.url}), but not supported: "
                f"{self.unsupported}. ava-jax published list shows those that are."
            )


@functools.cache
def all_files() -> tuple[PublishedFile, ...]:
    """All published files."""
    text = resources.files("ava_jax.published").joinpath("files.json").read_text()
    rows = json.loads(text)
    return tuple(
        PublishedFile(**{**row, "aliases": tuple(row.get("aliases", ()))})
        for row in rows
    )


def get(name: str) -> PublishedFile | None:
    """The published file of a name; None if there is none.

    A name is one of the table, an alias, the name of the file with or without its
    ending, its URL, or MMAction2's path of the configuration. Dashes and underscores,
    upper and lower case are the same.
    """
    return _by_key().get(_key(name))


def find(name: str) -> PublishedFile:
    """The published file of a name, as `get` reads it.

    Raises:
      UserError: there is none; the message has the nearest names.
    """
    file = get(name)
    if file is None:
        raise UserError(
            f"There is no published file {name!r}. {nearest(name)}"
            "ava-jax published list shows all names."
        )
    return file


def nearest(name: str) -> str:
    """A sentence with the names that are most like one, and a space; or ''."""
    wanted = _key(name)
    words = wanted.split("-")
    similar = [key for key in _by_key() if all(word in key for word in words)]
    similar += difflib.get_close_matches(wanted, _by_key(), n=5, cutoff=0.5)
    names = list(dict.fromkeys(_by_key()[key].name for key in similar))[:3]
    return f"The nearest are {', '.join(names)}. " if names else ""


@functools.cache
def _by_key() -> dict[str, PublishedFile]:
    return {key: file for file in all_files() for key in keys(file)}


def keys(file: PublishedFile) -> set[str]:
    """Every name of a file, as `get` compares it."""
    # PySlowFast's detectors and the files they start from have the same file names.
    published = pathlib.PurePosixPath(file.name).with_name(file.file_name)
    names = (file.name, file.url, str(published), str(published.with_suffix("")))
    return {_key(name) for name in (*names, *file.aliases)}


def _key(name: str) -> str:
    if name.endswith(".py"):  # configs/detection/ava/NAME.py
        name = pathlib.PurePosixPath(name).stem
    return name.lower().replace("_", "-")
