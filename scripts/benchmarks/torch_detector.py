"""The detectors in PyTorch, with its own 3D convolutions: a yardstick for speed.

Only for `model --compare torch`; needs torch and torchvision. Parameters have
MMAction2's names, so that the two networks can be given the same ones.
"""

import time

import ml_collections
import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.torch_vit import VisionTransformer
from torch import nn
from torchvision.ops import roi_align

from ava_jax.errors import UserError
from ava_jax.models import vit
from ava_jax.models.resnet3d import DEPTHS, EXPANSION

_STRIDE = 16  # of the map
# What the network here leaves out; the configurations without them are the two
# backbones' plain ones.
_PLAIN = {
    "nonlocal_blocks": ((), (), (), ()),
    "temporal_blocks": (),
    "temporal_pool": "avg",
    "slow_sampling": "stride",
    "lateral_norm": False,
    "context": False,
    "mlp_head": False,
    "shared_head": "",
    "roi_aligned": True,
    "roi_extension": (0.0, 0.0),
    "vit_pad": False,
    "res5_stride": 1,
    "res5_dilation": 1,
    "frozen_stages": -1,
    "multilabel": True,
    "focal_gamma": 0.0,
}


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs, outputs, kernel, strides=(1, 1, 1), relu=True):
        super().__init__()
        pads = tuple((k - 1) // 2 for k in kernel)
        self.conv = nn.Conv3d(inputs, outputs, kernel, strides, pads, bias=False)
        self.bn = nn.BatchNorm3d(outputs)
        self.relu = relu

    def forward(self, x):
        """(B, in, T, H, W) -> (B, out, T, H', W')."""
        x = self.bn(self.conv(x))
        return F.relu(x, inplace=True) if self.relu else x


class Lateral(nn.Module):
    """From the fast pathway to the slow one: a bare convolution along time."""

    def __init__(self, inputs, kernel, stride):
        super().__init__()
        self.conv = nn.Conv3d(
            inputs,
            2 * inputs,
            (kernel, 1, 1),
            (stride, 1, 1),
            ((kernel - 1) // 2, 0, 0),
            bias=False,
        )

    def forward(self, x):
        """(B, C, T, H, W) -> (B, 2 C, T / stride, H, W)."""
        return self.conv(x)


class Bottleneck(nn.Module):
    """1x1x1 or 3x1x1, then 1x3x3, then 1x1x1, beside a shortcut."""

    def __init__(self, inputs, width, stride, temporal):
        super().__init__()
        outputs, strides = width * EXPANSION["bottleneck"], (1, stride, stride)
        self.conv1 = ConvBlock(inputs, width, (3 if temporal else 1, 1, 1))
        self.conv2 = ConvBlock(width, width, (1, 3, 3), strides)
        self.conv3 = ConvBlock(width, outputs, (1, 1, 1), relu=False)
        self.downsample = (
            ConvBlock(inputs, outputs, (1, 1, 1), strides, relu=False)
            if inputs != outputs or stride != 1
            else nn.Identity()
        )

    def forward(self, x):
        """(B, in, T, H, W) -> (B, 4 width, T, H / stride, W / stride)."""
        y = self.conv3(self.conv2(self.conv1(x)))
        return F.relu(y + self.downsample(x), inplace=True)


class Pathway(nn.Module):
    """A stem and res2 to res5; `laterals` are channels that each stage gets more."""

    def __init__(self, blocks, width, stem_time, first_temporal, laterals):
        super().__init__()
        self.conv1 = ConvBlock(3, width, (stem_time, 7, 7), (1, 2, 2))
        inputs = width
        for i, count in enumerate(blocks):
            stage, middle = [], width * 2**i
            inputs += laterals[i]
            for j in range(count):
                stride = 2 if j == 0 and i in (1, 2) else 1
                stage.append(Bottleneck(inputs, middle, stride, i >= first_temporal))
                inputs = middle * EXPANSION["bottleneck"]
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))

    def stem(self, x):
        """(B, 3, T, H, W) -> (B, width, T, H / 4, W / 4)."""
        return F.max_pool3d(self.conv1(x), (1, 3, 3), (1, 2, 2), (0, 1, 1))

    def stages(self):
        """res2 to res5."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def forward(self, x):
        """(B, 3, T, H, W) -> maps of this pathway alone."""
        x = self.stem(x)
        for stage in self.stages():
            x = stage(x)
        return (x,)


class SlowFast(nn.Module):
    """Two pathways with lateral connections from the fast one."""

    def __init__(self, config):
        super().__init__()
        blocks, fast = DEPTHS[config.depth][1], config.width // config.fast_ratio
        sources = [fast, *(fast * 4 * 2**i for i in range(3))]
        laterals = [2 * channels for channels in sources]
        self.slow_stride = config.slow_stride
        self.slow_path = Pathway(blocks, config.width, 1, 2, laterals)
        self.fast_path = Pathway(blocks, fast, 5, 0, (0,) * 4)
        names = ["conv1", "layer1", "layer2", "layer3"]
        for name, channels in zip(names, sources, strict=True):
            lateral = Lateral(channels, config.lateral_kernel, config.slow_stride)
            self.slow_path.add_module(f"{name}_lateral", lateral)

    def forward(self, x):
        """(B, 3, T, H, W) -> maps of both pathways, the slow one's first."""
        path = self.slow_path
        slow, fast = path.stem(x[:, :, :: self.slow_stride]), self.fast_path.stem(x)
        laterals = (
            path.conv1_lateral,
            path.layer1_lateral,
            path.layer2_lateral,
            path.layer3_lateral,
        )
        stages = zip(path.stages(), self.fast_path.stages(), laterals, strict=True)
        for slow_stage, fast_stage, lateral in stages:
            slow = slow_stage(torch.cat([slow, lateral(fast)], 1))
            fast = fast_stage(fast)
        return slow, fast


