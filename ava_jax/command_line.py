"""Command lines of one kind: flags, configurations, errors and exit status.

def main(argv):
    parser = command_line.Parser(__doc__)
    parser.add_config()
    parser.add_argument("--top", type=command_line.whole(1), default=3, help="...")
    args = parser.parse_args(argv)  # args.config is the configuration itself

if __name__ == "__main__":
    command_line.run(main)
"""

import argparse
import difflib
import math
import os
import re
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
from absl import flags

from ava_jax import config as ava_config
from ava_jax import errors
from ava_jax.config import page, ranges, recipes
from ava_jax.config.other_names import OTHER_NAMES
from ava_jax.runtime import logging

WRONG_COMMAND_LINE = 2
# What the extra `train` brings.
_OF_TRAINING = ("clu", "tensorboard", "tensorflow", "tensorflow_datasets")
_BROKEN_PIPE = 141  # 128 + SIGPIPE, as a shell reports it
_FLAG = re.compile(r"--[A-Za-z][\w.-]*(?==|$)")
# No flag has a dot, so --confg.train.batch=8 can only mean a field.
_FIELD = re.compile(r"--?(no)?(\w+)\.(.*)", re.DOTALL)


def run(
    main: Callable[[Sequence[str]], int | None],
    *,
    user_error: int = 1,
    interrupted: str = "Interrupted.",
    log: Callable[[], None] = logging.set_up_notes,
) -> None:
    """Runs a program and exits with its status, without a traceback for users.

    Args:
      main: takes the arguments and returns the exit status, None for success.
      user_error: exit status after a `UserError`.
      interrupted: printed after Ctrl-C, which exits with 130.
      log: sets up the log.
    """
    log()
    try:
        status = _status(main, user_error, interrupted)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _is_stdout_closed():
            raise
        # Otherwise Python reports the error once more when it flushes at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = _BROKEN_PIPE
    sys.exit(status)


def _status(main, user_error: int, interrupted: str) -> int | None:
    try:
        return main(sys.argv[1:])
    except errors.UserError as error:
        errors.tell(error)
        return user_error
    except ModuleNotFoundError as error:
        if error.name not in _OF_TRAINING:
            raise
        errors.tell(errors.UserError(_without(error.name)))
        return user_error
    except KeyboardInterrupt as error:
        return errors.tell(error, interrupted)
    except SystemExit as end:  # after --help and after a wrong command line
        return end.code


def _without(package: str) -> str:
    return (
        f"{package} is not installed. What reads a data set needs it: training, "
        'evaluation and the checks of data. pip install "ava_jax[train]"'
    )


