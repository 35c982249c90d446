"""The values that each field of a configuration may have."""

import dataclasses
import itertools
import math
import numbers
import re
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections

from ava_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Range:
    """The values of a field.

    Attributes:
      expected: in words, for messages and the documentation.
      holds: whether a value is one of them.
    """

    expected: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def whole(least: int, most: float = math.inf) -> Range:
    """Whole numbers from `least` to `most`."""
    words = f", {least} or more" if most == math.inf else f" from {least} to {most}"
    return Range(
        f"a whole number{words}", lambda v: _is_whole(v) and least <= v <= most
    )


def at_least(least: float) -> Range:
    """Numbers from `least` on."""
    return Range(f"a number, {least} or more", lambda v: _is_number(v) and v >= least)


def above(limit: float) -> Range:
    """Numbers above `limit`."""
    return Range(f"a number above {limit}", lambda v: _is_number(v) and v > limit)


def _one_of(*values: Any) -> Range:
    first, last = ", ".join(map(repr, values[:-1])), repr(values[-1])
    return Range(f"{first} or {last}", lambda v: v in values)


def _each(count: int | None, holds: Callable[[Any], bool], expected: str) -> Range:
    """Sequences of `count` values, or of any number, for each of which it holds."""

    def all_hold(value):
        is_sequence = isinstance(value, (tuple, list))
        return (
            is_sequence and count in (None, len(value)) and all(holds(v) for v in value)
        )

    return Range(expected, all_hold)


def _is_increasing(values: Any) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def _is_profile(value: Any) -> bool:
    match = re.fullmatch(r"(\d+)-(\d+)", value)
    return not value or bool(match and 1 <= int(match[1]) <= int(match[2]))


def _is_checkpoint(value: Any) -> bool:
    return value in ("latest", "best") or str(value).isdecimal()


def _is_class_weights(value: Any) -> bool:
    if value in ("none", "inverse", "sqrt_inverse", "effective_number"):
        return True
    try:
        weights = [float(x) for x in value.strip("()[], ").split(",")]
    except ValueError:
        return False
    return all(0 < weight < math.inf for weight in weights)


