"""Checks that all processes have the same configuration, data and parameters.

Otherwise they would train different models together. A single process has nothing to
compare.
"""

import hashlib
import json
import os
import pathlib
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

import ava_jax
from ava_jax import config as ava_config
from ava_jax.errors import UserError
from ava_jax.runtime import multihost

# Longest time until a new file is visible on another host, over NFS.
SHARED_SECONDS = 30


def check_start(config: dict[str, Any], folder: pathlib.Path) -> None:
    """Compares configurations (as plain dicts), versions and working directories.

    Raises:
      UserError: they differ; names the processes, their hosts and the fields.
    """
    fields = dict(ava_config.flat(config))
    del fields["data.root"]  # may be another path to the same data
    versions = {"ava_jax": ava_jax.__version__, "jax": jax.__version__}
    check_equal(
        "their configurations",
        fields | {f"version of {name}": value for name, value in versions.items()},
        "Start all with the same code and command; only --process may differ.",
    )
    check_shared(folder)


def check_parameters(params: Any) -> None:
    """Compares the initial parameters.

    Raises:
      UserError: they differ; names the processes and their hosts.
    """
    if jax.process_count() == 1:
        return
    check_equal(
        "the parameters they start from",
        {"SHA-256": digest(jax.tree.leaves(params))},
        "Is config.init_from the same file on all hosts, and the hardware of one kind?",
    )


def check_equal(what: str, fields: Mapping[str, Any], advice: str) -> None:
    """Compares the fields of every process with those of process 0.

    Args:
      what: what the fields describe, for the message.
      fields: values that JSON can represent.
      advice: a sentence with the remedy, for the message.

    Raises:
      UserError: some fields differ; raised by every process, names hosts and fields.
    """
    here = json.dumps([multihost.this_process(), fields])
    first, *others = map(json.loads, multihost.allgather_text(what, here))
    differences = [
        f"\n  {process}: {_difference(found, first[1])}"
        for process, found in others
        if found != first[1]
    ]
    if differences:
        raise UserError(
            f"The processes differ in {what}:{''.join(differences)}\n{advice}"
        )


def _difference(found: dict[str, Any], first: dict[str, Any]) -> str:
    return "; ".join(
        f"{field} is {found.get(field)!r} and on process 0 {first.get(field)!r}"
        for field in sorted(first | found)
        if first.get(field) != found.get(field)
    )


def check_shared(folder: pathlib.Path) -> None:
    """Checks that every process sees the folder of process 0.

    Raises:
      UserError: some do not; raised by every process, names their hosts.
    """
    if jax.process_count() == 1:
        return
    # A random name, so that a file of an earlier run cannot be taken for this one.
    token, *_ = multihost.allgather_text("token", secrets.token_hex(8))
    mark = folder / f".shared-{token}"
    if jax.process_index() == 0:
        mark.touch()
    seen = _appears(mark)
    here = json.dumps([seen, f"{multihost.this_process()} at {folder.absolute()}"])
    # Waits for all processes, so the file is deleted only after everybody has looked.
    first, *others = map(json.loads, multihost.allgather_text("folder", here))
    if jax.process_index() == 0:
        mark.unlink(missing_ok=True)
    elsewhere = [f"\n  {place}" for seen, place in others if not seen]
    if elsewhere:
        raise UserError(
            f"The working directory of {first[1]}, is not the same folder for:"
            f"{''.join(elsewhere)}\nCheckpoints need one that all hosts share (NFS, "
            "Lustre, Filestore, GCS FUSE): give its path to all with --workdir."
        )


def _appears(path: pathlib.Path) -> bool:
    end = time.monotonic() + SHARED_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            return False
        # Listing the folder makes an NFS client ask the server again.
        os.listdir(path.parent)
        time.sleep(0.5)
    return True


def digest(values: Iterable[Any]) -> str:
    """SHA-256 of the contents of the arrays, in order."""
    sha256 = hashlib.sha256()
    for value in values:
        sha256.update(np.ascontiguousarray(value).tobytes())
    return sha256.hexdigest()
