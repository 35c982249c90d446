"""The evaluation job: what it scores, and that nothing else changes the result."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import evaluation_data
import flax.linen as nn
import from_config
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax import annotations, evaluate
from ava_jax.checkpoints import store
from ava_jax.errors import UserError
from ava_jax.models.detector import variable_shapes
from ava_jax.report.tables import headline, scalars
from ava_jax.runtime import sharding
from ava_jax.workdir import Workdir, as_dict

TESTS = pathlib.Path(__file__).parent
# Of the data set, but for the excluded key frame.
PEOPLE = 23


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "data"
    evaluation_data.make(folder)
    return folder


@pytest.fixture
def config(root):
    return evaluation_data.configuration(root)


# ---------------------------------------------- what is scored, by a stand-in


class StandIn(nn.Module):
    """Scores that tell which pixels, boxes and frame size they are of."""

    @nn.compact
    def __call__(self, clips, boxes, train, bank=None):
        width = clips.shape[3]
        left = clips[:, :, :, : width // 2].mean((1, 2, 3, 4))
        at = boxes[..., 0] / width + left[:, None] / 10 - width / 100
        return at[..., None] * jnp.arange(1.0, evaluation_data.CLASSES + 2)


def evaluator(config):
    return evaluate.Evaluator(config, sharding.make_mesh(), StandIn())


# One rounding in another order, of scores up to 1.
ROUNDING = 2e-7


def test_every_box_of_the_split_is_scored_once(config, root):
    results = evaluator(config).evaluate({})
    proposals = annotations.read_proposals(root / "annotations/val.pkl")
    excluded = annotations.read_exclusions(root / config.data.val.exclusions)
    expected = [
        (*key, *box)
        for key, boxes in proposals.items()
        if key not in excluded
        for box in boxes[:, :4].tolist()
    ]
    table = results.detections
    found = [
        (table.videos[v], t, *box)
        for v, t, box in zip(table.video, table.timestamp, table.box.tolist())
    ]
    # A row for every action, since all score above the threshold.
    classes = evaluation_data.CLASSES
    assert found == [row for row in expected for _ in range(classes)]
    assert table.label.tolist() == [*range(1, classes + 1)] * len(expected)
    assert len(set(table.score.tolist())) == len(table)


def test_the_threshold_leaves_out(config):
    config.eval.action_threshold = 0.5
    table = evaluator(config).evaluate({}).detections
    assert 0 < len(table) < PEOPLE * evaluation_data.CLASSES
    assert table.score.min() > 0.5
    # A score that equals the threshold is left out, too.
    config.eval.action_threshold = float(table.score.min())
    fewer = evaluator(config).evaluate({}).detections
    assert len(fewer) == len(table) - 1


@pytest.fixture(scope="module")
def strided(root):
    """An evaluator, results of all key frames, those of every second second."""
    config = evaluation_data.configuration(root)
    config.eval.stride_seconds = 2
    job = evaluator(config)
    return job, job.evaluate({}), job.estimate({})


def test_an_estimate_is_of_every_second_second(strided):
    job, whole, estimate = strided
    assert set(estimate.detections.timestamp.tolist()) == {2, 4, 6}
    counts = estimate.metrics["counts"]
    # Of `wide` 2, 4 and 6, of `narrow` 2 and 4.
    assert counts["keyframes"] == 5
    assert counts["ground_truth_boxes"] == 4 + 3 + 2 + 1 + 1
    assert counts["detections"] == 11 * evaluation_data.CLASSES
    assert estimate.metrics["stride_seconds"] == 2
    assert whole.metrics["counts"]["keyframes"] == 10
    assert "stride_seconds" not in whole.metrics
    # The same figure, of scores that were there anyway.
    subsampled = job.subsample(whole)
    np.testing.assert_allclose(subsampled.scores, estimate.scores, atol=ROUNDING)
    assert subsampled.metrics == estimate.metrics
    assert subsampled.metrics["mAP"] != whole.metrics["mAP"]


@pytest.mark.parametrize("stride", [0, 1])
def test_without_a_stride_an_estimate_is_the_whole(config, stride):
    config.eval.stride_seconds = stride
    job = evaluator(config)
    results = job.estimate({})
    assert job.subsample(results) is results
    assert results.metrics["counts"]["keyframes"] == 10
    assert "stride_seconds" not in results.metrics


def test_a_stride_without_an_action_is_refused(config):
    config.eval.stride_seconds = 7
    message = "no key frame with an action is at a multiple of 7 s .* is at 1 s"
    with pytest.raises(UserError, match=message):
        evaluator(config)


def test_mirror_images_are_averaged(config, rng):
    clips = rng.integers(0, 256, (2, 4, 32, 48, 3), np.uint8)
    boxes = rng.uniform(0, 32, (2, 3, 4)).astype(np.float32)
    x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    mirrored = clips[..., ::-1, :], np.stack([48 - x2, y1, 48 - x1, y2], axis=-1)
    mesh = sharding.make_mesh()
    plain = from_config.make_eval_step(StandIn(), config, mesh)
    both = from_config.make_eval_step(StandIn(), config, mesh, flip=True)
    expected = (plain({}, clips, boxes) + plain({}, *mirrored)) / 2
    np.testing.assert_allclose(both({}, clips, boxes), expected, atol=ROUNDING)
    np.testing.assert_allclose(both({}, *mirrored), expected, atol=ROUNDING)
    assert np.abs(plain({}, clips, boxes) - expected).max() > 0.01


def test_sizes_and_mirror_images_are_averaged_by_the_job(config, strided):
    def scores(side, **options):
        config.data.test_short_side = side
        config.eval.update({"short_sides": (), "flip": False} | options)
        return evaluator(config).evaluate({}).scores

    small, large = strided[1].scores, scores(40)
    both = scores(99, short_sides=(32, 40))
    np.testing.assert_allclose(both, (small + large) / 2, atol=ROUNDING)
    assert np.abs(small - large).max() > 0.01
    assert np.abs(scores(32, flip=True) - small).max() > 0.01


def test_what_is_told(strided):
    _, whole, estimate = strided
    whole, estimate = whole.metrics, estimate.metrics
    text = headline(whole)
    assert text.startswith(f"mAP {whole['mAP']:.4f} by pyslowfast (")
    assert f"crawl {whole['per_class']['2']:.3f}" in text
    # 'own' is no action of AVA.
    assert whole["groups"].keys() == {"pose"}
    pose = np.mean([whole["per_class"][i] for i in ("1", "2", "4", "5")])
    assert whole["groups"]["pose"] == pytest.approx(pose, abs=1e-15)
    assert text.endswith(f"; pose {pose:.3f}")
    assert scalars(whole) == {
        "mAP": whole["mAP"],
        "mAP_pyslowfast": whole["mAP"],
        "mAP_activitynet": whole["protocols"]["activitynet"]["mAP"],
        "mAP_mmaction2": whole["protocols"]["mmaction2"]["mAP"],
        "mAP_pose": whole["groups"]["pose"],
    }
    assert "(estimated from every 2 s: " in headline(estimate)
    assert set(scalars(estimate)) == {f"{name}/estimate" for name in scalars(whole)}


def test_no_detections_at_all(config):
    config.eval.action_threshold = 1.0
    config.eval.protocol = "mmaction2"
    metrics = evaluator(config).evaluate({}).metrics
    assert metrics["mAP"] is None
    assert headline(metrics) == "mAP n/a by mmaction2 (); pose n/a"
    assert scalars(metrics) == {"mAP_pyslowfast": 0.0, "mAP_activitynet": 0.0}


def test_results_of_older_versions_say_their_rules(strided):
    metrics = dict(strided[1].metrics)
    assert metrics["rules"]["max_per_frame"] == "all detections of a key frame count"
    del metrics["rules"]
    metrics["protocol"] = "activitynet"
    assert headline(metrics).startswith(f"mAP {metrics['mAP']:.4f} by pyslowfast (")


def test_an_unknown_protocol_stops_before_anything_is_scored(config):
    config.eval.protocol = "coco"
    with pytest.raises(UserError, match="'coco', expected one of pyslowfast, "):
        evaluator(config)


# ------------------------------------------- what does not change the result


@pytest.fixture(scope="module")
def weights(root, tmp_path_factory):
    """A checkpoint of a detector whose scores differ from box to box."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        if leaf.ndim == 1:
            return np.full(leaf.shape, path[-1].key in ("scale", "var"), np.float32)
        # Scores of the head should be neither 0 nor 1.
        gain = 0.1 if path[-2].key == "fc_cls" else 2
        deviation = (gain / np.prod(leaf.shape[:-1])) ** 0.5
        return deviation * rng.standard_normal(leaf.shape, np.float32)

    shapes = variable_shapes(evaluation_data.configuration(root).model)
    folder = tmp_path_factory.mktemp("weights")
    store.save_variables(folder, jax.tree_util.tree_map_with_path(draw, shapes))
    return folder


