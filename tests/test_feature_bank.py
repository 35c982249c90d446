"""A feature bank from its writing to a detector that was trained with it."""

import json
import shutil

import from_config
import jax
import numpy as np
import pytest
import trainings
import video_files
from made_up import made_up_variables

from ava_jax import export
from ava_jax.checkpoints.load import read_detector
from ava_jax.checkpoints.pytorch.convert_file import convert_file, verify
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.export import export_file
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.data import pipeline
from ava_jax.data.dataset import load_split
from ava_jax.data.feature_bank import open_bank
from ava_jax.errors import UserError
from ava_jax.evaluate import evaluate
from ava_jax.inference.clip_sampler import VideoSampling, sample_clips
from ava_jax.inference.video_minutes import VideoMinutes
from ava_jax.models import action_scores, build_detector
from ava_jax.models.long_term import COLUMNS, SECONDS, SLOTS
from ava_jax.models.preprocessing import Normalization
from ava_jax.predict import Detector
from ava_jax.runtime import sharding
from ava_jax.train import dry_run, train
from ava_jax.video.clip_sampling import ClipSampling
from ava_jax.video.reader import VideoReader
from ava_jax.workdir import Workdir
from ava_jax.write_features import write_features

pytestmark = pytest.mark.usefixtures("quick_compilation")
WIDTH = 256  # of the map of SlowOnly with 8 channels, of basic blocks' 8 x 8 x 4


@pytest.fixture(scope="module")
def small(new_tiny_config):
    """A SlowOnly recipe that trains on the miniature in seconds."""

    def make(**model):
        config = new_tiny_config()
        config.model.backbone, config.model.depth = "slowonly", 14
        config.model.update(model)
        config.train.epochs, config.eval.every_epochs = 1, 0
        return config

    return make


@pytest.fixture(scope="module")
def first(small, tmp_path_factory):
    """The working directory of a detector without a bank, of made-up weights."""
    folder = tmp_path_factory.mktemp("first")
    config = small()
    state = to_state_dict(made_up_variables(config.model))
    write_pytorch(folder / "out.pth", state, {})
    names = {i: f"action {i}" for i in config.data.class_ids}
    convert_file(folder / "out.pth", folder / "run", config, labels=names)
    return Workdir(folder / "run")


@pytest.fixture(scope="module")
def bank(small, first, tmp_path_factory):
    """The folder of its bank."""
    folder = tmp_path_factory.mktemp("bank") / "features"
    config = small()
    config.eval.write_features = str(folder)
    write_features(config, first)
    return folder


def with_bank(small, bank, operator="fbo_non_local"):
    config = small(shared_head=operator, bank_width=WIDTH)
    config.data.feature_bank = str(bank)
    config.data.bank_rows = 100
    return config


def test_a_bank_has_the_features_of_every_person(small, bank):
    opened = open_bank(bank)
    assert opened.width == WIDTH
    for name in ("train", "val"):
        split = load_split(small().data, name, small().model.num_classes)
        counts = np.diff(split.proposal_starts)
        for k in range(len(split)):
            video, second = split.key(k)
            number, row, count = opened.rows[video][int(second)]
            assert count == counts[k]
            features = opened.arrays[number][row : row + count]
            assert np.isfinite(features).all() and np.abs(features).max() > 0
    facts = json.loads((bank / "bank.json").read_text())
    assert facts["checkpoint"] == "step 0" and facts["person_score"] == [0.9, 0.9]


def test_features_are_what_the_head_scores(small, first, bank):
    config, variables, _ = read_detector(first.path)
    config.data = small().data
    mesh = sharding.make_mesh()
    split = load_split(config.data, "val", config.model.num_classes)
    batch = next(
        pipeline.eval_batches(split, config.data, batch=4, short_side=64, rows=range(4))
    )
    step = from_config.make_eval_step(build_detector(config.model), config, mesh)
    scores = np.asarray(step(variables, batch["clip"], batch["boxes"]))
    layer = variables["params"]["roi_head"]["bbox_head"]["fc_cls"]
    features = np.load(bank / "val/00000.npy")
    for i, (row, count) in enumerate(zip(batch["first_box"], batch["count"])):
        logits = features[row : row + count] @ layer["kernel"] + layer["bias"]
        # Half precision.
        np.testing.assert_allclose(
            scores[i, :count, 1:], 1 / (1 + np.exp(-logits[:, 1:])), atol=1e-3
        )


