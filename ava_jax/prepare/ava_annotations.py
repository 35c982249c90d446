"""AVA's annotations and MMAction2's proposals, where its recipes expect them."""

import pathlib

import ml_collections

from ava_jax import published
from ava_jax.errors import UserError
from ava_jax.lock import only_process
from ava_jax.prepare.archive import place, unpack

# MMAction2 and PySlowFast cut the movies to seconds 900 to 1801.
START, END = 900, 1801
NAMES = "ava_file_names_trainval_v2.1.txt"
_ARCHIVES = ("ava_v2.1", "ava_v2.2")
_BOXES = {
    f"annotations/ava_{split}_v{version}.csv"
    for split in ("train", "val")
    for version in ("2.1", "2.2")
}


def is_ava(data: ml_collections.ConfigDict) -> bool:
    """Whether `config.data` reads AVA 2.1 or 2.2."""
    boxes = {data.train.boxes, data.val.boxes}
    return boxes <= _BOXES and data.timestamp_start == START


def check_is_ava(data: ml_collections.ConfigDict) -> None:
    """Raises a `UserError` if `config.data` reads another data set."""
    if not is_ava(data):
        raise UserError(
            f"The configuration reads {data.train.boxes} and {data.val.boxes}, with "
            f"frames from second {data.timestamp_start} on, which is not AVA. "
            "`download` is for AVA 2.1 and 2.2, as in configs/slowfast.py."
        )


def download_annotations(
    data: ml_collections.ConfigDict,
) -> dict[str, dict[pathlib.Path, bool]]:
    """Puts all annotations and proposals into `annotations/` of `config.data.root`.

    Files that are there are kept. The downloads are in the cache, so that another
    root needs no network.

    Returns:
      For each published file what came from it: paths, and whether their content is
      the published one.

    Raises:
      UserError: the configuration does not read AVA, a file cannot be downloaded or
        written, an archive is damaged, or a file that the configuration names is in
        none of them.
    """
    check_is_ava(data)
    folder = pathlib.Path(data.root) / "annotations"
    proposals = [f.name for f in published.all_files() if f.kind == "proposals"]
    sources = {name: published.fetch(name) for name in (*_ARCHIVES, NAMES, *proposals)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_process(folder, f"writing {folder}"):
            placed = {path.name: _place(path, folder) for path in sources.values()}
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}). Make the folder "
            "writable, or give another place: --config.data.root=DIR"
        ) from error
    _check_complete(data)
    return placed


def _place(path: pathlib.Path, folder: pathlib.Path) -> dict[pathlib.Path, bool]:
    if path.suffix == ".zip":
        return unpack(path, folder, prefix="ava_")
    with open(path, "rb") as source:
        return {folder / path.name: place(source, folder / path.name)}


def _check_complete(data: ml_collections.ConfigDict) -> None:
    names = {"labels": data.labels}
    for split in ("train", "val"):
        for field in ("boxes", "exclusions", "proposals"):
            names[f"{split}.{field}"] = data[split][field]
    for field, name in names.items():
        path = pathlib.Path(data.root, name)
        if name and not path.is_file():
            raise UserError(
                f"There is no file {path} (config.data.{field}), and it is in none of "
                f"the downloaded files. What they have is in {path.parent}. Is the "
                "name right?"
            )


def text(placed: dict[str, dict[pathlib.Path, bool]]) -> str:
    """The result of `download_annotations`: a line for each file."""
    lines = []
    for source, paths in placed.items():
        for path, is_same in paths.items():
            kept = f"  KEPT: differs from {source}; to replace it, delete it first"
            lines.append(f"{path}{'' if is_same else kept}")
    return "\n".join(lines)
