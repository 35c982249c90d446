"""A feature bank from its writing to a detector that was trained with it."""

import json
import shutil

import from_config
import numpy as np
import pytest
import trainings
from made_up import made_up_variables

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
from ava_jax.models import build_detector
from ava_jax.predict import Detector
from ava_jax.runtime import sharding
from ava_jax.train import dry_run, train
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


def test_a_lone_clip_is_refused(trained):
    _, workdir, _ = trained
    detector = Detector.from_checkpoint(workdir.path)
    with pytest.raises(UserError, match="needs the long-term features"):
        detector.predict(np.zeros((4, 64, 64, 3), np.uint8), [[5, 5, 40, 40]])


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
