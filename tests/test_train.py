"""Training on a tiny data set with its options on, and what it leaves to look at."""

import gzip
import json
import os
import re
import signal
import time

import flax
import from_config
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from made_up import made_up_variables
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from ava_jax import files
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.config import ranges
from ava_jax.errors import UserError
from ava_jax.evaluate import Evaluator
from ava_jax.train import dry_run, train
from ava_jax.workdir import Workdir

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def stopped(new_tiny_config, tmp_path_factory):
    """A run with all options on, whose learning rate is absurd from epoch 2 on."""
    config = new_tiny_config()
    config.model.backbone = "slowonly"
    config.model.width = config.model.fast_ratio = 4
    config.train.epochs, config.eval.every_epochs = 3, 1
    config.train.accumulate, config.train.ema = 2, 0.9
    config.train.precise_bn_steps = 2
    config.train.log_every = 2
    config.optim.warmup_epochs, config.optim.schedule = 0, "step"
    config.optim.decay_epochs, config.optim.decay_factor = (1,), 1e30
    config.optim.lr_multipliers = (("backbone/conv1", 0.0), (".*/bn/", 0.5))
    config.profile = "1-1"
    workdir = Workdir(tmp_path_factory.mktemp("stopped"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError) as error:
        # No rate that a user may give rises during training.
        patch.delitem(ranges.RANGES, "optim.decay_factor")
        train(config, workdir)
    return config, workdir, str(error.value)


@pytest.fixture(scope="module")
def checkpoint(stopped):
    """Step and arrays of the newest checkpoint."""
    folders = list((stopped[1] / "checkpoints").iterdir())
    newest = max(folders, key=lambda path: int(path.name))
    with ocp.StandardCheckpointer() as checkpointer:
        items = {
            item: checkpointer.restore(newest / item)
            for item in ("variables", "optimizer")
        }
    return int(newest.name), items


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_good(stopped, checkpoint):
    config, workdir, message = stopped
    split = from_config.load_split(config, "train")
    good = from_config.steps_per_epoch(split, config)
    assert f"in step {good + 1} (looked at with steps " in message
    assert f"The checkpoint of step {good} is kept" in message
    assert "--config.optim.lr" in message
    step, items = checkpoint
    assert step == good
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(items))
    expected = [
        [split.frames.videos[split.video[k]], split.second[k]]
        for k in from_config.key_frames(split, config, good)
    ]
    bad = files.read_json(workdir / "bad_batch.json")
    assert bad == {"step": good + 1, "clips": expected}
    assert f"{expected[0][0]} at {expected[0][1]:g} s" in message


@pytest.mark.slow
def test_history_has_all_that_is_watched(stopped):
    history = stopped[1].history()
    assert {
        "loss",
        "lr",
        "grad_norm",
        "param_norm",
        "recall@top3",
        "prec@thr=0.5",
        "clips_per_second",
        "clips_per_second_per_device",
        "data_wait",
    } <= history[0].keys()
    assert any("mAP" in record for record in history)


@pytest.mark.slow
def test_the_average_is_kept_for_use_and_a_factor_of_0_freezes(checkpoint):
    _, items = checkpoint
    averaged = flax.traverse_util.flatten_dict(items["variables"]["params"], sep="/")
    last = flax.traverse_util.flatten_dict(items["optimizer"]["params"], sep="/")
    frozen = [name for name in last if name.startswith("backbone/conv1")]
    assert len(frozen) == 3
    for name in last:
        assert np.array_equal(last[name], averaged[name]) == (name in frozen), name


