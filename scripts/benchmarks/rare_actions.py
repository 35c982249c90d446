"""Weights, repeat-factor sampling and focal loss on the street video.

I3D is frozen, so what it sees of every box is computed once, and only the layer that
scores actions is trained: seconds for many seeds, where a training takes minutes.
"""

import argparse
import functools
import itertools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tensorflow as tf

from ava_jax import command_line, scoring
from ava_jax import config as ava_config
from ava_jax.annotations import BoxTable
from ava_jax.checkpoints import store
from ava_jax.data import class_balance, dataset, pipeline, repeat_factors, subsampling
from ava_jax.models import action_loss, action_scores, build_detector, init_variables
from ava_jax.models.box_head import uniform
from ava_jax.models.preprocessing import Normalization
from ava_jax.prepare import sources
from ava_jax.training.class_weights import class_weights

NAME = "rare-actions"
HELP = "what the options for rare actions give: mAP of a new head on the street video"
STAND = 1  # the class of the rarest action
_BATCH, _RATE, _WARMUP = 4, 0.05, 2  # clips, peak rate, steps
# Key frames to train on, and steps of their trainings.
_SETS = {"all": (160,), "third": (90,), "rare": (90, 300)}
# (weights, threshold of the repeat factors, exponent of the focal loss).
_OPTIONS = (
    ("none", 0, 0),
    ("sqrt_inverse", 0, 0),
    ("inverse", 0, 0),
    ("effective_number", 0, 0),
    ("none", 0.5, 0),
    ("none", 1, 0),
    ("none", 0, 1),
    ("none", 0, 2),
)
# Lowest scores that are written: that of the configuration, and none.
_THRESHOLDS = (0.002, 0.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this part's flags."""
    add = parser.add_argument
    add(
        "--workdir",
        default="runs/rare_actions",
        metavar="DIR",
        help="for the frames and features",
    )
    add("--video", metavar="FILE", help="vtest.avi (default: downloaded)")
    add(
        "--clips",
        type=command_line.whole(1),
        default=8,
        metavar="N",
        help="augmented clips of a key frame",
    )
    add(
        "--trainings",
        type=command_line.whole(1),
        default=24,
        metavar="N",
        help="of each option and set",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Means and standard deviations of mAP and AP."""
    config = ava_config.load("configs/i3d.py:vtest")
    config.data.video = args.video or ""
    workdir = pathlib.Path(args.workdir)
    config.data.root = sources.prepare(config.data, workdir)
    train, val = (dataset.load_split(config.data, s, 4) for s in ("train", "val"))
    path = workdir / "features.npz"
    if not path.exists():
        arrays = _features(config, train, val, args.clips)
        np.savez(path, **arrays)
    with np.load(path) as arrays:
        street = _Street(train, val, dict(arrays))
    rows = []
    for name, steps in ((n, s) for n in _SETS for s in _SETS[n]):
        sets = _key_frames(train, name)
        seeds = range(-(-args.trainings // len(sets)))
        for options in _OPTIONS:
            found = [
                street.train(keep, steps, seed, *options)
                for keep, seed in itertools.product(sets, seeds)
            ]
            rows.append(_row(name, steps, options, np.array(found)))
            print(_text(rows[-1]), flush=True)
    return {"rows": rows}


def show(results: dict[str, Any]) -> None:
    """They were printed one by one."""
    print(f"{len(results['rows'])} options and sets")


def _row(name, steps, options, found):
    mean = found.mean(0).tolist()
    return {
        "set": name,
        "steps": steps,
        "weights, threshold, gamma": options,
        "mAP": mean[0],
        "deviation": float(found[:, 0].std()),
        "AP of stand, walk, carry": mean[1:4],
        "mAP of all scores": mean[4],
        "AP of stand of all scores": mean[5],
        "trainings": len(found),
    }


def _text(row) -> str:
    by_class = " ".join(f"{ap:.3f}" for ap in row["AP of stand, walk, carry"])
    weights, threshold, gamma = row["weights, threshold, gamma"]
    options = f"{row['set']:5} {row['steps']:3} {weights:16} {threshold:3} {gamma}"
    everything = (
        f"{row['mAP of all scores']:.3f} {row['AP of stand of all scores']:.3f}"
    )
    return (
        f"{options}  mAP {row['mAP']:.3f} +- {row['deviation']:.3f}  AP {by_class}  "
        f"all scores: {everything}"
    )


def _key_frames(split, name) -> list[np.ndarray]:
    """(K,) bool each: all; every third; those without "stand" and three with it."""
    every = np.arange(len(split))
    if name == "all":
        return [every >= 0]
    if name == "third":
        return [every % 3 == i for i in range(3)]
    stands = np.add.reduceat(split.truth_classes[:, STAND], split.truth_starts[:-1]) > 0
    some = [
        np.random.default_rng(i).choice(every[stands], 3, replace=False)
        for i in range(6)
    ]
    return [~stands | np.isin(every, chosen) for chosen in some]


def _features(config, train, val, clips: int) -> dict[str, np.ndarray]:
    """What the head gets of the boxes of augmented clips, and of all proposals."""
    module = build_detector(config.model)
    variables = init_variables(config.model, jax.random.key(0))
    variables = store.load_variables(config.init_from, config.model, variables)
    normalize = Normalization.from_config(config.data)

    @jax.jit
    def vectors(variables, clip, boxes):
        clip = normalize(clip)
        _, taps = module.apply(variables, clip, boxes, mutable=["intermediates"])
        return taps["intermediates"]["roi_head"]["bbox_head"]["head_vector"][0]

    found = {name: [] for name in ("x", "labels", "mask", "key_frame")}
    # 54 key frames: batches end with the epoch.
    size = next(n for n in (4, 3, 2, 1) if len(train) % n == 0)
    stream = {"batch": size, "seed": 0}
    batches = pipeline.train_batches(
        train,
        config.data,
        **stream,
        first_step=0,
        steps=clips * len(train) // size,
        rows=range(size),
    )
    for step, batch in enumerate(batches):
        found["x"].append(vectors(variables, batch["clip"], batch["boxes"]))
        found["labels"].append(batch["labels"])
        found["mask"].append(batch["box_mask"])
        found["key_frame"].append(pipeline.key_frames(train, step, **stream))
    proposals = np.zeros((len(val.proposal_boxes), found["x"][0].shape[-1]), np.float32)
    side = config.data.test_short_side
    scored = pipeline.eval_batches(
        val, config.data, batch=2, short_side=side, rows=range(2)
    )
    for batch in scored:
        x = np.asarray(vectors(variables, batch["clip"], batch["boxes"]))
        for first, count, row in zip(batch["first_box"], batch["count"], x):
            proposals[first : first + count] = row[:count]
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return joined | {"proposals": proposals}


class _Street:
    """Trains heads on features of the street."""

    def __init__(self, train, val, arrays: dict[str, np.ndarray]):
        self._split, self._val = train, val
        # (K, clips): rows of the arrays, by key frame.
        self._rows = np.argsort(arrays.pop("key_frame"), kind="stable").reshape(
            len(train), -1
        )
        self._arrays = {name: jnp.asarray(array) for name, array in arrays.items()}

    def train(self, keep, steps, seed, weights, threshold, gamma) -> list[float]:
        """The mAP and AP of every action, written scores first, then all scores."""
        split, _ = subsampling.select(self._split, keep)
        factors = repeat_factors.repeat_factors(
            split.truth_starts, split.truth_classes, threshold
        )
        epochs = repeat_factors.Epochs(factors, seed)
        at = tf.range(steps * _BATCH, dtype=tf.int64)
        stream = tf.function(lambda: tf.map_fn(epochs.key_frame, at))().numpy()
        clip = np.random.default_rng(seed).integers(self._rows.shape[1], size=at.shape)
        rows = self._rows[np.flatnonzero(keep)[stream], clip].reshape(steps, _BATCH)
        given = class_weights(weights, class_balance.box_counts(split))
        if given is None:
            given = np.ones(split.truth_classes.shape[1] - 1, np.float32)
        scores = _train_head(self._arrays, rows, given, seed, steps, gamma)
        return [ap for t in _THRESHOLDS for ap in self._score(np.asarray(scores), t)]

    def _score(self, scores: np.ndarray, threshold: float) -> list[float]:
        val = self._val
        of_box = np.repeat(np.arange(len(val)), np.diff(val.proposal_starts))
        box, action = np.nonzero(scores[:, 1:] > threshold)
        table = BoxTable.from_columns(
            val.frames.videos,
            val.video[of_box[box]],
            val.second[of_box[box]],
            val.proposal_boxes[box],
            label=val.class_ids[action + 1],
            score=scores[box, action + 1],
        )
        ids = val.class_ids[1:].tolist()
        found = scoring.score_tables(
            val.ground_truth, table, {i: val.labels[i] for i in ids}
        )
        return [found["mAP"], *(found["per_class"][str(i)] for i in ids)]


@functools.partial(jax.jit, static_argnames=("steps", "gamma"))
def _train_head(arrays, rows, weights, seed, steps, gamma):
    """Scores of the proposals after SGD as the recipes for few boxes have it."""
    rates = optax.warmup_cosine_decay_schedule(_RATE / 10, _RATE, _WARMUP, steps)
    tx = optax.sgd(rates, momentum=0.9)
    width, classes = arrays["x"].shape[-1], arrays["labels"].shape[-1]
    init, keys = uniform(width), jax.random.split(jax.random.key(seed))
    params = init(keys[0], (width, classes)), init(keys[1], (classes,))

    def logits(params, x):
        return x @ params[0] + params[1]

    def loss(params, rows):
        return action_loss(
            logits(params, arrays["x"][rows]),
            arrays["labels"][rows],
            arrays["mask"][rows],
            focal_gamma=gamma,
            class_weights=weights,
        )

    def step(state, rows):
        params, opt_state = state
        updates, opt_state = tx.update(jax.grad(loss)(params, rows), opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), rows)
    return action_scores(logits(params, arrays["proposals"]))
