"""What all processes must have alike, or they would train different models together.

With a single process nothing is computed here.
"""

import hashlib
import pathlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

import ava_jax
from ava_jax import config as ava_config
from ava_jax.runtime import multihost


def check_start(config: dict[str, Any], folder: pathlib.Path) -> None:
    """Configuration (as plain dicts), versions and working directory.

    Raises:
      UserError: they differ; names the processes, their hosts and the fields.
    """
    fields = dict(ava_config.flat(config))
    del fields["data.root"]  # may be another path to the same data
    versions = {"ava_jax": ava_jax.__version__, "jax": jax.__version__}
    multihost.check_agreement(
        "their configurations",
        fields | {f"version of {name}": value for name, value in versions.items()},
        "Start all with the same code and command; only --process may differ.",
    )
    multihost.check_shared(folder)


def check_parameters(params: Any) -> None:
    """The parameters that training starts from.

    Raises:
      UserError: they differ; names the processes and their hosts.
    """
    if multihost.client() is None:
        return
    multihost.check_agreement(
        "the parameters they start from",
        {"SHA-256": digest(jax.tree.leaves(params))},
        "Is config.init_from the same file on all hosts, and the hardware of one kind?",
    )


def digest(values: Iterable[Any]) -> str:
    """SHA-256 of arrays, one after the other."""
    sha256 = hashlib.sha256()
    for value in values:
        sha256.update(np.ascontiguousarray(value).tobytes())
    return sha256.hexdigest()
