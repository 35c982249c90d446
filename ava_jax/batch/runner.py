"""Runs a pipeline, and says what stopped it as the rest of the package does."""

import logging
import re
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)

from ava_jax.batch.storage import NoRoom
from ava_jax.errors import UserError

# What Beam's name DirectRunner may choose instead downloads a program first.
_LOCAL = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_LOCAL_NAMES = ("", "DirectRunner", "FnApiRunner")
_BEAMS_LOGGER = "apache_beam.runners.common"
_LOST_WORKER = "Channel closed prematurely"
_USER_ERROR = re.compile(
    r"(?:UserError|NoRoom): (.*?)(?= \[while running|\n\S|\n\n|\Z)", re.DOTALL
)
_INTERRUPTED = re.compile(r"^\w*(Error: )?KeyboardInterrupt", re.MULTILINE)


def run(build: Callable[[beam.Pipeline], None], arguments: Sequence[str] = ()) -> None:
    """Runs a pipeline to its end.

    Args:
      build: adds the steps to it.
      arguments: Beam's pipeline options, such as ['--runner=FlinkRunner'].

    Raises:
      UserError: a step raised one, a file cannot be written, a worker was lost, or the
        runner cannot be started.
    """
    pipeline = _new_pipeline(arguments)
    logging.getLogger(_BEAMS_LOGGER).addFilter(_is_not_told)
    try:
        build(pipeline)
        pipeline.run().wait_until_finish()
    except Exception as error:
        # Runners give what a worker raised with a text around it, or as text alone.
        if _INTERRUPTED.search(str(error)):
            raise KeyboardInterrupt from error
        if found := _USER_ERROR.findall(f"{type(error).__name__}: {error}"):
            raise UserError(found[-1].strip()) from error
        if _LOST_WORKER in str(error):
            raise UserError(
                "A worker process ended by itself: it was killed, or its memory was "
                "not enough. What is finished is kept; the same command continues."
            ) from error
        raise


def _is_not_told(record: logging.LogRecord) -> bool:
    """Whether a line of Beam's log is not about what the user is told anyway."""
    kind = record.exc_info and record.exc_info[0]
    return not (kind and issubclass(kind, (UserError, NoRoom, KeyboardInterrupt)))


def _new_pipeline(arguments: Sequence[str]) -> beam.Pipeline:
    """A pipeline with Beam's options; without a runner it is for this machine."""
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if (standard.runner or "") in _LOCAL_NAMES:
        standard.runner = _LOCAL
    workers = options.view_as(WorkerOptions)
    if workers.sdk_harness_log_level_overrides is None:
        workers.sdk_harness_log_level_overrides = {"apache_beam": "WARNING"}
    try:
        return beam.Pipeline(options=options)
    except (ValueError, ImportError) as error:
        raise UserError(f"Apache Beam cannot run it: {error}") from error
