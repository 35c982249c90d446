"""From a configuration to a detector: backbone, RoI features, action scores."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ava_jax.errors import UserError
from ava_jax.models.acrn import ACRNHead
from ava_jax.models.backbones import BACKBONES, refuse
from ava_jax.models.batch_norm import PerReplica
from ava_jax.models.box_head import BoxHead
from ava_jax.models.long_term import COLUMNS, OPERATORS, Bank, LongTerm
from ava_jax.models.resnet3d import DEPTHS
from ava_jax.models.roi_align import extend_boxes, global_context, roi_align

# Field -> the values it may have.
CHOICES = {
    "depth": tuple(DEPTHS),
    "slow_sampling": ("stride", "linspace"),
    "nonlocal_mode": ("softmax", "dot_product"),
    "temporal_pool": ("avg", "max"),
    "dtype": ("float32", "bfloat16", "float64"),
    "bn": ("global", "per_replica", "frozen"),
    "res5_stride": (1, 2),
    "head_init": ("uniform", "xavier"),
    "shared_head": ("", "acrn", *OPERATORS),
}
# Field -> its least value.
MINIMA = {
    "width": 1,
    "num_classes": 2,
    "slow_stride": 1,
    "fast_ratio": 1,
    "lateral_kernel": 1,
    "res5_dilation": 1,
    "roi_resolution": 1,
}


class RoIHead(nn.Module):
    """Maps of the pathways and boxes -> logits (MMAction2 `AVARoIHead`).

    Attributes:
      num_classes, dropout, mlp, head_init: of `BoxHead`.
      temporal_pool: 'avg' or 'max', over the frames of each pathway. (MMAction2
        first repeats slow frames up to the fast pathway's number; as they are
        all repeated equally often, that changes neither.)
      context: append the pooled whole map to every box's features.
      resolution, stride, aligned: of `roi_align`.
      shared_head: what stands before the `BoxHead`: an `ACRNHead`, or a `LongTerm`.
      norm, dtype: of `ACRNHead`.
    """

    num_classes: int
    dropout: float
    mlp: bool
    head_init: str
    temporal_pool: str
    context: bool
    resolution: int
    stride: int
    aligned: bool
    shared_head: str
    norm: str | PerReplica
    dtype: str

    @nn.compact
    def __call__(
        self,
        maps: tuple[jax.Array, ...],
        boxes: jax.Array,
        train: bool,
        box_mask: jax.Array | None = None,
        bank: Bank | None = None,
    ) -> jax.Array:
        """Maps (B, T, H, W, C), boxes (B, N, 4) -> (B, N, num_classes)."""
        pooled = [_pool_time(m, self.temporal_pool) for m in maps]
        features = jnp.concatenate(pooled, axis=-1)
        self.sow("intermediates", "pooled_map", features)
        rois = roi_align(features, boxes, self.resolution, self.stride, self.aligned)
        if self.context:
            context = global_context(features, self.resolution)[:, None]
            rois = jnp.concatenate(
                [rois, jnp.broadcast_to(context, rois.shape)], axis=-1
            )
        self.sow("intermediates", "roi_feats", rois)
        if self.shared_head == "acrn":
            acrn = ACRNHead(self.norm, self.dtype, name="shared_head")
            rois = acrn(features, rois, box_mask, train)
        elif self.shared_head:
            # No dropout at all where the head has none.
            kind, drops = OPERATORS[self.shared_head], self.dropout > 0
            operator = LongTerm(kind, drops, self.dtype, name="shared_head")
            rois = operator(rois, bank, train)
        head = BoxHead(
            self.num_classes, self.dropout, self.mlp, self.head_init, name="bbox_head"
        )
        return head(rois, train)


def _pool_time(x, kind):
    """Mean or maximum over the frames of (B, T, H, W, C).

    Frame by frame: on CPUs, reducing an axis in the middle is 20 times slower.
    """
    frames = jax.lax.split(x, (1,) * x.shape[1], axis=1)
    if kind == "max":
        return functools.reduce(jnp.maximum, frames)[:, 0]
    return sum(frames)[:, 0] / len(frames)


class Detector(nn.Module):
    """Scores the actions of boxes in clips (MMAction2 `FastRCNN` for AVA).

    Parameters and statistics have the paths of MMAction2's keys, so that
    `params/backbone/layer1/0/conv1/conv/kernel` is
    `backbone.layer1.0.conv1.conv.weight`.

    Attributes:
      backbone: what `Backbone.build` makes.
      roi_head: of its maps.
      roi_extension: of `extend_boxes`, where the detector is not trained.
    """

    backbone: nn.Module
    roi_head: RoIHead
    roi_extension: tuple[float, float] = (0.0, 0.0)

    def __call__(
        self,
        clips: jax.Array,
        boxes: jax.Array,
        train: bool = False,
        box_mask: jax.Array | None = None,
        bank: Bank | None = None,
    ) -> jax.Array:
        """Logits of every box.

        Args:
          clips: (B, T, H, W, 3) float, normalised RGB.
          boxes: (B, N, 4), x1 y1 x2 y2 in pixels of the clip.
          train: use the batch's statistics (`batch_stats` must be mutable) and
            dropout (needs a 'dropout' rng unless its rate is 0).
          box_mask: (B, N), true for real boxes: those that enter the statistics of
            a head's normalisations in training; None: all.
          bank: long-term features of the clips and the columns of the boxes, as
            `LongTerm` takes them; for detectors with it.

        Returns:
          (B, N, num_classes) float32; class 0 is the reserved one.

        Raises:
          UserError: shapes that do not fit, a clip length that the slow stride
            does not divide or that a position table does not have, boxes that are
            not finite (seen only where their values are known: not under `jit`,
            where such boxes get features 0).
        """
        _check_inputs(clips, boxes)
        if bank is None and self.roi_head.shared_head in OPERATORS:
            raise UserError(
                f"config.model.shared_head is {self.roi_head.shared_head!r}: such a "
                "detector needs the long-term features of the whole video, and gets "
                "none here. It can be trained and evaluated on a data set with a bank, "
                "config.data.feature_bank."
            )
        maps = self.backbone(clips, train)
        if isinstance(maps, jax.Array):
            maps = (maps,)
        if any(self.roi_extension) and not train:
            boxes = extend_boxes(boxes, self.roi_extension, *clips.shape[2:4])
        return self.roi_head(maps, boxes, train, box_mask, bank)


def build_detector(
    model: ml_collections.ConfigDict, axis_name: str | None = None
) -> Detector:
    """The detector that `config.model` describes.

    Args:
      model: `config.model`.
      axis_name: of the mapped axis over which `model.bn = "per_replica"` averages the
        running statistics in training.

    Raises:
      UserError: a field has a value that is not known; names field and values.
    """
    _check_config(model)
    backbone = BACKBONES[model.backbone]
    norm = PerReplica(axis_name) if model.bn == "per_replica" else model.bn
    roi_head = RoIHead(
        num_classes=model.num_classes,
        dropout=model.dropout,
        mlp=model.mlp_head,
        head_init=model.head_init,
        temporal_pool=model.temporal_pool,
        context=model.context,
        resolution=model.roi_resolution,
        stride=backbone.map_stride(model),
        aligned=model.roi_aligned,
        shared_head=model.shared_head,
        norm=norm,
        dtype=model.dtype,
    )
    extension = tuple(model.roi_extension)
    return Detector(backbone.build(model, norm), roi_head, extension)


def check_clips(model: ml_collections.ConfigDict, clip_len: int, *sides: int) -> None:
    """Whether a detector takes clips, before it is compiled for them.

    Args:
      model: `config.model`, whose values are known.
      clip_len: their frames.
      sides: pixels of their shorter sides.

    Raises:
      UserError: it does not.
    """
    for side in sides:
        shape = (1, clip_len, side, side, 3)
        BACKBONES[model.backbone].check_clip(model, shape)


def init_variables(model: ml_collections.ConfigDict, rng: jax.Array) -> Any:
    """Fresh variables of the detector that `config.model` describes.

    Convolutions: Kaiming normal (fan out). Scales: 1, and 0 at the end of a
    residual branch and of a non-local block. Head: `model.head_init`.
    Drawn on the CPU, so that a GPU or TPU starts from the same numbers.

    Args:
      model: `config.model`.
      rng: a `jax.random` key.

    Returns:
      {'params': ..., 'batch_stats': ...}, float32. They do not depend on the
      clip's size.
    """
    init = build_detector(model).init
    # It runs once, so compile time matters: every random draw is a large program. For
    # the miniature 35 s on a CPU, 5 s without optimisation; for SlowFast R50 about 60 s
    # on an H200, 10 s on the CPU of its host.
    init = jax.jit(init, compiler_options={"xla_backend_optimization_level": 0})
    with jax.default_device(cpu_device()):
        variables = init(rng, **_smallest_inputs(model))
    if jax.default_backend() == "cpu":
        return variables
    return jax.tree.map(jnp.asarray, jax.device_get(variables))


def cpu_device() -> jax.Device | None:
    """This process's CPU; None if JAX_PLATFORMS leaves it out."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