def _is_stdout_closed() -> bool:
    """Whether the reader of a pipe is gone, as in `... | head`.

    A broken pipe to another process is an error like any other.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    """A `type` of arguments: whole numbers from `least` to `most`."""
    return _checked(int, ranges.whole(least, most))


def number(allowed: ranges.Range) -> Callable[[str], float]:
    """A `type` of arguments: the numbers of a range, such as `ranges.SHARE`."""
    return _checked(float, allowed)


def _checked(read: Callable[[str], Any], allowed: ranges.Range):
    def value(text: str):
        try:
            if allowed.holds(found := read(text)):
                return found
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text} is not {allowed.expected}")

    return value


def size(text: str) -> tuple[int, int]:
    """A `type` of arguments: HEIGHTxWIDTH in pixels."""
    if not (match := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)):
        raise argparse.ArgumentTypeError(
            f"{text} is not HEIGHTxWIDTH in pixels, such as 256x456"
        )
    return int(match[1]), int(match[2])


def frame_size(text: str) -> tuple[int, int]:
    """A `type` of arguments: WIDTHxHEIGHT of a video in pixels."""
    if not (match := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)):
        raise argparse.ArgumentTypeError(
            f"{text} is not WIDTHxHEIGHT in pixels, such as 1920x1080"
        )
    return int(match[1]), int(match[2])


class Parser(argparse.ArgumentParser):
    """Argparse with exact flags, defaults in --help, and configurations.

    A flag may be written with underscores instead of dashes, and a switch as
    --name=true or --name=false. It cannot be abbreviated. An unknown flag is
    answered with the nearest one.

    Attributes:
      program: its name in --help, for all parsers; None: that of the script.
    """

    program: str | None = None

    def __init__(self, description: str | None = None, **options):
        options.setdefault("prog", Parser.program)
        super().__init__(
            description=description,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            **options,
        )
        self._has_config = False

    def add_config(self, text: str = "configuration", *, required: bool = True) -> None:
        """Adds --config FILE[:VARIANT] and --config.FIELD=VALUE.

        Parsed, `config` is the configuration with its fields changed, or None.

        Args:
          text: what the configuration is, for --help.
          required: whether --config must be given.
        """
        self._has_config = True
        self.add_argument(
            "--config",
            metavar="FILE[:VARIANT]",
            required=required,
            help=f"{text}: configs/FILE.py, configs/FILE.py:VARIANT, or a name alone, "
            "such as mini, or a detector's",
        ).completer = _recipes
        # Shown by --help; `parse_known_args` takes the real ones out.
        self.add_argument(
            "--config.FIELD",
            metavar="VALUE",
            dest=argparse.SUPPRESS,
            help="change a field of the configuration: --config.train.batch=8, "
            '--config.data.train_short_side="(224, 256)"; may be repeated',
        )
        self.add_argument(
            "--help-config",
            action=_HelpConfig,
            help="show all fields with defaults, values and meaning, and exit",
        )

    def error(self, message: str):
        """Prints usage and message, and exits."""
        self.print_usage(sys.stderr)
        text = message[:1].upper() + message[1:]
        self.exit(WRONG_COMMAND_LINE, f"Error: {text}\n")

    def parse_args(self, args=None, namespace=None):
        """See argparse. When a shell asks for completions, prints them and exits."""
        if "_ARGCOMPLETE" in os.environ:
            import argcomplete

            argcomplete.autocomplete(self)
        return super().parse_args(args, namespace)

    def parse_known_args(self, args=None, namespace=None):
        """See argparse, which calls this for a program and for each sub-command."""
        args = list(sys.argv[1:] if args is None else args)
        if self._subparsers is not None:
            self._check_command_is_first(args)
            return super().parse_known_args(args, namespace)
        fields = []
        if self._has_config:
            args, fields = _split_fields(args)
        parsed, rest = super().parse_known_args(self._normalized(args), namespace)
        if self._has_config:
            parsed.config = self._load_config(parsed.config, fields)
        return parsed, rest

    def _check_command_is_first(self, args: Sequence[str]) -> None:
        """Flags belong to a sub-command, so argparse cannot read them before it."""
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            self.error(f"{args[0]} must come after the command")

    def _normalized(self, args: Sequence[str]) -> list[str]:
        """The arguments as argparse wants them; unknown flags end the program."""
        end = args.index("--") if "--" in args else len(args)
        known = self._option_string_actions
        result = []
        for argument in args[:end]:
            if not _FLAG.match(argument):
                result.append(argument)
                continue
            name, equals, value = argument.partition("=")
            if name.replace("_", "-") not in known:
                self.error(f"there is no flag {name}{self._suggestion(name)}")
            name = name.replace("_", "-")
            if known[name].nargs != 0 or value.lower() not in ("true", "false"):
                result.append(name + equals + value)
            elif value.lower() == "true":
                result.append(name)
            elif f"--no-{name[2:]}" in known:  # other switches are off by default
                result.append(f"--no-{name[2:]}")
        return result + list(args[end:])

    def _suggestion(self, name: str) -> str:
        """What an unknown flag may have meant; '' without an idea."""
        known = self._option_string_actions
        if name in ("--conf", "--confidence") and "--threshold" in known:
            return ". Did you mean --threshold?"
        if self._has_config:
            fields = dict(ava_config.flat(ava_config.default().to_dict()))
            if advice := _exact_advice(name[2:], fields):
                return _did_you_mean(advice, fields)
        words = {flag.lstrip("-"): flag for flag in known}
        near = difflib.get_close_matches(name[2:].replace("_", "-"), words, n=1)
        return f". Did you mean {words[near[0]]}?" if near else ""

    def _load_config(
        self, path: str | None, fields: Sequence[str]
    ) -> ml_collections.ConfigDict | None:
        """The configuration of a file, with --config.FIELD=VALUE done."""
        if path is None:
            if fields:
                self.error(f"{fields[0]} needs --config FILE[:VARIANT]")
            return None
        config = ava_config.load(path)
        known = dict(ava_config.flat(config.to_dict()))
        for field in fields:
            name = field.partition("=")[0].partition(".")[2]
            if name not in known:
                advice = _advice(name, known)
                value = f" It is {known[advice]!r} now." if advice in known else ""
                near = _did_you_mean(advice, known)
                self.error(f"the configuration has no field {name!r}{near}{value}")
        try:
            config = _override(_with_floats(config, fields), fields)
            ava_config.check(config)
        except errors.UserError as error:
            self.error(str(error))
        except (flags.Error, TypeError, ValueError) as error:
            self.error(_unreadable(config, fields) or str(error))
        return config


def _recipes(**_: Any) -> list[str]:
    """What may stand after --config, for a shell."""
    return recipes.names()


class _HelpConfig(argparse.Action):
    """Prints the fields of a configuration, as --help prints the flags."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser, namespace, values, option_string=None):
        print(page.as_text(), end="")
        parser.exit()


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows the default of every flag that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default, text = action.default, action.help
        is_switch = default is None or isinstance(default, bool)
        if is_switch or default == argparse.SUPPRESS or "default" in text:
            return text
        if isinstance(default, (list, tuple)):
            default = " ".join(map(str, default))
        return f"{text} (default: {default})" if default != "" else text