_ANY_NUMBER = Range("a number", _is_number)
SHARE = Range("a number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1)
_BELOW_ONE = Range("0 or more, and below 1", lambda v: _is_number(v) and 0 <= v < 1)
_UP_TO_ONE = Range("above 0, up to 1", lambda v: _is_number(v) and 0 < v <= 1)
_ANYTHING = Range("", lambda v: True)  # files and folders, which are looked for later
_SWITCH = Range("True or False", lambda v: isinstance(v, bool))
_INDICES = _each(None, lambda v: _is_whole(v) and v >= 0, "")

RANGES = {
    "name": _ANYTHING,
    "seed": whole(0),
    "devices": whole(0),
    "init_from": _ANYTHING,
    "checkpoint": Range("'latest', 'best' or a step", _is_checkpoint),
    "dry_run": _SWITCH,
    "profile": Range("'', or first and last step such as '10-15'", _is_profile),
    "model.backbone": _one_of("slowfast", "slowonly", "i3d", "vit"),
    "model.depth": _one_of(10, 14, 18, 26, 34, 50, 101, 152),
    "model.width": whole(1),
    "model.num_classes": Range(
        "0, or a whole number, 2 or more",
        lambda v: _is_whole(v) and (v == 0 or v >= 2),
    ),
    "model.multilabel": _SWITCH,
    "model.background_class": _SWITCH,
    "model.slow_stride": whole(1),
    "model.slow_sampling": _one_of("stride", "linspace"),
    "model.fast_ratio": whole(1),
    "model.lateral_kernel": Range(
        "an odd number", lambda v: _is_whole(v) and v > 0 and v % 2 == 1
    ),
    "model.lateral_norm": _SWITCH,
    "model.res5_stride": _one_of(1, 2),
    "model.res5_dilation": whole(1),
    "model.temporal_blocks": Range(
        "(), or four numbers of blocks",
        lambda v: _INDICES.holds(v) and len(v) in (0, 4),
    ),
    "model.nonlocal_blocks": _each(
        4, _INDICES.holds, "four tuples of block numbers, one for each of res2 to res5"
    ),
    "model.nonlocal_mode": _one_of("softmax", "dot_product"),
    "model.nonlocal_pool": _each(
        3, whole(1).holds, "three whole numbers, 1 or more: time, height, width"
    ),
    "model.vit_size": _one_of("mini", "small", "base", "large", "huge"),
    "model.drop_path": _BELOW_ONE,
    "model.temporal_pool": _one_of("avg", "max"),
    "model.roi_resolution": whole(1),
    "model.roi_aligned": _SWITCH,
    "model.roi_extension": _each(
        2, lambda v: _is_number(v) and v >= 0, "two shares, of width and height, >= 0"
    ),
    "model.vit_pad": _SWITCH,
    "model.shared_head": _one_of("", "acrn", "fbo_max", "fbo_avg", "fbo_non_local"),
    "model.bank_width": whole(1),
    "model.context": _SWITCH,
    "model.dropout": _BELOW_ONE,
    "model.mlp_head": _SWITCH,
    "model.head_init": _one_of("uniform", "xavier"),
    "model.focal_alpha": above(0),
    "model.focal_gamma": at_least(0),
    "model.class_weights": Range(
        "'none', 'inverse', 'sqrt_inverse', 'effective_number', or numbers above 0 "
        "such as '0.5, 2, 1', one for each action",
        _is_class_weights,
    ),
    "model.dtype": _one_of("float32", "bfloat16"),
    "model.bn": _one_of("global", "per_replica", "frozen"),
    "model.frozen_stages": _one_of(-1, 0, 1, 2, 3, 4),
    "model.remat": _each(
        None, lambda v: _is_whole(v) and 2 <= v <= 5, "a tuple of numbers from 2 to 5"
    ),
    "data.source": _one_of("folder", "mini", "vtest"),
    "data.root": _ANYTHING,
    "data.frames": _ANYTHING,
    "data.frame_store": _one_of("folder", "packed", "video"),
    "data.frame_name": _ANYTHING,
    "data.video": _ANYTHING,
    "data.video_start": _ANY_NUMBER,
    "data.on_bad_frame": _one_of("error", "nearest"),
    "data.labels": _ANYTHING,
    "data.fps": above(0),
    "data.timestamp_start": _ANY_NUMBER,
    "data.clip_names": _SWITCH,
    "data.feature_bank": _ANYTHING,
    "data.bank_rows": whole(1),
    "eval.write_features": _ANYTHING,
    "data.frame_numbers": _SWITCH,
    "data.class_ids": Range(
        "different action ids, each 1 or more",
        lambda v: _each(None, whole(1).holds, "").holds(v) and len(set(v)) == len(v),
    ),
    "data.clip_len": whole(1),
    "data.frame_interval": whole(1),
    "data.frame_shift": Range("a whole number", _is_whole),
    "data.clips_per_second": whole(0),
    "data.frame_jitter": _SWITCH,
    "data.train_short_side": Range(
        "two whole numbers of pixels, the smaller one first",
        lambda v: _each(2, whole(1).holds, "").holds(v) and _is_increasing(v),
    ),
    "data.crop": whole(1),
    "data.crop_scales": _each(
        None,
        _UP_TO_ONE.holds,
        "(), or shares of the frame's short side, each above 0 and at most 1, such as "
        "(1.0, 0.875, 0.75, 0.66)",
    ),
    "data.min_visible": SHARE,
    "data.flip": SHARE,
    "data.repeat_threshold": SHARE,
    "data.colour_jitter": _SWITCH,
    "data.test_short_side": whole(1),
    "data.mean": _each(
        3, lambda v: _is_number(v) and 0 <= v <= 255, "three numbers from 0 to 255"
    ),
    "data.std": _each(3, above(0).holds, "three numbers above 0"),
    "data.max_boxes": whole(1),
    "data.person_score": SHARE,
    "data.val_person_score": SHARE,
    "data.positive_iou": _UP_TO_ONE,
    "data.no_proposals": _one_of("error", "skip", "full_frame"),
    "data.freeze_motion": _SWITCH,
    "data.mini.seed": whole(0),
    "data.mini.train_movies": whole(1),
    "data.mini.val_movies": whole(1),
    "data.mini.seconds": whole(1),
    "data.mini.height": whole(1),
    "data.mini.width": whole(1),
    "optim.optimizer": _one_of("sgd", "adamw"),
    "optim.lr": above(0),
    "optim.lr_batch": whole(1),
    "optim.momentum": _BELOW_ONE,
    "optim.nesterov": _SWITCH,
    "optim.weight_decay": at_least(0),
    "optim.layer_decay": _UP_TO_ONE,
    "optim.clip_norm": at_least(0),
    "optim.schedule": _one_of("step", "cosine", "cosine_after_warmup"),
    "optim.decay_epochs": Range(
        "increasing numbers, each 0 or more",
        lambda v: _each(None, at_least(0).holds, "").holds(v) and _is_increasing(v),
    ),
    "optim.decay_factor": _UP_TO_ONE,
    "optim.warmup": _one_of("mmcv", "mmengine", "mmengine_epochs"),
    "optim.warmup_epochs": at_least(0),
    "optim.warmup_steps": whole(0),
    "optim.warmup_ratio": SHARE,
    "optim.lr_multipliers": _ANYTHING,  # `optimizer.lr_factors` knows the parameters
    "train.batch": whole(1),
    "train.accumulate": whole(1),
    "train.ema": _BELOW_ONE,
    "train.precise_bn_steps": whole(0),
    "train.epochs": above(0),
    "train.log_every": whole(1),
    "train.save_every_epochs": above(0),
    "train.keep": whole(1),
    "eval.every_epochs": at_least(0),
    "eval.stride_seconds": whole(0),
    "eval.short_sides": _each(
        None, whole(1).holds, "a tuple of whole numbers of pixels, 1 or more"
    ),
    "eval.flip": _SWITCH,
    "eval.batch": whole(1),
    "eval.protocol": _one_of("pyslowfast", "activitynet", "mmaction2"),
    "eval.action_threshold": _BELOW_ONE,
} | {
    f"data.{split}.{file}": _ANYTHING
    for split in ("train", "val")
    for file in ("boxes", "exclusions", "proposals")
}


def check(fields: ml_collections.ConfigDict, section: str = "") -> None:
    """Whether every field has a value that it may have.

    Args:
      fields: a configuration, or one section of it. Fields that no table knows, as
        your own configuration may have them, are left alone.
      section: 'model', 'data', 'optim', 'train' or 'eval'; '': all of them.

    Raises:
      UserError: lists every field with another value, and what was expected.
    """
    wrong = [
        f"\n  config.{name} is {value!r}; expected: {RANGES[name].expected}"
        for name, value in _flat(fields, section and f"{section}.")
        if name in RANGES and not RANGES[name].holds(value)
    ]
    if wrong:
        raise UserError(f"The configuration cannot be used:{''.join(wrong)}")


def _flat(fields: ml_collections.ConfigDict, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, ml_collections.ConfigDict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