class BoxHead(nn.Module):
    """Dropout, maximum over the bins, linear layer."""

    def __init__(self, channels, classes, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc_cls = nn.Linear(channels, classes)

    def forward(self, x):
        """(boxes, C, R, R) -> (boxes, classes)."""
        return self.fc_cls(self.dropout(x).amax((2, 3)))


class Detector(nn.Module):
    """Clips and boxes to logits, as `ava_jax.models.Detector`.

    Raises:
      UserError: the configuration is not one of the plain networks.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        super().__init__()
        _check(config)
        channels = config.width * 32
        if config.backbone == "vit":
            self.backbone = VisionTransformer(config)
            channels = vit.SIZES[config.vit_size].width
        elif config.backbone == "slowfast":
            self.backbone = SlowFast(config)
            channels += channels // config.fast_ratio
        else:
            blocks = DEPTHS[config.depth][1]
            self.backbone = Pathway(blocks, config.width, 1, 2, (0,) * 4)
        self.resolution = config.roi_resolution
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = BoxHead(channels, config.num_classes, config.dropout)

    def forward(self, clips, boxes):
        """Clips (B, 3, T, H, W), boxes (B, N, 4) -> (B, N, classes)."""
        maps = [x.mean(2) for x in self.backbone(clips)]
        batch, count = boxes.shape[:2]
        owner = torch.arange(batch, device=boxes.device, dtype=boxes.dtype)
        owner = owner[:, None, None].expand(batch, count, 1)
        rois = torch.cat([owner, boxes], -1).reshape(-1, 5)
        features = roi_align(
            torch.cat(maps, 1), rois, self.resolution, 1 / _STRIDE, 0, True
        )
        return self.roi_head.bbox_head(features).reshape(batch, count, -1)


def _check(config):
    if DEPTHS[config.depth][0] != "bottleneck":
        raise UserError(
            f"--compare torch has no network of depth {config.depth}: its blocks are "
            "bottlenecks (14, 26, 50, 101, 152)."
        )
    for field, value in _PLAIN.items():
        if config[field] != value:
            raise UserError(
                f"--compare torch has no network with config.model.{field} = "
                f"{config[field]!r}, only {value!r}: leave torch out, or take "
                "another configuration."
            )


class Step:
    """Inference, or a forward and backward pass, on the GPU if there is one.

    `step(times)` runs it this number of times and waits. float32 means the products in
    TF32 that JAX takes on GPUs too; bfloat16 means autocast.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        mode: str,
        inputs: tuple[np.ndarray, np.ndarray, np.ndarray],
        compiled: bool,
    ):
        """Builds the network and moves the inputs.

        Args:
          config: a `config.model`.
          mode: 'infer' or 'train'.
          inputs: clips (B, T, H, W, 3) and boxes (B, N, 4), float32; labels (B, N,
            classes), bool.
          compiled: by `torch.compile`.

        Raises:
          UserError: the configuration is not one of the plain networks.
        """
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.matmul.allow_tf32 = True
        detector = Detector(config).train(mode == "train")
        self.detector = detector.to(self.device, memory_format=torch.channels_last_3d)
        torch.compiler.reset()  # or a second batch size gets a program for any size
        self._forward = torch.compile(self.detector) if compiled else self.detector
        self._run = self._train if mode == "train" else self._infer
        self._dtype = config.dtype
        clips, boxes, labels = (torch.from_numpy(x).to(self.device) for x in inputs)
        # Channels last already, in memory: only the order of the axes is torch's.
        self._clips, self._boxes = clips.movedim(-1, 1), boxes
        self._labels = labels[..., 1:].float()

    def first(self) -> dict[str, float]:
        """Runs once: `compile_seconds`, with cuDNN's choice of algorithms."""
        since = time.perf_counter()
        self(1)
        return {"compile_seconds": time.perf_counter() - since}

    def __call__(self, times: int) -> None:
        """Runs the step this number of times, and waits."""
        for _ in range(times):
            self._run()
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def memory_gib(self) -> float:
        """The most that was allocated on the GPU."""
        return torch.cuda.max_memory_allocated() / 2**30

    @torch.no_grad()
    def logits(self) -> torch.Tensor:
        """(B, N, classes) float32."""
        return self._scores().float()

    def _infer(self):
        self.logits()

    def _train(self):
        loss = F.binary_cross_entropy_with_logits(
            self._scores()[..., 1:].float(), self._labels
        )
        loss.backward()
        self.detector.zero_grad(set_to_none=True)

    def _scores(self):
        narrow = self._dtype != "float32"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=narrow):
            return self._forward(self._clips, self._boxes)
