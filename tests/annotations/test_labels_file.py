import json

import pytest

from ava_jax.annotations import labels_file, read_labels

ACTIONS = {"12": "stand", "3": "actions"}


@pytest.mark.parametrize(
    ("dataset", "domain", "described"),
    [
        ("AVA v2.1", "films", "AVA v2.1 (films)"),
        (labels_file.MINIATURE, "drawn figures", "the built-in miniature (drawn figu"),
        ("own", "", "own"),
        ("", "", ""),
    ],
)
def test_what_is_written_is_read(tmp_path, dataset, domain, described):
    path = tmp_path / "labels.json"
    labels_file.write(path, ACTIONS, dataset)
    assert json.loads(path.read_text()) == {
        "dataset": dataset,
        "domain": domain,
        "actions": ACTIONS,
    }
    # In the order of the file, which is that of the classes.
    assert list(read_labels(path).items()) == [(12, "stand"), (3, "actions")]
    assert labels_file.read_dataset(path) == dataset
    assert labels_file.describe(dataset).startswith(described)


def test_a_file_of_an_older_version(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(ACTIONS))
    assert list(read_labels(path).items()) == [(12, "stand"), (3, "actions")]
    assert labels_file.read_dataset(path) == ""


@pytest.mark.parametrize(
    "names", [{"actions": 3, "stand": 12}, {"dataset": 3, "actions": 12}]
)
def test_actions_may_have_the_names_of_its_members(tmp_path, names):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(names))
    assert read_labels(path) == {i: name for name, i in names.items()}