def test_a_stopped_writing_goes_on(small, first, bank, tmp_path):
    shutil.copytree(bank, tmp_path / "bank")
    for part in ("train/00001.npy", "val/index.json", "train/index.json"):
        (tmp_path / "bank" / part).unlink()
    kept = (tmp_path / "bank/train/00000.npy").stat().st_mtime_ns
    with pytest.raises(UserError, match=r"no whole feature bank.*index\.json"):
        open_bank(tmp_path / "bank")
    config = small()
    config.eval.write_features = str(tmp_path / "bank")
    write_features(config, first)
    assert (tmp_path / "bank/train/00000.npy").stat().st_mtime_ns == kept
    for path in bank.rglob("*.npy"):
        there = tmp_path / "bank" / path.relative_to(bank)
        assert there.read_bytes() == path.read_bytes()


def test_another_detectors_bank_is_kept(small, first, bank):
    config = small()
    config.eval.write_features = str(bank)
    config.data.person_score = 0.5
    with pytest.raises(UserError, match="has the features of .*Give another folder"):
        write_features(config, first)


@pytest.fixture(scope="module")
def trained(small, bank, tmp_path_factory):
    config = with_bank(small, bank)
    workdir = Workdir(tmp_path_factory.mktemp("trained"))
    workdir.claim(config, False)
    return config, workdir, train(config, workdir)


def test_it_evaluates_and_resumes_with_the_same_weights(trained, tmp_path):
    config, workdir, metrics = trained
    shutil.copytree(workdir.path, tmp_path / "run")
    assert evaluate(config, Workdir(tmp_path / "run"))["mAP"] == metrics["mAP"]
    for path in (tmp_path / "run/checkpoints").iterdir():
        shutil.rmtree(path)
    (tmp_path / "run/metrics.json").unlink()
    train(config, Workdir(tmp_path / "run"))
    expected = trainings.checkpoint(workdir.path)
    found = trainings.checkpoint(tmp_path / "run")
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=str(key))


