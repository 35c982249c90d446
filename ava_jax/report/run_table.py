"""A table of training runs: how far, how good, how fast, and what differs."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ava_jax.config import flat

_HEADINGS = ("run", "step", "best mAP", "at step", "loss", "clips/s", "what differs")
# Losses of single batches vary: the mean of the last ones is shown.
_LAST_LOSSES = 10
# Fields of the last command in a working directory: they say nothing of the training.
_OF_A_COMMAND = ("checkpoint", "dry_run", "profile")


def run_table(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    configs: Mapping[str, Mapping[str, Any]],
) -> str:
    """A line for each run.

    Args:
      histories: run -> the records of its `history.jsonl`.
      configs: run -> its configuration as nested dicts, {} if it is not known.
    """
    differing = _differences(configs)
    rows = [_HEADINGS]
    rows += [(run, *_figures(histories[run]), differing[run]) for run in histories]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            # Names and the last column to the left, numbers to the right.
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _figures(history: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """Last step, best mAP and its step, loss, median speed; '' for what is missing."""
    step = max((record["step"] for record in history), default=0)
    scored = [record for record in history if record.get("mAP") is not None]
    best = max(scored, key=lambda record: record["mAP"], default=None)
    losses = [record["loss"] for record in history if "loss" in record]
    speeds = [r["clips_per_second"] for r in history if "clips_per_second" in r]
    return (
        f"{step:.0f}",
        f"{best['mAP']:.4f}" if best else "",
        f"{best['step']:.0f}" if best else "",
        f"{statistics.fmean(losses[-_LAST_LOSSES:]):.4f}" if losses else "",
        f"{statistics.median(speeds):.1f}" if speeds else "",
    )


def _differences(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Run -> the fields, with its values, that are not the same in all runs."""
    fields = {run: dict(flat(config)) for run, config in configs.items() if config}
    names = dict.fromkeys(name for values in fields.values() for name in values)
    # As text, because JSON makes lists of tuples, which cannot be put into a set.
    differing = [
        name
        for name in names
        if name not in _OF_A_COMMAND
        and len({repr(values.get(name)) for values in fields.values()}) > 1
    ]
    return {
        run: " ".join(
            f"{name}={fields[run][name]}"
            for name in differing
            if name in fields.get(run, {})
        )
        for run in configs
    }
