"""What all command lines have in common: flags, help, errors and exit status."""

import argparse
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

from ava_jax import command_line, errors, main
from ava_jax.config import ranges

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = "--config=configs/mini.py"

# The command, or its last word, to the script and the rest of a command line that ends
# in a UserError.
PROGRAMS = {
    "main": ("", ["--config=configs/none.py", "--workdir=x"]),
    "check_ava": ("", [CONFIG, "--json=/dev/null/x"]),
    "convert_checkpoint": ("", ["none.pth", "{tmp}/out", CONFIG]),
    "demo_video": ("", ["video.mp4"]),
    "evaluate_csv": (
        "",
        ["--ground-truth=none", "--detections=none", "--label-map=none"],
    ),
    "export": ("", ["{tmp}", "{tmp}/out", "--format=onnx"]),
    "export_pytorch": ("", ["{tmp}", "{tmp}/out.pth"]),
    "intervals": ("", ["none.jsonl", "{tmp}/out.vtt"]),
    "recognize_video": ("", ["none.mp4", "--weights=none"]),
    "serve": ("", ["--checkpoint=none", "--detector=none"]),
    "plot_run": ("", ["{tmp}"]),
    "predict_many": ("", ["{tmp}/*.mp4", "--checkpoint=none", "--out={tmp}/out"]),
    "launch_local": ("", None),  # makes no files
    "download": ("prepare_ava", [CONFIG]),
    "extract": ("prepare_ava", [CONFIG, "--videos=none"]),
    "import": ("prepare_ava", ["none.xml", CONFIG, "--config.data.root={tmp}"]),
    "prepare export": (
        "prepare_ava",
        [CONFIG, "--format=coco", "--out={tmp}/out", "--config.data.root={tmp}"],
    ),
    "annotate": ("prepare_ava", ["none.mp4", "--out={tmp}/out"]),
    "merge": ("prepare_ava", [CONFIG, "--kinetics=none.csv"]),
    "multisports": ("prepare_ava", [CONFIG, "--ground-truth=none"]),
    "bank": ("prepare_ava", [CONFIG, "--train=none", "--out={tmp}/out"]),
    "proposals": ("prepare_ava", [CONFIG, "--config.data.root={tmp}"]),
    "pack": ("prepare_ava", [CONFIG, "--out={tmp}", "--config.data.root={tmp}"]),
    "published list": ("published", None),  # has nothing that could fail
    "fetch": ("published", ["none"]),
    "where": ("published", ["none"]),
    "verify": ("published", ["none"]),
    "model": ("benchmark", ["--config=configs/none.py"]),
    "precision": ("benchmark", None),  # reads the fixtures of the tests
    "bench serve": ("benchmark", ["--config=configs/none.py"]),
    "rare-actions": ("benchmark", None),  # trains on the street video, or fetches it
    "train": ("benchmark", ["--config=configs/none.py"]),
    "communication": ("benchmark", ["--config=configs/none.py"]),
    "compile": ("benchmark", ["--config=configs/none.py"]),
    "data": ("benchmark", ["--config=configs/none.py"]),
    "eval": ("benchmark", None),  # makes its own files
    "video": ("benchmark", ["--config=configs/none.py"]),
    "video-map": ("benchmark", None),  # makes its own tubes
}
# What a script does when it is not a UserError that ends it with 1.
USER_ERROR = {"check_ava": 2}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a program in this process: exit status, stdout, stderr."""
    for name in ("JAX_PLATFORMS", "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"):
        # Set here, so that what a program sets does not last.
        monkeypatch.setenv(name, "cpu" if name == "JAX_PLATFORMS" else "2")
    monkeypatch.syspath_prepend(ROOT / "scripts")
    monkeypatch.chdir(ROOT)

    def run(name, *arguments):
        script = PROGRAMS[name][0]
        command = [name.split()[-1]] if script else []
        arguments = [argument.format(tmp=tmp_path) for argument in arguments]
        monkeypatch.setattr(sys, "argv", [script or name, *command, *arguments])
        with pytest.raises(SystemExit) as end:
            if name == "main":
                # Without `main.run`, which would set up this process's logging.
                command_line.run(main.main)
            else:
                path = ROOT / f"scripts/{script or name}.py"
                runpy.run_path(str(path), run_name="__main__")
        return end.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def parsers(monkeypatch):
    """The parsers whose help is printed."""
    shown = []
    print_help = command_line.Parser.print_help

    def spy(self, *arguments):
        shown.append(self)
        print_help(self, *arguments)

    monkeypatch.setattr(command_line.Parser, "print_help", spy)
    return shown


def test_the_table_has_all_scripts():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert scripts == {script or name for name, (script, _) in PROGRAMS.items()} - {
        "main"
    }


@pytest.mark.parametrize("script", ["prepare_ava", "published", "benchmark"])
def test_the_table_has_all_sub_commands(script, monkeypatch, parsers):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    program = runpy.run_path(str(ROOT / f"scripts/{script}.py"))
    with pytest.raises(SystemExit):
        program["main"](["--help"])
    (commands,) = [a.choices for a in parsers[0]._actions if a.choices]
    names = {n.split()[-1] for n, (own, _) in PROGRAMS.items() if own == script}
    assert set(commands) == names


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_has_every_flag_with_its_default(name, run, parsers):
    status, out, err = run(name, "--help")
    assert (status, err) == (0, "")
    text = " ".join(out.split())
    (parser,) = parsers
    assert len(parser._actions) > 1
    for action in parser._actions:
        assert action.help, f"{action.dest} has no help"
        # So a range, or the choices: argparse's own types take a batch of -1.
        assert action.type not in (int, float) or action.choices, action.dest
        assert all(flag in text for flag in action.option_strings)
        default = action.default
        if default in (None, [], argparse.SUPPRESS) or isinstance(default, bool):
            continue
        if isinstance(default, (list, tuple)):
            default = " ".join(map(str, default))
        assert f"(default: {default})" in text
    assert "logtostderr" not in text  # absl's own


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_unknown_flag_is_answered_with_the_nearest(name, run, parsers):
    run(name, "--help")
    flags = set(parsers[0]._option_string_actions) - {"-h", "-n", "--config.FIELD"}
    flag = max(flags, key=len)
    status, out, err = run(name, f"{flag[:-1]}=1")
    assert (status, out) == (2, "")
    assert err.startswith("usage: ")
    assert f"\nError: There is no flag {flag[:-1]}. Did you mean {flag}?\n" in err


def test_arguments_of_another_program_follow_two_dashes(run):
    status, _, err = run("launch_local", CONFIG, "--workdir=x")
    assert status == 2 and "Give -- before the arguments of ava_jax.main" in err


@pytest.mark.parametrize("name", [n for n, (_, wrong) in PROGRAMS.items() if wrong])
def test_a_users_error_has_no_traceback(name, run):
    status, _, err = run(name, *PROGRAMS[name][1])
    assert status == USER_ERROR.get(name, 1)
    assert err.splitlines()[-1] and re.search(r"^Error: [A-Z/\w]", err, re.MULTILINE)
    assert "Traceback" not in err and "usage" not in err


# Configurations


def parse(*arguments, **options):
    parser = command_line.Parser()
    parser.add_config(**options)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--short-side", type=command_line.whole(0))
    parser.add_argument("--quality", type=command_line.whole(1, 100))
    parser.add_argument("--every", type=command_line.number(ranges.above(0)))
    parser.add_argument("--score", type=command_line.number(ranges.SHARE))
    parser.add_argument("--size", type=command_line.size)
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--strict", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--config.train.batch=8"], "train.batch", 8),
        (["--config.train.batch", "8"], "train.batch", 8),
        (["-config.train.batch=8"], "train.batch", 8),
        (["--confg.train.batch=8"], "train.batch", 8),
        (["--configs.train.batch", "8"], "train.batch", 8),
        (["--config.train.batch=8", "--config.train.batch=9"], "train.batch", 9),
        (["--config.optim.lr=1"], "optim.lr", 1.0),
        (["--config.train.epochs=3"], "train.epochs", 3),
        (["--config.train.epochs=0.5"], "train.epochs", 0.5),
        (["--config.data.fps=29.97"], "data.fps", 29.97),
        (["--config.data.timestamp_start", "-1"], "data.timestamp_start", -1),
        (["--config.data.train.boxes=a=b.csv"], "data.train.boxes", "a=b.csv"),
        (["--config.data.train.boxes="], "data.train.boxes", ""),
        (["--config.eval.flip=True"], "eval.flip", True),
        (["--config.eval.flip=true"], "eval.flip", True),
        (["--config.eval.flip", "--deep"], "eval.flip", True),
        (["--config.eval.flip"], "eval.flip", True),
        (["--config.data.frame_jitter=0"], "data.frame_jitter", False),
        (["--noconfig.data.frame_jitter"], "data.frame_jitter", False),
        (["--config.eval.short_sides=(224, 256)"], "eval.short_sides", (224, 256)),
        (["--config.eval.short_sides", "(224,)"], "eval.short_sides", (224,)),
        (["--config.eval.short_sides=64"], "eval.short_sides", (64,)),
        (
            ["--config.eval.short_sides=64", "--config.eval.short_sides=72"],
            "eval.short_sides",
            (64, 72),
        ),
        (["--config.data.crop_scales=(1.0, 0.5)"], "data.crop_scales", (1.0, 0.5)),
        (
            ["--config.optim.lr_multipliers=(('a', 0.5),)"],
            "optim.lr_multipliers",
            (("a", 0.5),),
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("config_is_first", [True, False])
def test_fields_are_changed(arguments, field, value, config_is_first):
    parts = [[CONFIG], arguments] if config_is_first else [arguments, [CONFIG]]
    config = parse(*sum(parts, [])).config
    found = config
    for part in field.split("."):
        found = found[part]
    assert found == value and type(found) is type(value)
    assert config.is_locked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"required: --config"),
        (["--config.optim.lr=1"], r"required: --config"),
        ([CONFIG, "--config.optim.lrr=1"], r"'optim.lrr'. Did you mean --config.optim"),
        ([CONFIG, "--config.batch=1"], r"no field 'batch'. Did you mean --config."),
        ([CONFIG, "--config.learning_rate=1"], r"mean --config.optim.lr\?"),
        ([CONFIG, "--config.lerning_rate=1"], r"mean --config.optim.lr\?"),
        ([CONFIG, "--config.solver.BASE_LR=1"], r"mean --config.optim.lr\?"),
        ([CONFIG, "--config.train.batch_size=1"], r"mean --config.train.batch\?"),
        ([CONFIG, "--config.amp"], r"mean --config.model.dtype\?"),
        ([CONFIG, "--config.load_from=x"], r"mean --config.init_from\?"),
        ([CONFIG, "--config.resume_from=x"], r"with the same --workdir resumes"),
        ([CONFIG, "--config.num_workers=2"], r"tf.data chooses"),
        ([CONFIG, "--batch_size=2"], r"mean --config.train.batch\?"),
        ([CONFIG, "--epochs=2"], r"mean --config.train.epochs\?"),
        ([CONFIG, "--config.optim.lr=-1"], r"(.|\n)*optim.lr is -1.0; expected: a"),
        ([CONFIG, "--config.data=1"], r"no field 'data'"),
        (
            [CONFIG, "--config.optim.lr=high"],
            r"(.|\n)*config.optim.lr is 'high'; expected: a number above 0\n",
        ),
        (
            [CONFIG, "--config.train.batch=1.5"],
            r"(.|\n)*config.train.batch is '1.5'; expected: a whole number, 1",
        ),
        (
            [CONFIG, "--config.eval.flip=2"],
            r"(.|\n)*config.eval.flip is '2'; expected: True or False\n",
        ),
        ([CONFIG, "--config.optim.lr"], r"config.optim.lr"),
        ([CONFIG, "--conf=x"], r"no flag --conf. Did you mean --config\?"),
        ([CONFIG, "--short=3"], r"no flag --short\. Did you mean --short-side\?"),
        (
            [CONFIG, "--short-side=x"],
            r"--short-side: x is not a whole number, 0 or more\n",
        ),
        ([CONFIG, "--every=0"], r"--every: 0 is not a number above 0\n"),
        ([CONFIG, "--score=50"], r"--score: 50 is not a number from 0 to 1\n"),
        ([CONFIG, "--quality=0"], r"--quality: 0 is not a whole number from 1 to 100"),
        ([CONFIG, "--size=0x9"], r"--size: 0x9 is not HEIGHTxWIDTH in pixels"),
        ([CONFIG, "--device=cuda"], r"no flag --device: JAX takes the accelerators"),
        ([CONFIG, "--xyzzy"], r"no flag --xyzzy\n"),
    ],
    ids=str,
)
def test_a_wrong_command_line_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        parse(*arguments)
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("usage: ")
    assert re.search(rf"\nError: [A-Z].*{message}", err), err


def test_a_missing_variant_or_file_is_a_users_error():
    for path in ("configs/none.py", "configs/slowfast.py:none", "configs/own.py:none"):
        with pytest.raises(errors.UserError):
            parse(f"--config={path}")


@pytest.mark.parametrize(
    ("name", "content"),
    [("weights.pth", b"PK"), ("slowfast.yaml", b"a: 1"), ("mm.py", b"model = 1")],
)
def test_a_file_that_is_no_configuration_is_a_users_error(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=f"{name} is not a configuration of"):
        parse(f"--config={path}")


def test_without_configuration_there_are_no_fields(capsys):
    assert parse(required=False).config is None
    with pytest.raises(SystemExit):
        parse("--config.optim.lr=1", required=False)
    assert "--config.optim.lr=1 needs --config FILE" in capsys.readouterr().err


# Flags


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--short-side=3"], {"short_side": 3}),
        (["--short_side", "3"], {"short_side": 3}),
        (["a", "b_c", "--deep"], {"files": ["a", "b_c"], "deep": True}),
        (["--deep", "a", "b"], {"files": ["a", "b"], "deep": True}),
        (["--deep=true"], {"deep": True}),
        (["--deep=False"], {"deep": False}),
        (["--no-strict"], {"strict": False}),
        (["--no_strict"], {"strict": False}),
        (["--strict=False"], {"strict": False}),
        (["--strict=True"], {"strict": True}),
        (
            ["--deep", "--", "--short_side=3", "--config.optim.lr=2"],
            {"files": ["--short_side=3", "--config.optim.lr=2"], "short_side": None},
        ),
    ],
    ids=str,
)
def test_flags_are_understood(arguments, expected):
    args = vars(parse(CONFIG, *arguments))
    assert {name: args[name] for name in expected} == expected


def test_flags_of_beam_follow_two_dashes(run, monkeypatch):
    from ava_jax.prepare import ava_builder

    calls = []
    monkeypatch.setattr(
        ava_builder, "pack", lambda *arguments, **options: calls.append(options)
    )
    flags = ["--runner=DirectRunner", "--direct_num_workers=2"]
    assert run("pack", CONFIG, "--out=x", "--", *flags)[0] == 0
    assert calls == [{"name": "own", "beam_arguments": flags}]


def test_proposals_with_flags_of_beam(run, monkeypatch):
    from ava_jax.batch import proposals

    calls = []
    monkeypatch.setattr(
        proposals, "write_proposals", lambda *given: calls.append(given[1:]) or ["Done"]
    )
    flags = ["--split=val", "--detector=hog", "--", "--direct_num_workers=2"]
    assert run("proposals", CONFIG, *flags)[:2] == (0, "Done\n")
    assert calls == [(("val",), "hog", ["--direct_num_workers=2"])]


# The end


def fail(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "status", "err"),
    [
        (lambda argv: None, 0, ""),
        (lambda argv: 3, 3, ""),
        (fail(errors.UserError("No.")), 1, "Error: No.\n"),
        (fail(KeyboardInterrupt()), 130, "Interrupted.\n"),
        (fail(SystemExit(2)), 2, ""),
    ],
)
def test_exit_status(main, status, err, capsys):
    with pytest.raises(SystemExit) as end:
        command_line.run(main)
    assert (end.value.code or 0) == status
    assert capsys.readouterr().err == err


@pytest.mark.parametrize("code", ["print('x' * 100_000)", "print('x')"])
def test_a_reader_that_leaves_is_no_error(code):
    program = f"from ava_jax import command_line; command_line.run(lambda _: {code})"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()  # before the program has started
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_any_other_broken_pipe_is_an_error(capfd):
    with pytest.raises(BrokenPipeError):
        command_line.run(fail(BrokenPipeError()))