def test_weights_go_to_pytorch_and_back(trained, tmp_path):
    config, workdir, _ = trained
    assert export_file(workdir.path, tmp_path / "out.pth") == []
    names = {i: f"action {i}" for i in config.data.class_ids}
    convert_file(tmp_path / "out.pth", tmp_path / "converted", config, labels=names)
    verify(tmp_path / "out.pth", tmp_path / "converted")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three seconds, in the size that clips have."""
    path = tmp_path_factory.mktemp("film") / "film.mov"
    video_files.write_video(path, video_files.pictures(30, 64, 80), fps=10)
    return path


def people_at(frame):
    """Three people."""
    return np.array([[5, 5, 40, 60], [30, 10, 70, 60], [2, 2, 20, 30]])


def test_a_lone_video(trained, first, film):
    """Each clip gets the features that the other detector has of the whole video."""
    _, workdir, _ = trained
    detector = Detector.from_checkpoint(workdir.path, features=first.path)
    found = detector.predict_video(film, people_at, batch=2).collect()
    assert [result.time for result in found] == [0, 1, 2]

    config, variables, _ = read_detector(first.path)
    module = build_detector(config.model)
    normalize = Normalization.from_config(config.data)

    def clips(config):
        sampling = VideoSampling(ClipSampling.from_config(config.data), 64, 1.0)
        with VideoReader(film) as video:
            return [one.clip[None] for one in sample_clips(video, sampling)]

    boxes = people_at(None)[None].astype(np.float32)
    features = []
    for clip in clips(config):
        _, taps = module.apply(
            variables, normalize(clip), boxes, mutable=["intermediates"]
        )
        (rois,) = taps["intermediates"]["roi_head"]["roi_feats"]
        features.append(np.asarray(rois.max((2, 3))[0], np.float16))
    features = np.concatenate(features)

    config, variables, _ = read_detector(workdir.path)
    module = build_detector(config.model)
    minutes = VideoMinutes(
        zip((0.0, 1.0, 2.0), np.split(features, 3), strict=True), WIDTH, 900
    )
    for result, clip in zip(found, clips(config), strict=True):
        bank = tuple(x[None] for x in minutes.at(result.time, len(boxes[0])))
        logits = module.apply(variables, normalize(clip), boxes, bank=bank)
        scores = np.asarray(action_scores(logits))[0]
        np.testing.assert_allclose(result.scores, scores, rtol=0, atol=1e-6)


def test_the_minutes_of_a_video():
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(n, 4)).astype(np.float16) for n in (2, 0, 7)]
    times = (0.0, 1.0, 40.0)
    minutes = VideoMinutes(zip(times, features, strict=True), 4, limit=3)
    # Nine people in a minute are more than the limit.
    rows, columns = minutes.at(20.0, 3)
    assert rows.shape == (9, 4) and columns.shape == (3, COLUMNS)
    np.testing.assert_array_equal(rows, np.concatenate(features))
    seconds = columns.reshape(3, SECONDS, SLOTS)
    assert seconds[:, 10, :2].tolist() == [[0, 1]] * 3  # 0 is 20 seconds before
    assert (seconds[:, 50] >= 2).all() and (seconds[:, 50] < 9).all()
    empty = [i for i in range(SECONDS) if i not in (10, 50)]
    assert (seconds[:, empty] == 9).all() and (seconds[:, 10, 2:] == 9).all()
    again = minutes.at(20.0, 3)[1]
    np.testing.assert_array_equal(again, columns)
    # Forty seconds later the first two are out of reach.
    rows, columns = minutes.at(61.0, 1)
    assert set(columns.ravel().tolist()) - {9} <= set(range(7))


def test_what_cannot_give_long_term_features(trained, first, film, small, tmp_path):
    _, workdir, _ = trained
    with pytest.raises(UserError, match="needs long-term features.*--features NAME"):
        Detector.from_checkpoint(workdir.path)
    with pytest.raises(UserError, match="has no long-term features; give none"):
        Detector.from_checkpoint(first.path, features=first.path)
    detector = Detector.from_checkpoint(workdir.path, features=first.path)
    with pytest.raises(UserError, match="of a whole video.*predict_video"):
        detector.predict(np.zeros((4, 64, 64, 3), np.uint8), [[5, 5, 40, 40]])
    config = small(width=16)
    state = to_state_dict(made_up_variables(config.model))
    write_pytorch(tmp_path / "wide.pth", state, {})
    convert_file(tmp_path / "wide.pth", tmp_path / "wide", config)
    with pytest.raises(UserError, match="256 channels, and those of .* have 512"):
        Detector.from_checkpoint(workdir.path, features=tmp_path / "wide")


def test_an_exported_detector_takes_the_bank(trained, first, film, tmp_path):
    _, workdir, _ = trained
    path = tmp_path / "out.shlo"
    export.export_detector(workdir.path, path, "stablehlo", size=(64, 80))
    program = jax.export.deserialize(path.read_bytes())
    config, variables, _ = read_detector(workdir.path)
    rng = np.random.default_rng(0)
    shapes = json.loads(path.with_suffix(".shlo.json").read_text())["inputs"]
    clip, boxes, features, columns = (shapes[name]["shape"][1:] for name in shapes)
    assert list(shapes) == ["clips", "boxes", "bank_features", "bank_columns"]
    arrays = (
        rng.integers(0, 256, (2, *clip), np.uint8),
        np.tile(np.array([5, 5, 40, 60], np.float32), (2, boxes[0], 1)),
        rng.normal(size=(2, *features)).astype(np.float16),
        rng.integers(0, features[0] + 1, (2, *columns), np.int32),
    )
    logits = build_detector(config.model).apply(
        variables,
        Normalization.from_config(config.data)(arrays[0]),
        arrays[1],
        bank=arrays[2:],
    )
    expected = np.asarray(action_scores(logits))
    np.testing.assert_allclose(program.call(*arrays), expected, rtol=0, atol=1e-6)


def test_an_operator_without_parameters_trains(small, bank):
    assert dry_run(with_bank(small, bank, "fbo_max"))["clips_per_second"] > 0


def break_bank(folder, change):
    if change == "movie":
        index = json.loads((folder / "val/index.json").read_text())
        index["movies"][0]["name"] = "another"
        (folder / "val/index.json").write_text(json.dumps(index))
    elif change == "time":
        for name in ("train", "val"):
            index = json.loads((folder / name / "index.json").read_text())
            for movie in index["movies"]:
                movie["seconds"] = [second + 5000 for second in movie["seconds"]]
            (folder / name / "index.json").write_text(json.dumps(index))
    elif change == "array":
        np.save(folder / "val/00000.npy", np.zeros((3, 5), np.float16))
    elif change == "nothing":
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        ("movie", {}, "lacks 1 of 1 movies.*It is of another data set"),
        ("time", {}, "its timestamps are others"),
        ("array", {}, r"float16 of shape \(3, 5\), expected float16"),
        ("nothing", {}, "is no whole feature bank"),
        ("", {"data.bank_rows": 3}, "--config.data.bank_rows="),
        ("", {"model.bank_width": 7}, "config.model.bank_width is 7"),
        ("", {"data.feature_bank": ""}, "config.data.feature_bank is ''"),
        ("", {"model.shared_head": ""}, "config.model.shared_head is ''"),
    ],
)
def test_banks_that_cannot_be_meant(small, bank, tmp_path, change, fields, message):
    shutil.copytree(bank, tmp_path / "bank")
    break_bank(tmp_path / "bank", change)
    config = with_bank(small, tmp_path / "bank")
    for field, value in fields.items():
        section, name = field.split(".")
        config[section][name] = value
    workdir = Workdir(tmp_path / "run")
    with pytest.raises(UserError, match=message):
        train(config, workdir)
