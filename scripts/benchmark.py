"""Measures the speed of the parts of this project on this machine.

    ava-jax bench model --config configs/slowfast.py --mode train

docs/benchmarks.md has results. For the flags of a part:
ava-jax bench model --help
"""

import json
from collections.abc import Sequence

from benchmarks import (
    communication,
    compile_program,
    data,
    evaluation,
    model,
    precision,
    rare_actions,
    serve,
    train,
    video,
    video_map,
)

from ava_jax import command_line

# Each module has NAME, a one-line HELP, add_arguments(parser), run(args), which returns
# a dict of results for --json, and show(results), which prints them.
PARTS = (
    model,
    precision,
    rare_actions,
    serve,
    train,
    communication,
    compile_program,
    data,
    evaluation,
    video,
    video_map,
)


def main(argv: Sequence[str]) -> None:
    """Measures the part that the command line names."""
    parser = command_line.Parser(__doc__)
    parts = parser.add_subparsers(metavar="PART", required=True)
    for module in PARTS:
        part = parts.add_parser(
            module.NAME, help=module.HELP, description=f"Measures {module.HELP}."
        )
        module.add_arguments(part)
        part.add_argument("--json", action="store_true", help="print results as JSON")
        part.set_defaults(module=module)
    args = parser.parse_args(argv)
    results = args.module.run(args)
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        args.module.show(results)


if __name__ == "__main__":
    command_line.run(main)
