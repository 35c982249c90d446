"""Weights by the name of a published file, wherever a path of them is expected."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from absl import logging

import ava_jax
from ava_jax import config as ava_config
from ava_jax import files, published
from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.errors import UserError
from ava_jax.lock import only_process
from ava_jax.workdir import is_trained

_SCRATCH = ("", "scratch")


def published_file(path: str | os.PathLike) -> published.PublishedFile | None:
    """The published file that is meant; None for a path, which comes first."""
    return None if os.path.exists(path) else published.get(os.fspath(path))


def published_detector(path: str | os.PathLike) -> published.PublishedFile | None:
    """The published action detector that is meant; None for a path.

    Raises:
      UserError: the published file is of another kind, or not supported.
    """
    file = published_file(path)
    if file is None:
        return None
    file.check_supported()
    if file.kind == "pretrained":
        raise UserError(
            f"{file.name} is a recogniser of {file.dataset}: it has no trained head "
            "that scores boxes. Train one on it first: python -m ava_jax.main "
            f"--config ... --config.init_from={file.name}"
        )
    if file.kind != "detector":
        raise UserError(
            f"{file.name} is no detector of actions but of the kind {file.kind!r}. "
            "ava-jax published list --kind=detector shows the detectors."
        )
    return file


def weights(path: str | os.PathLike) -> pathlib.Path:
    """The path of weights: itself, or that of the published file, which is fetched.

    Raises:
      UserError: there is neither; or the file cannot be fetched, or is not supported.
    """
    if os.path.exists(path):
        return pathlib.Path(path)
    file = published.get(os.fspath(path))
    if file is None:
        raise UserError(missing(path))
    file.check_supported()
    return published.fetch(file)


def missing(path: str | os.PathLike) -> str:
    """What to say of a path where nothing is."""
    if os.fspath(path).startswith(("http://", "https://")):
        return f"Download {path} with a browser, and give the path of the file."
    return (
        f"There is no checkpoint {path}. Give the working directory of a training, a "
        "directory of ava-jax convert, a PyTorch file, or the name of a "
        f"published one. {published.nearest(os.fspath(path))}"
        "ava-jax published list shows all names."
    )


def initial_weights(init_from: str) -> pathlib.Path | None:
    """The path of the weights that a training starts from; None for random ones.

    Args:
      init_from: `config.init_from`: a path, the name of a published file, or '' or
        'scratch' for random weights.

    Raises:
      UserError: see `weights`. The message has how to train without them, too.
    """
    logging.info("Initial weights: %s.", describe(init_from))
    if init_from in _SCRATCH:
        return None
    with _or_scratch():
        return weights(init_from)


def local_weights(init_from: str) -> pathlib.Path | None:
    """The path of initial weights that are there; nothing is downloaded.

    Args:
      init_from: see `initial_weights`.

    Returns:
      None for random weights, and for a published file that is not in the cache.

    Raises:
      UserError: there is neither a file nor a published one of this name; or that is
        damaged, or not supported.
    """
    if init_from in _SCRATCH:
        return None
    file = published_file(init_from)
    if file is not None:
        file.check_supported()
        if not published.cached_path(file).is_file():
            return None
    with _or_scratch():
        return weights(init_from)


@contextlib.contextmanager
def _or_scratch() -> Iterator[None]:
    """Adds to an error how to train without the weights."""
    try:
        yield
    except UserError as error:
        raise UserError(
            f"{error} To train from random weights instead: --config.init_from=scratch"
        ) from error


def describe(init_from: str) -> str:
    """What a training starts from, and where it is, for users."""
    if init_from in _SCRATCH:
        return "random, training from scratch"
    file = published_file(init_from)
    if file is None:
        return init_from
    path = published.cached_path(file)
    where = path if path.is_file() else f"to be downloaded from {file.url}"
    return f"{file.name} ({file.dataset}), {where}"


def weights_to_evaluate(
    init_from: str, workdir: str | os.PathLike
) -> str | os.PathLike:
    """The path of the detector that is evaluated.

    It is the working directory, if something was trained there; `config.init_from`
    is then what that training started from.

    Raises:
      UserError: see `weights`; or `init_from` is a recogniser.
    """
    if is_trained(workdir) or init_from in _SCRATCH:
        return workdir
    published_detector(init_from)
    return weights(init_from)


def converted(file: published.PublishedFile) -> pathlib.Path:
    """Directory of a published detector as `convert_file` writes it, in the cache.

    It is made at the first use, and made again for another file or version of this
    package.

    Raises:
      UserError: the file cannot be fetched, read or written.
    """
    digits = (file.sha256 or files.sha256(published.fetch(file)))[:8]
    folder = files.cache_folder() / "converted" / ava_jax.__version__
    path = folder / f"{file.name}-{digits}"
    if not path.is_dir():
        source = published.fetch(file)
        config = ava_config.load(file.config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{folder} cannot be written ({error.strerror}). Give another place "
                "for the cache: AVA_JAX_CACHE=FOLDER."
            ) from error
        with only_process(path, f"converting {file.name}"):
            if not path.is_dir():
                with files.beside(path) as new:
                    report = convert_file.convert_file(source, new, config)
                for note in report.notes:
                    logging.warning("%s: %s", source, note)
    return path
