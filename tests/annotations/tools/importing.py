"""Runs `prepare_ava.py import` and reads what it wrote."""

import prepare_ava

from ava_jax import annotations


def run_import(root, *arguments):
    """Imports for configs/own.py, all of it for training."""
    prepare_ava.main(
        [
            "import",
            "--config=configs/own.py",
            f"--config.data.root={root}",
            "--val-share=0",
            *map(str, arguments),
        ]
    )


def rows_of(root, split="train"):
    """{(video, second, corners, action, person)} of an own data set."""
    labels = annotations.read_labels(root / "annotations/actions.txt")
    table = annotations.read_boxes(root / f"annotations/{split}.csv")
    return {
        (table.videos[video], time, tuple(box), labels[label], person)
        for video, time, box, label, person in zip(
            table.video.tolist(),
            table.timestamp.tolist(),
            table.box.tolist(),
            table.label.tolist(),
            table.entity.tolist(),
            strict=True,
        )
    }


def empty_frames_of(root, split="train"):
    """{(video, second)} of key frames without people."""
    table = annotations.read_boxes(root / f"annotations/{split}.csv")
    return {
        (table.videos[video], time)
        for video, time in zip(
            table.keyframe_video.tolist(), table.keyframe_timestamp.tolist()
        )
    }
