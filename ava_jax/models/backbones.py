"""The networks below the RoI head, each by one entry of `BACKBONES`."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import ml_collections

from ava_jax.errors import UserError
from ava_jax.models import i3d, vit
from ava_jax.models.batch_norm import PerReplica
from ava_jax.models.resnet3d import DEPTHS, NonLocal, ResNet3d, StageSpec
from ava_jax.models.slowfast import SlowFast, SlowPathway, slow_frames

Model = ml_collections.ConfigDict


@dataclasses.dataclass(frozen=True)
class Backbone:
    """What a detector knows of its backbone; functions take `config.model`.

    Attributes:
      build: with the mode of its batch normalisations, the module. It is called with
        clips (B, T, H, W, 3) and `train`, and returns a map (B, T', H', W', C) or
        one for each pathway.
      map_stride: pixels of the clip from one cell of the map to the next.
      smallest_clip: frames, height and width of the smallest clip.
      stages: that `frozen_stages` may freeze, after the stem.
      frozen_modules: names of the modules that `frozen_stages` freezes, at most two
        levels below the backbone.
      check: raises a `UserError` for fields of this backbone alone.
      check_clip: with the shape (B, T, H, W, 3) of clips, raises one if it does not
        take them.
    """

    build: Callable[[Model, str | PerReplica], nn.Module]
    map_stride: Callable[[Model], int]
    smallest_clip: Callable[[Model], tuple[int, int, int]]
    stages: int
    frozen_modules: Callable[[Model], set[str]]
    check: Callable[[Model], None] = lambda model: None
    check_clip: Callable[[Model, tuple[int, ...]], None] = lambda model, shape: None


def refuse(model: Model, field: str, expected: str) -> None:
    """Raises a `UserError` for the value of a field of `config.model`."""
    raise UserError(f"config.model.{field} is {model[field]!r}; expected: {expected}.")


# -------------------------------------------------------------------------- I3D
def _i3d(model, norm):
    return i3d.InceptionI3d(
        norm=norm,
        frozen_stages=model.frozen_stages,
        remat=tuple(model.remat),
        dtype=model.dtype,
    )


I3D = Backbone(
    build=_i3d,
    # Its map is taken before the fifth stage.
    map_stride=lambda model: 16,
    smallest_clip=lambda model: (2 * model.slow_stride, 64, 64),
    stages=3,
    frozen_modules=lambda model: i3d.stages_up_to(model.frozen_stages + 1),
)


# -------------------------------------------------------------------------- ViT
def _vit(model, norm):
    del norm  # it has no batch normalisation
    return vit.VisionTransformer(
        size=vit.SIZES[model.vit_size],
        drop_path=model.drop_path,
        frozen_stages=model.frozen_stages,
        remat=tuple(model.remat),
        pad=model.vit_pad,
        dtype=model.dtype,
    )


def _check_vit(model):
    if model.vit_size not in vit.SIZES:
        refuse(model, "vit_size", "one of " + ", ".join(map(repr, vit.SIZES)))
    if not 0 <= model.drop_path < 1:
        refuse(model, "drop_path", "a rate of at least 0 and below 1")


def _frozen_vit(model):
    depth, last = vit.SIZES[model.vit_size].depth, model.frozen_stages
    blocks = {str(i) for i in range(depth) if vit.stage(i, depth) <= last}
    return blocks | ({"patch_embed"} if last >= 0 else set())


VIT = Backbone(
    build=_vit,
    map_stride=lambda model: vit.TUBELET[1],
    smallest_clip=lambda model: (vit.GRID[0] * vit.TUBELET[0], *vit.TUBELET[1:]),
    stages=4,
    frozen_modules=_frozen_vit,
    check=_check_vit,
    check_clip=lambda model, shape: vit.token_grid(shape),
)


# ---------------------------------------------------------------------- ResNets
def _slowonly(model, norm):
    stages = _stages(model, norm, model.width, 2, True)
    return ResNet3d(stages=stages, **_common(model, norm))


def _slowfast(model, norm):
    slow, fast = _slow_pathway(model, norm), _fast_pathway(model, norm)
    return SlowFast(slow, fast, model.slow_sampling)


def _slow_pathway(model, norm):
    return SlowPathway(
        stages=_stages(model, norm, model.width, 2, True),
        fast_ratio=model.fast_ratio,
        lateral_kernel=model.lateral_kernel,
        lateral_norm=model.lateral_norm,
        time_stride=model.slow_stride,
        **_common(model, norm),
    )


def _fast_pathway(model, norm):
    width = model.width // model.fast_ratio
    common = _common(model, norm) | {"width": width, "stem_time": 5}
    return ResNet3d(stages=_stages(model, norm, width, 0, False), **common)


def _common(model, norm):
    frozen = model.frozen_stages >= 0
    return {
        "width": model.width,
        "stem_time": 1,
        "frozen_stages": model.frozen_stages,
        "stem_norm": "frozen" if frozen else norm,
        "nonlocal_kind": NonLocal(model.nonlocal_mode, tuple(model.nonlocal_pool)),
        "dtype": model.dtype,
    }


def _stages(model, norm, width, first_temporal, with_nonlocal):
    """Specs of res2..res5; those before `first_temporal` see single frames."""
    block, counts = DEPTHS[model.depth]
    limits = model.temporal_blocks or counts
    return tuple(
        StageSpec(
            block=block,
            blocks=counts[i],
            width=width * 2**i,
            stride=(1, 2, 2, model.res5_stride)[i],
            dilation=(1, 1, 1, model.res5_dilation)[i],
            temporal_blocks=limits[i] if i >= first_temporal else 0,
            nonlocal_blocks=tuple(model.nonlocal_blocks[i]) if with_nonlocal else (),
            norm="frozen" if i < model.frozen_stages else norm,
            remat=i + 2 in model.remat,
        )
        for i in range(4)
    )


def _frozen_layers(model):
    stages = model.frozen_stages
    frozen = {"conv1", "conv1_lateral"} if stages >= 0 else set()
    for i in range(1, stages + 1):
        frozen |= {f"layer{i}", f"layer{i}_lateral"}
    return frozen


def _check_slow_frames(model, shape):
    slow_frames(shape[1], model.slow_stride, model.slow_sampling)


def _resnet(build, **checks):
    return Backbone(
        build=build,
        **checks,
        map_stride=lambda model: 16 * model.res5_stride,
        # It leaves a pool of a non-local block a whole window.
        smallest_clip=lambda model: (2 * model.slow_stride, 64, 64),
        stages=4,
        frozen_modules=_frozen_layers,
    )


# config.model.backbone -> its entry.
BACKBONES = {
    "slowonly": _resnet(_slowonly),
    "slowfast": _resnet(_slowfast, check_clip=_check_slow_frames),
    "i3d": I3D,
    "vit": VIT,
}
