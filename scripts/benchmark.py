"""How fast the parts of the project are on this machine.

    python scripts/benchmark.py model --config configs/slowfast.py --mode train

`--help` after a subcommand lists its options; docs/benchmarks.md has results.
"""

import argparse
import json
import sys

from benchmarks import (
    communication,
    data,
    evaluation,
    model,
    precision,
    train,
    video,
)

from ava_jax.errors import UserError

# Each has NAME, a one-line HELP, add_arguments(parser), run(args) -> dict of
# results for --json, and show(results), which prints them.
SUBCOMMANDS = (model, precision, train, communication, data, evaluation, video)


def main() -> None:
    """Runs the subcommand that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subparsers = parser.add_subparsers(required=True)
    for module in SUBCOMMANDS:
        subparser = subparsers.add_parser(module.NAME, help=module.HELP)
        module.add_arguments(subparser)
        subparser.add_argument("--json", action="store_true", help="print JSON")
        subparser.set_defaults(module=module)
    args = parser.parse_args()
    try:
        results = args.module.run(args)
    except UserError as error:
        sys.exit(str(error))
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        args.module.show(results)


if __name__ == "__main__":
    main()
