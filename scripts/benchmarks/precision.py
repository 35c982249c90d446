"""What lower precision costs in accuracy, against the stored outputs of MMAction2."""

import pathlib
import platform
import sys

import jax
import numpy as np

from ava_jax.checkpoints.pytorch.converter import convert_state_dict
from ava_jax.models import action_scores, build_detector

NAME = "precision"
HELP = "error of logits and scores in lower precision, on the tests' fixtures"
# Name -> (config.model.dtype, precision of float32 products).
PRECISIONS = {
    "float32, highest": ("float32", "highest"),
    "float32, default": ("float32", "default"),
    "bfloat16": ("bfloat16", "default"),
}
_ROOT = pathlib.Path(__file__).parents[2]
_CONFIGS = (
    "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb",
)


def add_arguments(parser):
    """Options of the subcommand."""
    parser.add_argument(
        "--variant",
        nargs="+",
        default=_CONFIGS,
        help="names of MMAction2's configurations that have a fixture",
    )


def run(args) -> dict:
    """Scores the clips of the fixtures; see `show` for what is returned."""
    sys.path[:0] = [str(_ROOT), str(_ROOT / "tests/models")]
    return {
        "device": jax.devices()[0].device_kind,
        "versions": {"jax": jax.__version__, "python": platform.python_version()},
        "configs": {name: _errors(name) for name in args.variant},
    }


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print("{device}, jax {versions[jax]}".format(**results))
    print("largest error of    logits     scores")
    for name, rows in results["configs"].items():
        print(name)
        for precision, row in rows.items():
            print(f"  {precision:16} {row['logits']:8.1e} {row['scores']:10.1e}")


def _errors(name):
    import reference_data

    config = reference_data.config(name).model
    expected, meta = reference_data.golden(name)
    weights = reference_data.mmaction2_state_dict(name)
    variables, _ = convert_state_dict(weights, config)
    exact = expected["cls_score_f64"]
    rows = {}
    for label, (dtype, products) in PRECISIONS.items():
        config.dtype = dtype
        with jax.default_matmul_precision(products):
            logits = jax.jit(build_detector(config).apply)(
                variables, reference_data.clips(meta), expected["proposals"][None]
            )[0]
        difference = np.abs(np.asarray(logits) - exact)
        scores = np.abs(np.asarray(action_scores(logits)) - expected["scores"])
        rows[label] = {
            "logits": float(difference.max()),
            "logits_rms": float(np.sqrt(np.square(difference).mean())),
            "logits_std": float(exact.std()),
            "scores": float(scores.max()),
        }
    return rows
