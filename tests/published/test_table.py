"""The table of published files and its names."""

import collections
import dataclasses
import re
import subprocess
import sys

import pytest

from ava_jax import config, published
from ava_jax.errors import UserError
from ava_jax.published.table import keys

NAME = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
FILE = (
    "https://download.openmmlab.com/mmaction/detection/ava/"
    f"{NAME}/{NAME}_20201217-6e7c704d.pth"
)


def test_every_name_and_place_is_of_one_file():
    names = collections.Counter(k for file in published.all_files() for k in keys(file))
    assert [name for name, count in names.items() if count > 1] == []
    places = {published.cached_path(file) for file in published.all_files()}
    assert len(places) == len(published.all_files())


@pytest.mark.parametrize("file", published.all_files(), ids=lambda file: file.name)
def test_a_row_is_complete(file):
    kinds = ("detector", "pretrained", "person_detector")
    kinds += ("proposals", "annotations", "video")
    assert file.kind in kinds and file.release and file.dataset
    assert re.fullmatch(
        r"https://[\w./-]+\.(pth|pkl|onnx|zip|tar\.gz|txt|avi)", file.url
    )
    assert re.fullmatch(r"|[0-9a-f]{8}|[0-9a-f]{64}", file.sha256)
    if file.release.startswith("MMAction2") and file.kind != "proposals":
        assert file.url.endswith(f"{file.sha256}.pth")  # OpenMMLab's file names
    if file.kind == "detector":
        assert file.mean_ap and published.find(file.init_from).kind == "pretrained"
        assert bool(file.config) != bool(file.unsupported)
    if file.config:
        config.load(file.config)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (NAME, NAME),
        (f"{NAME}.py", NAME),
        (f"configs/detection/ava/{NAME}.py", NAME),
        (f"{NAME}_20201217-6e7c704d", NAME),
        (f"{NAME}_20201217-6e7c704d.pth", NAME),
        (FILE, NAME),
        (NAME.upper().replace("_", "-"), NAME),
        (
            "slowfast_kinetics400_pretrained_r50_8xb16_4x16x1_20e_ava21_rgb",
            "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
        ),
        ("yolox", "object_detection_yolox_2022nov"),
        ("SLOW_8x8_R50", "C2D_8x8_R50"),
        ("C2D_8x8_R50.pkl", "C2D_8x8_R50"),
        ("pretrain/C2D_8x8_R50.pkl", "pretrain/C2D_8x8_R50"),
        ("ava_v2.1.zip", "ava_v2.1"),
    ],
)
def test_names(name, found):
    assert published.find(name).name == found


@pytest.mark.parametrize(
    ("name", "near"),
    [
        (NAME.replace("4x16x1", "4x16"), NAME),
        ("omnisource", "slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb"),
        ("qqq", ""),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, near):
    assert published.get(name) is None
    with pytest.raises(UserError, match=f"no published file '{name}'.*{near}"):
        published.find(name)


def test_a_model_that_cannot_be_read_says_why():
    file = dataclasses.replace(published.find(NAME), unsupported="it is odd")
    with pytest.raises(UserError, match="not supported: it is odd"):
        file.check_supported()
    published.find(NAME).check_supported()


def test_it_imports_little():
    code = "import sys, ava_jax.published; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    heavy = {"jax", "numpy", "tensorflow", "requests"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("words", ["slowfast-r50", "ACRN_ava22"])
def test_names_with_all_words_come_first(words):
    message = "The nearest are slowfast_(context|acrn)_kinetics_pretrained_r50"
    with pytest.raises(UserError, match=message):
        published.find(words)
