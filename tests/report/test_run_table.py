"""The table of runs."""

from ava_jax.report.run_table import run_table

HISTORIES = {
    "runs/a": [
        {"step": 10, "loss": 0.9, "clips_per_second": 20.0},
        {"step": 20, "loss": 0.7, "clips_per_second": 30.0},
        {"step": 20, "mAP": 0.5},
        {"step": 30, "loss": 0.5, "clips_per_second": 40.0},
        {"step": 30, "mAP": 0.25},
        {"step": 30, "mAP": None},
    ],
    "runs/longer": [{"step": 5, "loss": 1.0}],
    "runs/none": [],
}
CONFIGS = {
    "runs/a": {
        "seed": 0,
        "checkpoint": "best",
        "optim": {"lr": 0.1, "decay_epochs": [10, 15]},
    },
    "runs/longer": {"seed": 0, "optim": {"lr": 0.2, "decay_epochs": [10]}},
    "runs/none": {},
}


def test_a_line_for_each_run():
    assert run_table(HISTORIES, CONFIGS).splitlines() == [
        "run          step  best mAP  at step    loss  clips/s  what differs",
        "runs/a         30    0.5000       20  0.7000     30.0  "
        "optim.lr=0.1 optim.decay_epochs=[10, 15]",
        "runs/longer     5                     1.0000           "
        "optim.lr=0.2 optim.decay_epochs=[10]",
        "runs/none       0",
    ]


def test_the_loss_is_the_mean_of_the_last_ten():
    history = [{"step": i, "loss": float(i)} for i in range(1, 21)]
    assert " 15.5000" in run_table({"a": history}, {"a": {}})
