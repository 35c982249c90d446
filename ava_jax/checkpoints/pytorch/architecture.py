"""Which network a set of tensors is of, read from their shapes."""

import re
from collections.abc import Mapping
from typing import Any

import ml_collections

from ava_jax.checkpoints.pytorch.families import HEAD, SCORING
from ava_jax.models import i3d, vit
from ava_jax.models.resnet3d import DEPTHS, EXPANSION

Shapes = Mapping[str, tuple[int, ...]]
# These decide the head's shape only.
HEAD_FIELDS = ("num_classes", "mlp_head", "context", "shared_head")


def read_architecture(shapes: Shapes) -> dict[str, Any]:
    """The fields of config.model that tensors of these shapes belong to.

    Args:
      shapes: MMAction2's key -> shape in torch's layout; 2D kernels are allowed.

    Returns:
      field -> value, of the fields that can be seen. `temporal_blocks` counts the
      blocks of res2..res5 of the (slow) pathway with a temporal kernel.
    """
    if any(key.startswith("backbone.Mixed_") for key in shapes):
        return {"backbone": "i3d"} | _head(shapes, i3d.channels("Mixed_4f"))
    if any(key.startswith("backbone.blocks.") for key in shapes):
        return _transformer(shapes)
    two = any(key.startswith("backbone.slow_path.") for key in shapes)
    pathway = "backbone.slow_path." if two else "backbone."
    fields: dict[str, Any] = {"backbone": "slowfast" if two else "slowonly"}
    stem = shapes.get(f"{pathway}conv1.conv.weight")
    if stem:
        fields["width"] = stem[0]
    fields |= _blocks(shapes, pathway)
    if two:
        fields |= _laterals(shapes, fields.get("width"))
    return fields | _head(shapes, _channels(fields))


def configured_architecture(model: ml_collections.ConfigDict) -> dict[str, Any]:
    """The fields that `read_architecture` sees in tensors of a configured network.

    Args:
      model: `config.model`.
    """
    head = {field: model[field] for field in HEAD_FIELDS}
    if model.shared_head in ("fbo_max", "fbo_avg"):
        # They have no parameters: a head like that with context.
        head |= {"shared_head": "", "context": True}
    if model.backbone == "i3d":
        return {"backbone": "i3d"} | head
    if model.backbone == "vit":
        return {"backbone": "vit", "vit_size": model.vit_size} | head
    _, counts = DEPTHS[model.depth]
    temporal = model.temporal_blocks or counts
    fields = {
        "backbone": model.backbone,
        "width": model.width,
        "depth": model.depth,
        "nonlocal_blocks": tuple(map(tuple, model.nonlocal_blocks)),
        # The slow pathway looks at single frames up to res3.
        "temporal_blocks": (0, 0, *map(min, temporal[2:], counts[2:])),
    }
    if model.backbone == "slowfast":
        for field in ("lateral_kernel", "lateral_norm", "fast_ratio"):
            fields[field] = model[field]
    return fields | head


def differences(
    found: Mapping[str, Any], expected: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Field -> (value of `found`, of `expected`), of those in both that differ."""
    return {
        field: (found[field], expected[field])
        for field in found
        if field in expected and found[field] != expected[field]
    }


def name(fields: Mapping[str, Any]) -> str:
    """'SlowFast R50' and the like."""
    if fields["backbone"] == "i3d":
        return "I3D"
    if fields["backbone"] == "vit":
        return f"ViT {fields['vit_size']}"
    backbone = {"slowonly": "SlowOnly", "slowfast": "SlowFast"}[fields["backbone"]]
    return f"{backbone} R{fields.get('depth', '?')}"


def _transformer(shapes):
    width = shapes.get("backbone.patch_embed.projection.weight", ("?",))[0]
    depth = len({key.split(".")[2] for key in shapes if ".blocks." in key})
    sizes = {(size.width, size.depth): name for name, size in vit.SIZES.items()}
    size = sizes.get((width, depth), f"{width} x {depth}")
    return {"backbone": "vit", "vit_size": size} | _head(shapes, width)


def _blocks(shapes, pathway):
    pattern = re.compile(re.escape(pathway) + r"layer([1-4])\.(\d+)\.(.*)")
    blocks = [{} for _ in range(4)]
    for key, shape in shapes.items():
        match = pattern.fullmatch(key)
        if match:
            block = blocks[int(match[1]) - 1].setdefault(int(match[2]), {})
            block[match[3]] = shape
    bottleneck = any(
        "conv3.conv.weight" in b for stage in blocks for b in stage.values()
    )
    kind = "bottleneck" if bottleneck else "basic"
    counts = tuple(len(stage) for stage in blocks)
    depths = [depth for depth, spec in DEPTHS.items() if spec == (kind, counts)]
    fields = {
        "nonlocal_blocks": tuple(
            tuple(sorted(i for i, b in stage.items() if _has_nonlocal(b)))
            for stage in blocks
        ),
        "depth": depths[0] if depths else f"{kind} {counts}",
    }
    kernels = [b.get("conv1.conv.weight", ()) for b in blocks[0].values()]
    if all(len(kernel) == 5 for kernel in kernels):
        fields["temporal_blocks"] = tuple(
            sum(b.get("conv1.conv.weight", (0, 0, 1))[2] > 1 for b in stage.values())
            for stage in blocks
        )
    else:
        # An image's network has no say in what is added for time.
        del fields["nonlocal_blocks"]
    return fields


def _has_nonlocal(block):
    return any(key.startswith("non_local_block.") for key in block)


def _laterals(shapes, width):
    fields = {}
    lateral = shapes.get("backbone.slow_path.conv1_lateral.conv.weight")
    fast = shapes.get("backbone.fast_path.conv1.conv.weight")
    if lateral:
        fields["lateral_kernel"] = lateral[2]
        fields["lateral_norm"] = "backbone.slow_path.conv1_lateral.bn.weight" in shapes
    if fast and width:
        fields["fast_ratio"] = width // fast[0]
    return fields


def _channels(fields):
    """Of the map that the head looks at; None if the layers do not say it."""
    if "width" not in fields or fields.get("depth") not in DEPTHS:
        return None
    block, _ = DEPTHS[fields["depth"]]
    channels = fields["width"] * 8 * EXPANSION[block]
    if "fast_ratio" in fields:
        channels += channels // fields["fast_ratio"]
    return channels


def _head(shapes, channels):
    layers = [
        shapes[f"{name}.weight"] for name in SCORING if f"{name}.weight" in shapes
    ]
    if not layers:
        return {}
    classes, inputs = layers[0]
    result = {"num_classes": classes, "mlp_head": f"{HEAD}.2.weight" in shapes}
    acrn = shapes.get("roi_head.shared_head.conv1.conv.weight")
    long_term = shapes.get("roi_head.shared_head.fbo.st_feat_conv.weight")
    non_local = "fbo_non_local" if long_term else ""
    result["shared_head"] = "acrn" if acrn else non_local
    if channels is not None:
        # The layers of an MLP are as wide as its input; ACRN adds the map to it.
        inputs = acrn[1] - channels if acrn else inputs
        result["context"] = inputs == 2 * channels and not long_term
    return result
