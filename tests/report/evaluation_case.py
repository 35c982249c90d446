"""A small evaluation for tests of its report."""

import numpy as np

from ava_jax import scoring
from ava_jax.annotations import BoxTable
from ava_jax.report.evaluation import KeyFrame

NASTY = '<script>alert("1")</script> & $x$'
NAMES = {12: "stand", 14: NASTY, 17: "carry", 69: "wave"}
HISTORY = [
    {"step": 10, "loss": 2.0, "lr": 0.1},
    {"step": 20, "loss": 1.0, "lr": 0.1, "mAP": 0.6},
]

LEFT, RIGHT, SMALL = (0.1, 0.2, 0.4, 0.9), (0.5, 0.1, 0.8, 0.9), (0.9, 0.1, 1.0, 0.3)
TRUTH = [
    (902, LEFT, 12),
    (902, LEFT, 17),
    (902, RIGHT, 14),
    (903, LEFT, 14),
    (904, RIGHT, 12),
    (905, SMALL, 12),  # has no box
]
DETECTED = [
    (902, LEFT, 12, 0.9),
    (902, LEFT, 14, 0.3),
    (902, RIGHT, 14, 0.8),
    (903, LEFT, 12, 0.7),  # false: walks
    (903, LEFT, 14, 0.2),
    (904, RIGHT, 12, 0.6),
    (904, RIGHT, 69, 0.55),
    (906, LEFT, 12, 0.65),  # on a key frame without ground truth
]


def table(rows):
    return BoxTable.from_columns(
        [NASTY],
        np.zeros(len(rows)),
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        label=[row[2] for row in rows],
        score=[row[3] if len(row) > 3 else np.nan for row in rows],
    )


def evaluation(truth=TRUTH, detected=DETECTED, names=NAMES, **options):
    """Metrics and findings."""
    tables = table(truth), table(detected)
    metrics = scoring.score_tables(
        *tables, names, groups={"pose": [12, 14], "object": [17]}, **options
    )
    return metrics, scoring.analyse_tables(*tables, names, **options)


def read_frame(video, second):
    rng = np.random.default_rng(int(second))
    return rng.integers(0, 255, (72, 96, 3), np.uint8)


def key_frames(count=3):
    return [
        KeyFrame(
            title=f"{NASTY}, second {i}",
            image=read_frame(NASTY, i),
            true_boxes=np.array([LEFT]),
            true_actions=[["stand", NASTY]],
            boxes=np.array([LEFT, RIGHT]),
            actions=[[("stand", 0.9)], [(NASTY, 0.7)]],
        )
        for i in range(count)
    ]
