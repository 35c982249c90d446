"""Reads doubtful files in a process that may die of them.

`python read_worker.py {table,mutations} FOLDER` prints a line of JSON for each file:
its door, its name and what came out. The file that is being read is in FOLDER.
"""

import json
import pathlib
import pickle
import resource
import sys
import warnings

# Memory, in bytes, on top of what the imports take; time of the whole process.
_MEMORY = 2**31
_CPU_SECONDS = 120
_MUTATIONS = 5000
_RESULTS = pathlib.Path(__file__).parents[1] / "data" / "annotations" / "results"
# Names of the videos that are numbers in PySlowFast's results.
_NAMES = _RESULTS / "excluded.csv"


def main(kind, folder):
    import hostile_pickles

    # What would be a warning to a user ends in the output instead.
    warnings.simplefilter("error")
    limit_resources()
    path = pathlib.Path(folder) / "file"
    if kind == "mutations":
        read_mutations(path)
        return
    for door in DOORS:
        for name, value in hostile_pickles.VALUES.items():
            for place, content in getattr(hostile_pickles, door)(value).items():
                report(door, f"{name} as {place}", read(door, path, content))


def limit_resources():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def report(door, name, outcome):
    print(json.dumps([door, name, outcome]), flush=True)


def read(door, path, content):
    """'read', or the class and the beginning of the message of the error."""
    path.write_bytes(content)
    try:
        DOORS[door](path)
    except Exception as error:
        return f"{type(error).__name__}: {error!s:.300}"
    return "read"


def read_mutations(path):
    import mutations
    import numpy as np

    seeds = list(sources())
    for i in range(_MUTATIONS):
        door, name, content, wrap = seeds[i % len(seeds)]
        changed = mutations.change(content, np.random.default_rng(i))
        report(door, f"{name} {i}", read(door, path, wrap(changed)))


def sources():
    """(door, name, pickle, function from a pickle to a file)."""
    import checkpoint_data
    import hostile_pickles
    import numpy as np

    rows = np.random.default_rng(0).random((3, 5))
    content = {f"v,{902 + i:04}": rows for i in range(3)} | {"w,0902": rows[:, :4]}
    for protocol in range(6):
        yield (
            "proposals",
            f"protocol {protocol}",
            pickle.dumps(content, protocol),
            bytes,
        )
    good = hostile_pickles.checkpoints(b"}")
    yield "checkpoints", "legacy", good["legacy, system"], bytes
    blobs = {"conv1_w": np.ones(3, np.float32)}
    yield "checkpoints", "caffe2", checkpoint_data.python2_pickle(blobs), bytes
    pickled = hostile_pickles.GOOD_CHECKPOINT
    yield "checkpoints", "zip", pickled, hostile_pickles.zipped
    yield "checkpoints", "whole zip", hostile_pickles.zipped(pickled), bytes
    written = (checkpoint_data.ROOT / "zip.pth").read_bytes()
    yield "checkpoints", "zip of torch", written, bytes
    for path in sorted(_RESULTS.glob("*.pkl")):
        yield "results", path.name, path.read_bytes(), bytes


if __name__ == "__main__":
    tests = pathlib.Path(__file__).parents[1]
    sys.path += map(str, (tests.parent, tests / "checkpoints", tests / "models"))

    from ava_jax.annotations import read_boxes
    from ava_jax.annotations.proposals import read_proposals
    from ava_jax.checkpoints.pytorch.reader import read_pytorch

    DOORS = {
        "proposals": read_proposals,
        "checkpoints": read_pytorch,
        "results": lambda path: read_boxes(path, kind="detections", index=_NAMES),
    }
    main(*sys.argv[1:])