@pytest.fixture(scope="module")
def reference(root, weights, tmp_path_factory):
    """The job on one device, in one process, with batches of eight."""
    config = evaluation_data.configuration(root)
    config.init_from = str(weights)
    folder = tmp_path_factory.mktemp("reference")
    evaluate.evaluate(config, Workdir(folder))
    return folder


def read(folder):
    path = folder / "detections_val.csv"
    metrics = json.loads((folder / "metrics.json").read_text())
    return annotations.read_boxes(path, kind="detections"), metrics


def assert_same_results(folder, reference):
    (table, metrics), (expected, expected_metrics) = read(folder), read(reference)
    assert table.videos == expected.videos
    for column in ("video", "timestamp", "box", "label"):
        np.testing.assert_array_equal(getattr(table, column), getattr(expected, column))
    # float32: sums of some thousand products, in another order.
    np.testing.assert_allclose(table.score, expected.score, rtol=0, atol=1e-5)
    for name, protocol in expected_metrics["protocols"].items():
        mean = metrics["protocols"][name]["mAP"]
        assert mean == pytest.approx(protocol["mAP"], abs=1e-4)


def test_the_reference_can_tell(reference):
    table, metrics = read(reference)
    scores = table.score.reshape(-1, evaluation_data.CLASSES)
    assert len(scores) == PEOPLE
    # Another box's score is far from the tolerance.
    assert np.median(np.diff(np.sort(scores, axis=0), axis=0)) > 1e-3
    assert 0 < metrics["mAP"] < 1


