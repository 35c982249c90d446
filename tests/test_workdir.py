"""The working directory: configuration, history, half-written files."""

import pytest

from ava_jax import files, workdir
from ava_jax.errors import UserError
from configs import slowfast


@pytest.fixture
def folder(tmp_path):
    return workdir.Workdir(tmp_path / "run")


def test_the_same_configuration_may_come_back(folder):
    config = slowfast.get_config()
    folder.claim(config, accept_changes=False)
    folder.claim(config, accept_changes=False)
    saved = workdir.from_dict(files.read_json(folder / "config.json"))
    assert workdir.as_dict(saved) == workdir.as_dict(config)


def test_an_older_configuration_gets_the_fields_it_lacks():
    fields = workdir.as_dict(slowfast.get_config())
    del fields["eval"]
    del fields["data"]["frame_store"]
    fields["data"]["fps"] = 25
    config = workdir.from_dict(fields)
    assert (config.data.frame_store, config.data.fps) == ("folder", 25)
    assert config.eval.batch == slowfast.get_config().eval.batch


def test_a_run_goes_on_after_an_update_that_adds_fields(folder):
    config = slowfast.get_config()
    folder.claim(config, accept_changes=False)
    (folder / "checkpoints/10").mkdir(parents=True)
    fields = files.read_json(folder / "config.json")
    del fields["data"]["crop_scales"]
    files.write_json(folder / "config.json", fields)
    folder.claim(config, accept_changes=False)
    assert "crop_scales" in files.read_json(folder / "config.json")["data"]


def test_another_configuration_is_refused_field_by_field(folder):
    config = slowfast.get_config()
    config.optim.lr = 0.3
    folder.claim(config, accept_changes=False)
    config.optim.lr = 0.1125
    folder.claim(config, accept_changes=False)  # nothing was trained yet
    (folder / "checkpoints").mkdir()
    config.devices = 8  # a run may continue on others
    folder.claim(config, accept_changes=False)
    (folder / "checkpoints/10").mkdir()
    config.devices = 4
    config.optim.lr = 0.5
    config.model.depth = 101
    config.train.log_every = 1  # what is reported may change
    config.profile = "10-15"
    message = r"\(there, now\):\n  model.depth: 50, 101\n  optim.lr: 0.1125, 0.5\nGive"
    with pytest.raises(UserError, match=message):
        folder.claim(config, accept_changes=False)
    assert files.read_json(folder / "config.json")["optim"]["lr"] == 0.1125
    folder.claim(config, accept_changes=True)
    assert files.read_json(folder / "config.json")["optim"]["lr"] == 0.5


def test_history_is_rewound_to_the_checkpoint(folder):
    for step in (10, 20, 30):
        folder.append_history(step, {"loss": 1 / step})
    with open(folder / "history.jsonl", "a") as file:
        file.write('{"step": 40, "lo')  # killed while writing
    folder.rewind_history(20)
    assert [record["step"] for record in folder.history()] == [10, 20]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written.*--workdir"):
        workdir.Workdir(tmp_path / "file" / "run")


def test_a_broken_config_json_is_named(folder):
    (folder / "checkpoints/10").mkdir(parents=True)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read as JSON"):
        folder.claim(slowfast.get_config(), accept_changes=False)