@pytest.mark.slow
def test_predictions_are_shown_at_every_evaluation(stopped):
    pictures = [
        value
        for path in (stopped[1] / "events").iterdir()
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag == "predictions"
    ]
    assert len(pictures) == 1
    assert pictures[0].tensor.string_val[2].startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_trace_can_be_opened(stopped):
    (trace,) = (stopped[1] / "profile").glob("**/perfetto_trace.json.gz")
    with gzip.open(trace) as file:
        assert json.load(file)["traceEvents"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "work", ["evaluate", pytest.param("estimate", marks=pytest.mark.long)]
)
def test_a_stop_in_an_evaluation_saves_first(
    new_tiny_config, tmp_path, monkeypatch, work
):
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    config = new_tiny_config()
    config.model.backbone = "slowonly"
    config.model.width = config.model.fast_ratio = 4
    config.train.epochs, config.train.save_every_epochs = 2, 100
    config.eval.every_epochs = 1
    workdir = Workdir(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Evaluator, work, interrupted)
        train(config, workdir)
    [saved] = (workdir / "checkpoints").iterdir()
    split = from_config.load_split(config, "train")
    epochs = 1 if work == "estimate" else 2
    assert int(saved.name) == epochs * from_config.steps_per_epoch(split, config)
    assert not (workdir / "metrics.json").exists()
    assert train(config, workdir)["mAP"] is not None


def test_values_are_checked_before_anything_is_made(tiny_config, tmp_path):
    tiny_config.train.keep = 0
    workdir = Workdir(tmp_path / "run")
    for start in (lambda: train(tiny_config, workdir), lambda: dry_run(tiny_config)):
        with pytest.raises(UserError, match=r"train\.keep is 0; expected: .*1 or more"):
            start()
    assert not list((tmp_path / "run").iterdir())


@pytest.fixture
def small(tiny_config, tmp_path):
    """A configuration, and a detector with its backbone and other actions."""
    tiny_config.model.backbone, tiny_config.model.depth = "slowonly", 10
    other = tiny_config.model.copy_and_resolve_references()
    other.num_classes = 3
    path = tmp_path / "other.pth"
    write_pytorch(path, to_state_dict(made_up_variables(other)), {})
    tiny_config.init_from = str(path)
    return tiny_config


def test_a_dry_run_reads_data_and_weights(small, tmp_path, capsys):
    root, small.data.root = small.data.root, ""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/data").symlink_to(root)
    dry_run(small, tmp_path / "run")
    out = capsys.readouterr().out
    data = f"7 key frames to train on, 3 to validate, in {tmp_path / 'run/data'}"
    assert re.search(rf"\ndata +{data}\n", out), out
    assert re.search(r"\nboxes by action +[^;]* \d+, [^;]* \d+", out), out
    weights = f"{small.init_from}, read; the head that scores actions is new"
    assert re.search(rf"\ninitial weights +{weights}\n", out), out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_from": "runs/none"}, "no checkpoint runs/none.*init_from=scratch"),
        (
            {"model.depth": 14},
            r"other\.pth: .*SlowOnly R10, the configuration has Slow",
        ),
        ({"data.labels": "none.txt"}, r"missing files: 1\n.*none\.txt"),
        ({"data.fps": 60}, "data.fps"),
        ({"model.class_weights": "1, 2"}, "has 2 numbers, and the model 7 actions"),
        ({"model.class_weights": "1, 0"}, "model.class_weights is '1, 0'; expected: "),
    ],
)
def test_a_dry_run_refuses_what_training_would(small, change, message):
    small.update_from_flattened_dict(change)
    with pytest.raises(UserError, match=f"(?s){message}"):
        dry_run(small)


def test_the_named_clips_are_those_of_the_batch(tiny_config):
    tiny_config.data.min_visible = 0.0  # nobody is left out
    split = from_config.load_split(tiny_config, "train")
    batches = from_config.train_batches(
        split, tiny_config, first_step=1, steps=3, rows=range(4)
    )
    for step, batch in enumerate(batches, 1):
        key_frames = from_config.key_frames(split, tiny_config, step)
        for k, labels in zip(key_frames, batch["labels"], strict=True):
            truth = split.truth_classes[slice(*split.truth_starts[k : k + 2])]
            np.testing.assert_array_equal(labels.any(0), truth.any(0))
