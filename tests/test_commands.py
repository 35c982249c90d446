"""The command `ava-jax`, and the package as it is installed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import ava_jax
from ava_jax import commands, config
from ava_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the installed wheel, which hides the clone."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # Built from a copy, as setuptools writes beside the sources.
    files = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT)
    copy = folder / "sources"
    for name in files.decode().split("\0")[:-1]:
        if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    wheels = folder / "wheels"
    subprocess.run([*pip, "wheel", "--no-deps", "-w", wheels, copy], check=True)
    (wheel,) = wheels.glob("*.whl")
    target = folder / "packages"
    subprocess.run([*pip, "install", "--no-deps", "-t", target, wheel], check=True)
    return target


@pytest.fixture
def ava_jax_command(installed, tmp_path):
    """Runs the installed command in an empty folder."""

    def run(*arguments, status=0):
        done = subprocess.run(
            [sys.executable, installed / "bin/ava-jax", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(installed), "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "predict a.mp4 --every=2 --runner=X --y=1",
            "a.mp4 --every=2 -- --runner=X --y=1",
        ),
        ("prepare pack --runner X --y", "pack -- --runner X --y"),
        ("prepare pack -- --y --runner=X", "pack -- --y --runner=X"),
        ("train --runner=X", "--runner=X"),
    ],
)
def test_what_follows_runner_is_beams(given, expected, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(commands.command_line.Parser, "program", "")
    monkeypatch.setattr(commands.command_line, "run", lambda _: None)
    monkeypatch.setattr("ava_jax.main.run", lambda: None)
    verb, *arguments = given.split()
    commands.start(verb, arguments)
    assert " ".join(sys.argv[1:]) == expected


def test_every_script_is_a_command():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert {c.script for c in commands.COMMANDS.values()} - {""} == scripts


def test_the_wheel_has_all_that_is_in_the_clone(installed):
    (wheel,) = (installed.parent / "wheels").glob("*.whl")
    within = {
        name.removeprefix("ava_jax/")
        for name in zipfile.ZipFile(wheel).namelist()
        if name.startswith("ava_jax/")
    }
    files = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    expected = {
        name.removeprefix("ava_jax/")
        for name in files.split("\0")
        if name.startswith(("ava_jax/", "configs/", "scripts/"))
    }
    assert expected <= within
    assert "py.typed" in within


def test_the_wheel_can_be_released(installed):
    (wheel,) = (installed.parent / "wheels").glob("*.whl")
    for program in (["twine", "check", "--strict"], ["check_wheel_contents"]):
        subprocess.run([sys.executable, "-m", *program, wheel], check=True)


@pytest.mark.skipif(not shutil.which("hadolint"), reason="no hadolint for this machine")
def test_the_dockerfile():
    subprocess.run(["hadolint", ROOT / "Dockerfile"], check=True)


@pytest.mark.parametrize("verb", commands.COMMANDS)
def test_help_of_an_installed_command(ava_jax_command, verb):
    text = ava_jax_command(verb, "--help")
    assert text.startswith(f"usage: ava-jax {verb} ")
    # What the help tells to run is there outside a clone.
    assert "python scripts/" not in text


def test_the_list_of_commands(ava_jax_command):
    text = ava_jax_command("--help")
    assert all(f"  {verb} " in text for verb in commands.COMMANDS)
    assert ava_jax_command(status=2) == text
    assert ava_jax_command("--version") == f"ava-jax {ava_jax.__version__}\n"
    assert "no command trian. Did you mean train?" in ava_jax_command("trian", status=2)


def test_installed_commands_do_their_work(ava_jax_command, tmp_path):
    name = "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb"
    text = ava_jax_command("train", "--config", name, "--config.lr=1", status=2)
    assert "no field 'lr'" in text and text.startswith("usage: ava-jax train ")
    text = ava_jax_command("check", "--config=mini", "--workdir=runs", status=0)
    assert (tmp_path / "runs/data/manifest.json").is_file()
    assert "runs/data: clean" in text
    data = "runs/data/annotations/mini_"
    truth, labels = f"{data}val.csv", f"{data}action_list.pbtxt"
    scored = f"{tmp_path}/scored.csv"
    rows = (tmp_path / truth).read_text().splitlines()
    pathlib.Path(scored).write_text(
        "".join(f"{row.rpartition(',')[0]},1.0\n" for row in rows)
    )
    score = ["score", "--ground-truth", truth, "--label-map", labels, "--detections"]
    assert re.search(r"mAP\D*1\.0", ava_jax_command(*score, scored))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ava-jax pre", {"predict", "predict-many", "prepare"}),
        ("ava-jax export", {"export", "export-pytorch"}),
        ("ava-jax prepare imp", {"import"}),
        ("ava-jax check --js", {"--json"}),
        ("ava-jax train --config mi", {"mini"}),
        ("ava-jax train --config slowonly_kinetics_pretrained_r101", None),
    ],
)
def test_completion(ava_jax_command, monkeypatch, tmp_path, line, expected):
    out = tmp_path / "completions"
    for name, value in {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "COMP_TYPE": "9",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }.items():
        monkeypatch.setenv(name, value)
    ava_jax_command()
    found = set(out.read_text().split())
    assert found == (
        expected or {"slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb"}
    )


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mini", "configs/mini.py"),
        ("mini:vtest", "configs/mini.py:vtest"),
        ("own:+100", "configs/own.py:+100"),
        (
            "slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
            "configs/slowonly.py:"
            "slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
        ),
    ],
)
def test_a_recipe_by_its_name(name, file, monkeypatch, tmp_path):
    expected = config.load(file)
    monkeypatch.chdir(tmp_path)
    assert config.load(name) == expected


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="no configuration slowfst_r50(.|\n)*slowfast"):
        config.load("slowfst_r50")
