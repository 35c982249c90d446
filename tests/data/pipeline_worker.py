"""One host of test_pipeline.py: its rows of the batches."""

import from_config
import numpy as np

from ava_jax import workdir


def read(config, host, hosts, first_step, steps):
    """The arrays of a host's batches, by name."""

    def rows(batch):
        share = batch // hosts
        return range(host * share, (host + 1) * share)

    train = from_config.train_batches(
        from_config.load_split(config, "train"),
        config,
        first_step=first_step,
        steps=steps,
        rows=rows(config.train.batch),
    )
    arrays = {}
    for step, batch in enumerate(train, first_step):
        arrays |= {f"train {step} {name}": array for name, array in batch.items()}
    val = from_config.load_split(config, "val")
    evaluated = from_config.eval_batches(val, config, rows=rows(config.eval.batch))
    # Batches are others on other numbers of hosts; what is in them is the same.
    for batch in evaluated:
        scored = slice(rows(config.eval.batch).start, rows(config.eval.batch).stop)
        for first, count, clip, boxes in zip(
            batch["first_box"][scored],
            batch["count"][scored],
            batch["clip"],
            batch["boxes"],
        ):
            if count:
                arrays |= {f"val {first} clip": clip, f"val {first} boxes": boxes}
    return arrays


def write(i, _, fields, hosts, first_step, steps, folder):
    """The same for a process that is not the first, into a file."""
    config = workdir.from_dict(fields)
    np.savez(folder / f"{i + 1}.npz", **read(config, i + 1, hosts, first_step, steps))
