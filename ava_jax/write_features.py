"""Writes a feature bank: what a detector sees of every person of a data set."""

import functools
import pathlib
from collections.abc import Callable

import jax
import ml_collections
import numpy as np
from absl import logging

from ava_jax.checkpoints.load import load_to_evaluate
from ava_jax.data import dataset, pipeline, subsampling
from ava_jax.data.feature_bank import (
    SPLITS,
    check_same,
    movie_file,
    write_index,
    write_movie,
)
from ava_jax.data.split import Split
from ava_jax.inference.eval_step import make_feature_step
from ava_jax.models import build_detector
from ava_jax.models.preprocessing import Normalization
from ava_jax.prepare import sources
from ava_jax.runtime import multihost, sharding
from ava_jax.workdir import Workdir


def write_features(config: ml_collections.ConfigDict, workdir: Workdir) -> None:
    """Writes the features of all proposals of both splits, one movie after the other.

    A movie's array has its name when it is whole; when this is stopped and started
    again, it goes on with the next movie.

    Args:
      config: the whole configuration; `eval.write_features` is the folder, and the
        weights are those that `evaluate` would take.
      workdir: of the detector.

    Raises:
      UserError: data or weights are not usable, or the folder has the features of
        another detector or data set.
    """
    mesh = sharding.make_mesh(config.devices)
    variables, checkpoint = load_to_evaluate(
        config.init_from, config.checkpoint, config.model, workdir.path, mesh
    )
    with multihost.main_process_first("data set"):
        config = config.copy_and_resolve_references()
        config.data.root = sources.prepare(config.data, workdir.path)
    step = make_feature_step(
        build_detector(config.model), Normalization.from_config(config.data), mesh
    )

    def compute(arrays: dict[str, np.ndarray]) -> np.ndarray:
        arrays = sharding.to_devices(arrays, mesh)
        return sharding.to_host(step(variables, arrays["clip"], arrays["boxes"]))

    folder = pathlib.Path(config.eval.write_features)
    facts = {
        "detector": config.name,
        "checkpoint": checkpoint,
        "data_set": {name: config.data[name].boxes for name in SPLITS},
        "person_score": [dataset.person_score(config.data, name) for name in SPLITS],
    }
    check_same(folder, facts)
    for name in SPLITS:
        split = dataset.load_split(config.data, name, config.model.num_classes)
        features = functools.partial(
            _features, data=config.data, batch=config.eval.batch, compute=compute
        )
        _write_split(folder, name, split, facts, features)
    logging.info("%s: a feature bank, for --config.data.feature_bank", folder)


def _features(
    split: Split,
    data: ml_collections.ConfigDict,
    batch: int,
    compute: Callable[[dict[str, np.ndarray]], np.ndarray],
) -> np.ndarray:
    """(P, C) float16 of the proposals of a split; at least one."""
    batches = pipeline.eval_batches(
        split,
        data,
        batch=batch,
        short_side=data.test_short_side,
        rows=sharding.rows_of_this_host(batch, "config.eval.batch"),
    )
    found = None
    for rows in batches:
        values = compute({name: rows[name] for name in ("clip", "boxes")})
        if found is None:
            shape = (len(split.proposal_boxes), values.shape[-1])
            found = np.zeros(shape, np.float16)
        for first, count, row in zip(
            rows["first_box"], rows["count"], values, strict=True
        ):
            found[first : first + count] = row[:count]
    return found


def _write_split(
    folder: pathlib.Path,
    name: str,
    split: Split,
    facts: dict,
    features: Callable[[Split], np.ndarray],
) -> None:
    """Writes the arrays of a split's movies, and then its index."""
    first = jax.process_index() == 0
    movies = []
    for number, movie in enumerate(split.frames.videos):
        part, _ = subsampling.select(split, split.video == number)
        movies.append(
            {
                "name": movie,
                "seconds": np.floor(part.second).astype(int).tolist(),
                "counts": np.diff(part.proposal_starts).tolist(),
            }
        )
        if movie_file(folder / name, number).exists():
            continue
        found = features(part)
        if first:
            write_movie(folder, name, number, found, facts | {"width": found.shape[1]})
        multihost.barrier(f"features {name} {number}")
        logging.info("%s: %s, %d people", name, movie, len(found))
    if first:
        write_index(folder, name, movies)
    multihost.barrier(f"features {name}")
