"""A small VideoMAE detector through all that a user does with one."""

import shutil

import jax
import numpy as np
import pytest
from exported import exported_scores
from made_up import made_up_variables
from trainings import checkpoint

from ava_jax.checkpoints.pytorch.convert_file import convert_file
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.export import export_file
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.evaluate import evaluate
from ava_jax.predict import Detector
from ava_jax.train import dry_run, train
from ava_jax.workdir import Workdir
from configs import mini

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def config(tiny_root):
    return small_config(tiny_root)


def small_config(root):
    """A recipe that trains on the miniature in seconds."""
    config = mini.get_config("vit")
    config.data.source, config.data.root = "folder", str(root)
    config.data.crop = config.data.test_short_side = 64
    config.data.train_short_side = (64, 72)
    config.train.batch = config.eval.batch = 4
    config.train.epochs, config.eval.every_epochs = 2, 0
    config.train.log_every = 1
    return config


@pytest.fixture(scope="module")
def trained(tiny_root, tmp_path_factory):
    """A working directory after two epochs, and the metrics."""
    config = small_config(tiny_root)
    workdir = Workdir(tmp_path_factory.mktemp("trained"))
    workdir.claim(config, False)
    return workdir, train(config, workdir)


def test_it_trains_and_evaluates(config, trained, tmp_path):
    workdir, metrics = trained
    assert metrics["mAP"] is not None
    found = checkpoint(workdir.path)
    moments = [key for _, key in found if ".mu" in key or "'mu'" in key]
    assert moments and not [key for key in moments if "pos_embed" in key]
    shutil.copytree(workdir.path, tmp_path / "copy")
    again = evaluate(config, Workdir(tmp_path / "copy"))
    assert again["mAP"] == metrics["mAP"]


def test_a_resumed_run_ends_with_the_same_weights(config, trained, tmp_path):
    workdir, _ = trained
    shutil.copytree(workdir.path, tmp_path / "run")
    newest = max((tmp_path / "run/checkpoints").iterdir(), key=lambda p: int(p.name))
    shutil.rmtree(newest)
    train(config, Workdir(tmp_path / "run"))
    expected = checkpoint(workdir.path)
    found = checkpoint(tmp_path / "run")
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=str(key))


def test_it_predicts_after_a_round_trip_by_pytorch(config, trained, tmp_path):
    workdir, _ = trained
    assert export_file(workdir.path, tmp_path / "vit.pth") == []
    convert_file(tmp_path / "vit.pth", tmp_path / "converted", config)
    frames = np.random.default_rng(0).integers(
        0, 256, (config.data.clip_len, 64, 90, 3), dtype=np.uint8
    )
    boxes = np.array([[10, 5, 40, 60], [50, 10, 80, 64]], np.float32)
    scores = [
        Detector.from_checkpoint(path).predict(frames, boxes)
        for path in (workdir.path, tmp_path / "converted")
    ]
    assert scores[0].shape == (2, 8)
    np.testing.assert_array_equal(*scores)
    exported = exported_scores(workdir.path, tmp_path / "model", frames, boxes)
    # Another program, whose sums have another order.
    np.testing.assert_allclose(exported, scores[0], rtol=0, atol=1e-6)


@pytest.fixture
def recogniser(config, tmp_path):
    """A file as of what was trained on Kinetics."""
    state = to_state_dict(made_up_variables(config.model))
    state = {key: x for key, x in state.items() if key.startswith("backbone.")}
    for name in ("weight", "bias"):
        state[f"backbone.fc_norm.{name}"] = state.pop(f"backbone.norm.{name}")
    state["cls_head.fc_cls.weight"] = np.zeros((400, 64), np.float32)
    state["cls_head.fc_cls.bias"] = np.zeros(400, np.float32)
    write_pytorch(tmp_path / "kinetics.pth", state, {})
    return tmp_path / "kinetics.pth"


def test_training_starts_from_a_recogniser(config, recogniser, capsys):
    config.init_from = str(recogniser)
    dry_run(config)
    assert "read; the head that scores actions is new" in capsys.readouterr().out


def test_a_recogniser_where_a_detector_is_needed(config, recogniser, tmp_path):
    with pytest.raises(UserError, match="has no trained head that scores boxes"):
        Detector.from_checkpoint(recogniser, config=config)
    config.init_from = str(recogniser)
    with pytest.raises(UserError, match="head"):
        evaluate(config, Workdir(tmp_path / "evaluation"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clip_len", 15, "cannot be cut into tubelets of 2 frames: set config.data.cl"),
        ("clip_len", 32, "position table is for clips of 16 frames, and the clip has"),
        ("crop", 15, "15 x 15 pixels hold no patch of 16 x 16"),
        ("test_short_side", 15, "15 x 15 pixels hold no patch of 16 x 16"),
    ],
)
def test_clips_that_do_not_fit_are_named_before_anything_else(
    config, tmp_path, field, value, message
):
    config.data[field] = value
    config.data.root = str(tmp_path / "nothing")
    config.init_from = "nothing"
    starts = [train, evaluate] if field != "crop" else [train]
    for start in starts:
        with pytest.raises(UserError, match=message):
            start(config, Workdir(tmp_path / "run"))
    with pytest.raises(UserError, match=message):
        dry_run(config)
    if field == "crop":
        return
    with pytest.raises(UserError, match=message):
        names = {i: str(i) for i in range(1, 8)}
        Detector(config, made_up_variables(config.model), names)


def test_recomputed_blocks_of_bfloat16_train(config):
    config.model.remat = (2, 3, 4, 5)
    config.model.dtype = "bfloat16"
    cost = dry_run(config)
    assert cost["parameters"] == sum(
        x.size for x in jax.tree.leaves(made_up_variables(config.model)["params"])
    )