def variable_shapes(model: ml_collections.ConfigDict) -> Any:
    """Like `init_variables`, with `jax.ShapeDtypeStruct`s for arrays; fast."""
    init = build_detector(model).init
    return jax.eval_shape(init, jax.random.key(0), **_smallest_inputs(model))


def _smallest_inputs(model):
    clips = jnp.zeros((1, *BACKBONES[model.backbone].smallest_clip(model), 3))
    inputs = {"clips": clips, "boxes": jnp.zeros((1, 1, 4))}
    if model.shared_head in OPERATORS:
        features = jnp.zeros((1, 1, model.bank_width))
        inputs["bank"] = features, jnp.zeros((1, 1, COLUMNS), jnp.int32)
    return inputs


def trainable(model: ml_collections.ConfigDict, params: Any) -> Any:
    """Which parameters are not of frozen stages: a tree of bools like `params`.

    An optimiser must leave the others alone: their gradient is zero, but weight
    decay would still change them. The lateral after a frozen stem or stage is
    frozen with it (MMAction2 keeps the one after the stem trainable).

    Args:
      model: `config.model`.
      params: of its detector.
    """
    frozen = BACKBONES[model.backbone].frozen_modules(model)

    def is_trainable(path, _):
        keys = [entry.key for entry in path]
        return keys[0] != "backbone" or not frozen.intersection(keys[1:3])

    return jax.tree.map_with_path(is_trainable, params)


