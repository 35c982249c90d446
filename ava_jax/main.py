"""Trains or evaluates what a configuration file describes."""

import os
import sys

from absl import app, flags
from ml_collections import config_flags

from ava_jax import config as ava_config
from ava_jax.errors import UserError, tell
from ava_jax.runtime import logging

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Configuration: configs/FILE.py or configs/FILE.py:VARIANT"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is written.")
_MODE = flags.DEFINE_enum("mode", "train", ["train", "eval"], "What to do.")
_ACCEPT_CHANGES = flags.DEFINE_bool(
    "accept_config_changes", False, "Go on in a workdir of another configuration."
)
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0.")
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "How many train together; 1: ask no launcher.", lower_bound=1
)
_PROCESS = flags.DEFINE_integer("process", None, "Which one this is.", lower_bound=0)


def main(argv: list[str]) -> None:
    """Does what the flags say."""
    del argv
    if not (_WORKDIR.value or _CONFIG.value.dry_run):
        raise UserError("Say where to write the results: --workdir runs/NAME")
    # Imported here because --help and a mistyped flag should not wait for them.
    from ava_jax import evaluate, train, workdir
    from ava_jax.runtime.compilation_cache import use_cache
    from ava_jax.runtime.initialize import initialize

    with initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value):
        use_cache()
        if _CONFIG.value.dry_run:
            train.dry_run(_CONFIG.value)
            return
        folder = workdir.Workdir(_WORKDIR.value)
        folder.claim(_CONFIG.value, _ACCEPT_CHANGES.value)
        job = train.train if _MODE.value == "train" else evaluate.evaluate
        job(_CONFIG.value, folder)


def run() -> None:
    """Entry point: a user's mistakes and Ctrl-C end without a traceback."""
    # TensorFlow announces oneDNN on every start; it is not used here.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.set_up()
    try:
        app.run(main, flags_parser=ava_config.parse_flags)
    except (UserError, KeyboardInterrupt) as error:
        sys.exit(tell(error))


if __name__ == "__main__":
    run()
