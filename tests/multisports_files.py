"""Files of MultiSports made of the fixtures of its metric."""

import json
import pathlib
import pickle

import numpy as np

REFERENCE = pathlib.Path(__file__).parent / "data" / "reference" / "multisports"


def load(number):
    """The fixture's description and arrays."""
    with np.load(REFERENCE / f"multisports_eval_{number}.npz") as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("meta"))), arrays


def ground_truth(meta, arrays):
    """The content of `multisports_GT.pkl`."""
    tubes = {video: {} for video in meta["test_videos"][0]}
    for name, rows in arrays.items():
        if name.startswith("gttubes/"):
            video, label, _ = name.removeprefix("gttubes/").rsplit("/", 2)
            tubes[video].setdefault(int(label), []).append(rows)
    sizes = {video: tuple(size) for video, size in meta["resolution"].items()}
    members = {name: meta[name] for name in ("labels", "test_videos", "nframes")}
    return {**members, "resolution": sizes, "gttubes": tubes}


def dump(meta, arrays):
    """The content of MMAction2's `--dump`, with scores 0 beside the highest."""
    samples = []
    for i, (video, frame) in enumerate(meta["samples"]):
        names = ("bboxes", "label", "score")
        box, label, score = (arrays[f"sample/{i:04d}/{name}"] for name in names)
        scores = np.zeros((len(label), len(meta["labels"])), np.float32)
        scores[np.arange(len(label)), label] = score
        samples.append(
            {
                "video_id": video,
                "timestamp": frame,
                "pred_instances": {"bboxes": box, "scores": scores},
            }
        )
    return samples


def write_pickle(path, content):
    """Writes the file, and returns its path."""
    path.write_bytes(pickle.dumps(content))
    return path


def csv_rows(meta, arrays):
    """Detections as rows of text, ids from 0."""
    return [
        f"{video},{frame},{','.join(f'{x:.9g}' for x in box)},{label},{score:.9g}"
        for i, (video, frame) in enumerate(meta["samples"])
        for box, label, score in zip(
            *(
                arrays[f"sample/{i:04d}/{name}"]
                for name in ("bboxes", "label", "score")
            ),
            strict=True,
        )
    ]