def _check_config(model):
    choices = {"backbone": tuple(BACKBONES), **CHOICES}
    for field, values in choices.items():
        if model[field] not in values:
            refuse(model, field, "one of " + ", ".join(map(repr, values)))
    for field, least in MINIMA.items():
        if model[field] < least:
            refuse(model, field, f"{least} or more")
    backbone = BACKBONES[model.backbone]
    backbone.check(model)
    if model.frozen_stages > backbone.stages:
        refuse(model, "frozen_stages", f"at most {backbone.stages}")
    if not 0 <= model.dropout < 1:
        refuse(model, "dropout", "a rate of at least 0 and below 1")
    if model.width % model.fast_ratio:
        refuse(model, "fast_ratio", f"a divisor of config.model.width, {model.width}")
    if model.lateral_kernel % 2 == 0:
        refuse(model, "lateral_kernel", "an odd number of frames")
    if not set(model.remat) <= {2, 3, 4, 5}:
        refuse(model, "remat", "stages, of 2, 3, 4, 5")
    _check_blocks(model)


def _check_blocks(model):
    counts = DEPTHS[model.depth][1]
    if len(model.temporal_blocks) not in (0, 4):
        refuse(model, "temporal_blocks", "a number for each of res2..res5, or ()")
    if len(model.nonlocal_pool) != 3 or min(model.nonlocal_pool) < 1:
        refuse(model, "nonlocal_pool", "three sizes: time, height, width")
    blocks = model.nonlocal_blocks
    if len(blocks) != 4 or any(
        not 0 <= block < count
        for stage, count in zip(blocks, counts, strict=True)
        for block in stage
    ):
        refuse(
            model,
            "nonlocal_blocks",
            f"four tuples of block indices; depth {model.depth} has {counts} blocks",
        )


def _check_inputs(clips, boxes):
    if clips.ndim != 5 or clips.shape[-1] != 3:
        raise UserError(
            f"The detector takes clips of shape (batch, time, height, width, 3), "
            f"not {clips.shape}."
        )
    if boxes.ndim != 3 or boxes.shape[0] != clips.shape[0] or boxes.shape[-1] != 4:
        raise UserError(
            f"The detector takes boxes of shape ({clips.shape[0]}, boxes, 4) with "
            f"clips of shape {clips.shape}, not {boxes.shape}."
        )
    if not isinstance(boxes, jax.core.Tracer) and not np.isfinite(boxes).all():
        clip, box = np.argwhere(~np.isfinite(boxes).all(-1))[0]
        raise UserError(
            f"boxes[{clip}, {box}] is {np.asarray(boxes)[clip, box].tolist()}: "
            f"coordinates must be finite pixels, x1 y1 x2 y2."
        )
