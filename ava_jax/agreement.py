"""What all processes must have alike, or they would train different models together.

With a single process nothing is computed here.
"""

import hashlib
import pathlib
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import ava_jax
from ava_jax import config as ava_config
from ava_jax import hosts

if TYPE_CHECKING:  # it imports TensorFlow
    from ava_jax.data.split import Split


def check_start(config: dict[str, Any], folder: pathlib.Path) -> None:
    """Configuration (as plain dicts), versions and working directory.

    Raises:
      UserError: they differ; names the processes, their hosts and the fields.
    """
    fields = dict(ava_config.flat(config))
    del fields["data.root"]  # may be another path to the same data
    versions = {"ava_jax": ava_jax.__version__, "jax": jax.__version__}
    hosts.check_agreement(
        "their configurations",
        fields | {f"version of {name}": value for name, value in versions.items()},
        "Start all with the same code and command; only --process may differ.",
    )
    hosts.check_shared(folder)


def check_data(name: str, split: "Split") -> None:
    """The annotations of a split, and how long its movies are.

    Raises:
      UserError: they differ; names the processes and their hosts.
    """
    if hosts.client() is None:
        return
    frames = split.frames
    arrays = [value for value in vars(split).values() if isinstance(value, np.ndarray)]
    hosts.check_agreement(
        f"the {name} split",
        {
            "number of movies": len(frames.videos),
            "number of key-frames": len(split),
            "number of boxes": len(split.truth_boxes),
            "SHA-256 of movies and boxes": _digest(
                [frames.videos, frames.first, frames.last, frames.size, *arrays]
            ),
        },
        "Copy the data set of one host to the others, or share one.",
    )


def check_parameters(params: Any) -> None:
    """The parameters that training starts from.

    Raises:
      UserError: they differ; names the processes and their hosts.
    """
    if hosts.client() is None:
        return
    hosts.check_agreement(
        "the parameters they start from",
        {"SHA-256": _digest(jax.tree.leaves(params))},
        "Is config.init_from the same file on all hosts, and the hardware of one kind?",
    )


def _digest(values) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
