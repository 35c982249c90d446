"""One host of test_pipeline.py: writes its rows of the batches.

python pipeline_worker.py CONFIG_JSON HOST HOSTS FIRST_STEP STEPS OUT
"""

import json
import sys

import numpy as np

from ava_jax import workdir
from ava_jax.data import dataset, pipeline


def read(config, host, hosts, first_step, steps):
    """The arrays of a host's batches, by name."""

    def rows(batch):
        share = batch // hosts
        return range(host * share, (host + 1) * share)

    train = pipeline.train_batches(
        dataset.load_split(config, "train"),
        config,
        first_step=first_step,
        steps=steps,
        rows=rows(config.train.batch),
    )
    arrays = {}
    for step, batch in enumerate(train, first_step):
        arrays |= {f"train {step} {name}": array for name, array in batch.items()}
    val = dataset.load_split(config, "val")
    evaluated = pipeline.eval_batches(val, config, rows=rows(config.eval.batch))
    # Batches are others on other numbers of hosts; what is in them is the same.
    for batch in evaluated:
        scored = slice(rows(config.eval.batch).start, rows(config.eval.batch).stop)
        for first, count, clip, boxes in zip(
            *(batch["first_box"][scored], batch["count"][scored]),
            *(batch["clip"], batch["boxes"]),
        ):
            if count:
                arrays |= {f"val {first} clip": clip, f"val {first} boxes": boxes}
    return arrays


if __name__ == "__main__":
    config = workdir.from_dict(json.loads(sys.argv[1]))
    np.savez(sys.argv[6], **read(config, *map(int, sys.argv[2:6])))
