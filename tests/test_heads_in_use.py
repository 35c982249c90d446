"""Small detectors with the heads of MMAction2 1.x through all that a user does."""

import shutil

import numpy as np
import pytest
from exported import exported_scores
from trainings import checkpoint

from ava_jax.checkpoints.pytorch.convert_file import convert_file, verify
from ava_jax.checkpoints.pytorch.export import export_file
from ava_jax.evaluate import evaluate
from ava_jax.predict import Detector
from ava_jax.train import train
from ava_jax.workdir import Workdir

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Fields of config.model: all of AVA-Kinetics' and MultiSports' in one network.
HEADS = {
    "slowonly": {
        "backbone": "slowonly",
        "context": True,
        "temporal_pool": "max",
        "mlp_head": True,
        "focal_gamma": 1.0,
        "head_init": "xavier",
        "multilabel": False,
        "background_class": False,
    },
    "acrn": {"shared_head": "acrn"},
}


def small_config(make, name):
    """A recipe that trains on the miniature in seconds."""
    config = make()
    config.model.update(HEADS[name])
    config.model.depth = 10
    config.train.epochs, config.eval.every_epochs = 2, 0
    # Precise statistics are those of ACRN's normalisations, too.
    config.train.precise_bn_steps = 1
    return config


@pytest.fixture(scope="module", params=HEADS)
def trained(request, new_tiny_config, tmp_path_factory):
    """Configuration, working directory after two epochs, and the metrics."""
    config = small_config(new_tiny_config, request.param)
    workdir = Workdir(tmp_path_factory.mktemp("trained"))
    workdir.claim(config, False)
    return config, workdir, train(config, workdir)


@pytest.mark.parametrize("trained", ["acrn"], indirect=True)
def test_it_evaluates_and_resumes_with_the_same_weights(trained, tmp_path):
    config, workdir, metrics = trained
    shutil.copytree(workdir.path, tmp_path / "run")
    assert evaluate(config, Workdir(tmp_path / "run"))["mAP"] == metrics["mAP"]
    newest = max((tmp_path / "run/checkpoints").iterdir(), key=lambda p: int(p.name))
    shutil.rmtree(newest)
    train(config, Workdir(tmp_path / "run"))
    expected, found = checkpoint(workdir.path), checkpoint(tmp_path / "run")
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=str(key))


def test_it_predicts_after_a_round_trip_by_pytorch(trained, tmp_path):
    config, workdir, metrics = trained
    assert metrics["mAP"] is not None
    assert export_file(workdir.path, tmp_path / "out.pth") == []
    names = {i: f"action {i}" for i in config.data.class_ids}
    convert_file(tmp_path / "out.pth", tmp_path / "converted", config, labels=names)
    verify(tmp_path / "out.pth", tmp_path / "converted")
    shape = (config.data.clip_len, 64, 90, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    boxes = np.array([[10, 5, 40, 60], [50, 10, 80, 64]], np.float32)
    trained_scores, scores = (
        Detector.from_checkpoint(path).predict(frames, boxes)
        for path in (workdir.path, tmp_path / "converted")
    )
    assert scores.shape == (2, 8)
    if not config.model.multilabel:
        np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-6)
    if config.model.background_class:
        np.testing.assert_array_equal(scores, trained_scores)
    else:
        # The row of class 0 is not in the file: it is 0, and its scores are.
        np.testing.assert_allclose(scores, trained_scores, rtol=1e-6)
    exported = exported_scores(workdir.path, tmp_path / "model", frames, boxes)
    # Another program, whose sums have another order.
    np.testing.assert_allclose(exported, trained_scores, rtol=0, atol=1e-6)
