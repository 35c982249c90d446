"""Runs the evaluation job, maybe as one of several processes.

python evaluation_worker.py CONFIG.json WORKDIR [COORDINATOR PROCESSES INDEX]
"""

import json
import pathlib
import sys

import jax


def main():
    config, folder, *process = sys.argv[1:]
    if process:
        address, count, index = process
        jax.distributed.initialize(address, int(count), int(index))
    from ava_jax import evaluate, workdir

    config = workdir.from_dict(json.loads(pathlib.Path(config).read_text()))
    evaluate.evaluate(config, workdir.Workdir(folder))
    print(f"{jax.process_count()} processes, {jax.device_count()} devices")


if __name__ == "__main__":
    main()