@pytest.mark.parametrize("is_trained", [True, False])
def test_the_report_says_what_was_evaluated(
    config, weights, tmp_path, monkeypatch, is_trained
):
    reports = []
    monkeypatch.setattr(evaluate, "write_report", lambda *given: reports.append(given))
    config.init_from = str(weights)
    if is_trained:
        shutil.copytree(weights / "checkpoints", tmp_path / "checkpoints")
    evaluate.evaluate(config, Workdir(tmp_path))
    ((*_, about),) = reports
    assert about == {
        "run": str(tmp_path),
        "configuration": config.name,
        "checkpoint": "step 0" if is_trained else str(weights),
    }


def test_the_batch_changes_nothing(config, weights, reference, tmp_path, monkeypatch):
    # Its pictures take longer than the scores.
    monkeypatch.setattr(evaluate, "write_report", lambda *_: None)
    config.init_from = str(weights)
    config.eval.batch = 1
    evaluate.evaluate(config, Workdir(tmp_path))
    assert_same_results(tmp_path, reference)


def test_the_checkpoint_is_chosen(config, weights, tmp_path):
    config.init_from, config.checkpoint = str(weights), "7"
    with pytest.raises(UserError, match="'7'; .* has the checkpoints of steps 0"):
        evaluate.evaluate(config, Workdir(tmp_path))


def start(config, weights, folder, *process, devices=1):
    """The job in a process of its own."""
    config.init_from = str(weights)
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(as_dict(config)))
    flag = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, TESTS / "evaluation_worker.py", path, folder, *process],
        env={
            **os.environ,
            "PYTHONPATH": str(TESTS.parent),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": flag,
            "JAX_ENABLE_COMPILATION_CACHE": "0",  # see `runtime.compilation_cache`
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    """What the processes printed."""
    try:
        output = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, output, strict=True):
        assert process.returncode == 0, errors
    return [out.splitlines()[-1] for out, _ in output]


def test_the_number_of_devices_changes_nothing(config, weights, reference, tmp_path):
    folder = tmp_path / "run"
    told = finish(start(config, weights, folder, devices=4))
    assert told == ["1 processes, 4 devices"]
    assert_same_results(folder, reference)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(config, weights, reference, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{1}".format(*free.getsockname())
    folder = tmp_path / "run"
    told = finish(
        *[
            start(config, weights, folder, address, "2", str(index), devices=2)
            for index in range(2)
        ]
    )
    assert told == ["2 processes, 4 devices"] * 2
    assert_same_results(folder, reference)
