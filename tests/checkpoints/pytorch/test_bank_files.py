"""MMAction2's feature banks, as torch 2.13.0 wrote them (tests/data/checkpoints)."""

import pathlib
import shutil

import numpy as np
import prepare_ava
import pytest

from ava_jax.checkpoints.pytorch import bank_files
from ava_jax.data.feature_bank import open_bank
from ava_jax.errors import UserError

DATA = pathlib.Path(__file__).parents[2] / "data/checkpoints"
# The first by default, of rows of shared tensors; the second in torch's old layout, of
# tensors of their own in single precision.
TRAIN, VAL = DATA / "lfb/lfb_train.pkl", DATA / "lfb/lfb_val.pkl"
EXPECTED = {
    ("movie_a", 902): [
        [-1.265625, -0.623046875, 0.04132080078125],
        [-2.32421875, -0.21875, -1.24609375],
        [-0.732421875, -0.54443359375, -0.31640625],
    ],
    ("movie_b", 902): [[1.3037109375, 0.947265625, -0.70361328125]],
    ("movie_b", 903): [
        [0.125732421875, -0.132080078125, 0.640625],
        [0.10491943359375, -0.53564453125, 0.361572265625],
    ],
    ("movie_c", 1000): [[0.4116305410861969, 1.042513370513916, -0.12853465974330902]],
    ("movie_c", 1001): np.zeros((0, 3)),
}


def features(bank):
    """The features of a bank by video and second."""
    return {
        (video, second): bank.arrays[number][row : row + count]
        for video, seconds in bank.rows.items()
        for second, (number, row, count) in seconds.items()
    }


def test_banks_are_converted(tmp_path, capsys):
    flags = [f"--train={TRAIN}", f"--val={VAL}", f"--out={tmp_path / 'bank'}"]
    prepare_ava.main(["bank", "--config=configs/lfb.py", *flags])
    printed = capsys.readouterr().out
    assert "train: 2 movies, 6 people\nval: 1 movies, 1 people\n" in printed
    bank = open_bank(tmp_path / "bank")
    assert bank.width == 3
    found = features(bank)
    assert found.keys() == EXPECTED.keys()
    for key, rows in EXPECTED.items():
        np.testing.assert_array_equal(found[key], np.asarray(rows, np.float16))


def test_one_split_alone_and_again(tmp_path):
    for _ in range(2):
        bank_files.convert({"val": VAL}, tmp_path)
    assert set(open_bank(tmp_path).rows) == {"movie_c"}
    with pytest.raises(UserError, match="has the features of .*Give another folder"):
        bank_files.convert({"train": TRAIN}, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("list", "it holds a list"),
        ("seconds_list", "under 'a' it has a list"),
        ("tensor_for_list", "a at second 902 has"),
        ("text_second", "a at second '902' has a list"),
        ("text_feature", "a at second 902 has 'x' for a feature"),
        ("matrix", "a at second 902 has .* for a feature"),
        ("integers", "a at second 902 has .* for a feature"),
        ("two_widths", "a at second 903 has a feature of another width"),
        ("empty", "it has no features"),
    ],
)
def test_what_is_no_bank(tmp_path, name, message):
    path = DATA / f"lfb/{name}.pkl"
    with pytest.raises(UserError, match=f"is not a feature bank.*{message}"):
        bank_files.convert({"train": path}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"PK\x03\x04 and nothing else", "cut short"),
        ((DATA / "zip.pth").read_bytes(), "meta at second 'mmaction_version' has"),
        (TRAIN.read_bytes()[:1500], "cut short"),
        (VAL.read_bytes()[:-3], "cut short"),
        (b"video,902", "it begins with b'video,902'"),
    ],
)
def test_what_is_damaged(tmp_path, content, message):
    path = tmp_path / "lfb_val.pkl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        bank_files.convert({"val": path}, tmp_path / "out")


def test_banks_of_two_detectors(tmp_path):
    with pytest.raises(UserError, match="have 3 channels, those of .*wide.pkl 5"):
        bank_files.convert({"train": TRAIN, "val": DATA / "lfb/wide.pkl"}, tmp_path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out=bank"], "Give the banks: --train FILE"),
        ([f"--train={TRAIN}"], "Give --out DIR"),
    ],
)
def test_what_the_command_needs(flags, message):
    with pytest.raises(UserError, match=message):
        prepare_ava.main(["bank", "--config=configs/slowonly.py", *flags])


def test_files_may_have_any_name(tmp_path):
    shutil.copy(TRAIN, tmp_path / "features")
    bank_files.convert({"train": tmp_path / "features"}, tmp_path / "bank")
    assert open_bank(tmp_path / "bank").width == 3