def _split_fields(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments without --config.FIELD, and those as --config.FIELD=VALUE.

    A field without a value that another flag or nothing follows is a boolean, as
    absl reads it.
    """
    others, fields = [], []
    queue = list(args)
    while queue and queue[0] != "--":
        argument = queue.pop(0)
        match = _FIELD.fullmatch(argument)
        if not match or not difflib.get_close_matches(match[2], ["config"]):
            others.append(argument)
            continue
        argument = f"--{match[1] or ''}config.{match[3]}"
        is_alone = "=" in argument or match[1] or not queue or queue[0][:2] == "--"
        fields.append(argument if is_alone else f"{argument}={queue.pop(0)}")
    return others + queue, fields


def _with_floats(
    config: ml_collections.ConfigDict, fields: Sequence[str]
) -> ml_collections.ConfigDict:
    """Makes fields floats that are whole numbers now and may have others.

    Such as train.epochs, where 20 becomes 0.5: by itself a field keeps its type.
    """
    known = dict(ava_config.flat(config.to_dict()))
    for field in fields:
        name, _, value = field.partition("=")
        name = name.partition(".")[2]
        is_whole = type(known[name]) is int and name in ranges.RANGES
        if is_whole and "." in value and ranges.RANGES[name].holds(2.5):
            with config.ignore_type():
                config.update_from_flattened_dict({name: float(known[name])})
    return config


def _unreadable(config: ml_collections.ConfigDict, fields: Sequence[str]) -> str:
    """The first field whose value is of another type, and what it may have, or ''."""
    for field in fields:
        try:
            _override(config, [field])
        except (flags.Error, TypeError, ValueError):
            name, equals, value = field.partition("=")
            allowed = ranges.RANGES.get(name.partition(".")[2])
            if not (equals and allowed and allowed.expected):
                return ""
            return (
                f"the configuration cannot be used:\n  {name[2:]} is {value!r}; "
                f"expected: {allowed.expected}"
            )
    return ""


def _override(
    config: ml_collections.ConfigDict, fields: Sequence[str]
) -> ml_collections.ConfigDict:
    """Sets fields as `ml_collections.config_flags` does, and locks the result."""
    from ml_collections import config_flags

    values = flags.FlagValues()
    argv = ["", *fields]
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    values(argv)
    return values["config"].value


def _did_you_mean(advice: str, known: Mapping[str, Any]) -> str:
    if advice in known:
        return f". Did you mean --config.{advice}?"
    return f": {advice}"


def _exact_advice(name: str, known: Mapping[str, Any]) -> str:
    """The field that a name means, or what to do; '' if the name is not known.

    Args:
      name: of a field, with or without its section, here or in another project, such
        as 'epochs' or 'solver.base_lr'.
      known: the fields of a configuration.
    """
    last = name.rpartition(".")[2].lower().replace("-", "_")
    own = (field for field in known if field.rpartition(".")[2] == last)
    return OTHER_NAMES.get(last) or next(own, "")


def _advice(name: str, known: Mapping[str, Any]) -> str:
    """The same for a name that may also be misspelt."""
    if advice := _exact_advice(name, known):
        return advice
    near = difflib.get_close_matches(name, [*known, *OTHER_NAMES], n=1, cutoff=0)[0]
    return OTHER_NAMES.get(near, near)
