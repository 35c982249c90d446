"""The working directory of a run: its configuration, history and results."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
from ml_collections import config_dict

from ava_jax import config as ava_config
from ava_jax import files, lock
from ava_jax.config import flat
from ava_jax.errors import UserError
from ava_jax.runtime import consistency, logging, multihost

# Fields that may change between two starts of one run: they decide where things
# are and what is reported, not what is computed.
_FREE = (
    "checkpoint",
    "data.root",
    "data.video",
    "data.frame_store",
    "data.frame_name",
    "data.frames",
    "devices",
    "dry_run",
    "eval.",
    "profile",
    "train.keep",
    "train.log_every",
)

CHECKPOINTS = "checkpoints"  # the folder with a folder for each step


class Workdir:
    """Paths and small files of a run; checkpoints are `checkpoints.store`'s.

    Of several processes, the first one writes. The others log into `logs/`.
    """

    def __init__(self, path: str | os.PathLike):
        """Makes the folder.

        Raises:
          UserError: it cannot be made or written.
        """
        self.path = pathlib.Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.touch()
            # Another process may have been faster.
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"The working directory {path} cannot be written "
                f"({error.strerror}). Give another one: --workdir DIR"
            ) from error

    def __truediv__(self, name: str) -> pathlib.Path:
        """A path inside."""
        return self.path / name

    @contextlib.contextmanager
    def only_run(self) -> Iterator[None]:
        """In the block no other run, training or evaluation, writes here.

        Process 0 holds the lock for all processes of the run.

        Raises:
          UserError: another run is using the folder; names its host and process.
        """
        if jax.process_index() != 0:
            yield
            return
        with lock.only_run(self.path):
            yield

    def claim(self, config: ml_collections.ConfigDict, accept_changes: bool) -> None:
        """Writes `config.json`, after comparing it with the one that is there.

        Args:
          config: of this start.
          accept_changes: continue with the new configuration where it differs.

        Raises:
          UserError: checkpoints are there, of another configuration; or other
            processes have another one, or another folder.
        """
        consistency.check_start(as_dict(config), self.path)
        if jax.process_index() != 0:
            logging.to_file(self / "logs" / f"process_{jax.process_index()}.log")
        with multihost.main_process_first("config.json"):
            if jax.process_index() == 0:
                self._write_config(config, accept_changes)

    def _write_config(self, config, accept_changes) -> None:
        path = self / "config.json"
        # Started is not trained: a batch that was too large may be made smaller.
        trained = is_trained(self.path)
        if trained and path.exists() and not accept_changes:
            # An older program wrote fewer fields.
            there = as_dict(from_dict(files.read_json(path)))
            changes = differences(there, as_dict(config))
            if changes:
                raise UserError(
                    f"{self.path} belongs to another configuration "
                    f"(there, now):\n  " + "\n  ".join(changes) + "\nGive another "
                    "--workdir, or add --accept-config-changes to continue here with "
                    "the new one."
                )
        files.write_json(path, as_dict(config))

    def append_history(self, step: int, scalars: dict[str, float]) -> None:
        """Adds what was measured after `step` steps to `history.jsonl`."""
        if jax.process_index() != 0:
            return
        with open(self / "history.jsonl", "a") as file:
            file.write(json.dumps({"step": step, **scalars}) + "\n")

    def history(self) -> list[dict[str, float]]:
        """The lines of `history.jsonl`."""
        path = self / "history.jsonl"
        return read_history(self.path) if path.exists() else []

    def rewind_history(self, step: int) -> None:
        """Drops what was measured after `step`: it will be measured again."""
        path = self / "history.jsonl"
        if not path.exists() or jax.process_index() != 0:
            return
        kept = [line for line in self.history() if line["step"] <= step]
        files.replace(path, "".join(json.dumps(line) + "\n" for line in kept))


def read_history(workdir: str | os.PathLike) -> list[dict[str, float]]:
    """The whole lines of a working directory's `history.jsonl`.

    Raises:
      UserError: there is no such file, or it is not JSON lines.
    """
    path = pathlib.Path(workdir) / "history.jsonl"
    if not path.exists():
        raise UserError(
            f"There is no {path}. Give the working directory of a training that has "
            "logged at least once."
        )
    try:
        # The file of a run that still trains, or was killed, can end in half a line.
        whole = path.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read: {error}. Give the working directory of a training "
            "that has logged at least once."
        ) from error


def is_trained(workdir: str | os.PathLike) -> bool:
    """Whether a working directory has a checkpoint, whole or damaged."""
    folder = pathlib.Path(workdir, CHECKPOINTS)
    return any(path.name.isdigit() for path in folder.glob("*"))


def as_dict(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The configuration as JSON gives it back: plain dicts and lists."""
    return json.loads(json.dumps(config.to_dict()))


def read_config(path: str | os.PathLike) -> ml_collections.ConfigDict:
    """The configuration of a working directory.

    Raises:
      UserError: there is none.
    """
    file = pathlib.Path(path, "config.json")
    if not file.is_file():
        raise UserError(
            f"{path} holds no config.json. Give the working directory of a training, "
            "or a directory that ava-jax convert wrote."
        )
    return from_dict(files.read_json(file))


def from_dict(fields: dict[str, Any]) -> ml_collections.ConfigDict:
    """The configuration of a `config.json`.

    Fields that it lacks, because it is older than they are, have their default.
    """
    whole = _merged(as_dict(ava_config.default()), fields)
    return config_dict.ConfigDict(whole, convert_dict=True)


def _merged(defaults: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    inner = {
        name: _merged(value, fields[name])
        for name, value in defaults.items()
        if isinstance(value, dict) and isinstance(fields.get(name), dict)
    }
    return defaults | fields | inner


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """'field: old, new' for every field that matters and differs."""
    old, new = dict(flat(old)), dict(flat(new))
    return [
        f"{field}: {old.get(field)}, {new.get(field)}"
        for field in sorted(old | new)
        if old.get(field) != new.get(field) and not field.startswith(_FREE)
    ]
