"""A small data set with frames of two shapes, and the configuration that reads it."""

import pickle

import cv2
import numpy as np

from ava_jax import config as ava_config

# Name, height, width, people at each of the seconds 1, 2, ... With three boxes a row,
# and second 3 of `wide` excluded, both have six rows: no batch of eight is full.
MOVIES = (
    ("wide", 40, 72, (1, 4, 2, 3, 1, 2)),
    ("narrow", 40, 48, (2, 1, 5, 1, 3)),
)
FPS = 2
CLASSES = 5


def make(root, seed=0):
    """Writes frames and annotations, and returns the configuration."""
    rng = np.random.default_rng(seed)
    boxes, proposals = [], {}
    for video, height, width, people in MOVIES:
        folder = root / "rawframes" / video
        folder.mkdir(parents=True)
        for index in range(1, (len(people) + 1) * FPS + 1):
            coarse = rng.integers(0, 256, (5, 9, 3), np.uint8)
            frame = cv2.resize(coarse, (width, height))
            cv2.imwrite(str(folder / f"img_{index:05}.jpg"), frame)
        for second, count in enumerate(people, 1):
            low = rng.uniform(0, 0.5, (count, 2))
            box = np.hstack([low, low + rng.uniform(0.3, 0.5, (count, 2))]).round(3)
            score = np.full((count, 1), 0.95)
            proposals[f"{video},{second:04}"] = np.hstack([box, score])
            for person, corners in enumerate(box.tolist()):
                label = rng.integers(1, CLASSES + 1)
                row = (video, f"{second:04}", *corners, label, person)
                boxes.append(",".join(map(str, row)))
    folder = root / "annotations"
    folder.mkdir()
    (folder / "val.csv").write_text("\n".join(boxes) + "\n")
    (folder / "excluded.csv").write_text("wide,0003\n")
    (folder / "val.pkl").write_bytes(pickle.dumps(proposals))
    names = ("bend/bow (at the waist)", "crawl", "own", "dance", "fall down")
    labels = "".join(f"{i}: {name}\n" for i, name in enumerate(names, 1))
    (folder / "labels.txt").write_text(labels)
    return configuration(root)


def configuration(root):
    """Reads it, for the detector that compiles fastest."""
    config = ava_config.default()
    config.model.backbone = "slowonly"
    config.model.depth, config.model.width = 10, 8
    config.model.num_classes = CLASSES + 1
    config.data.root = str(root)
    config.data.labels = "annotations/labels.txt"
    config.data.val.boxes = "annotations/val.csv"
    config.data.val.exclusions = "annotations/excluded.csv"
    config.data.val.proposals = "annotations/val.pkl"
    config.data.fps, config.data.timestamp_start = FPS, 0
    config.data.clip_len, config.data.frame_interval = 4, 1
    config.data.test_short_side = 32
    config.data.max_boxes = 3
    config.eval.batch = 8
    return config
