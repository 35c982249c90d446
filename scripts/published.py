"""Lists, downloads and checks published weights and files.

    ava-jax published list
    ava-jax published fetch NAME

Whatever takes the path of a checkpoint takes the NAME, too, and downloads it at its
first use. AVA_JAX_CACHE is the folder of the downloads, AVA_JAX_MIRROR=URL another
server, and with AVA_JAX_OFFLINE=1 nothing is downloaded.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from ava_jax import command_line, published
from ava_jax.published import zoo_page

_KINDS = (
    "detector",
    "pretrained",
    "person_detector",
    "proposals",
    "annotations",
    "video",
)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; `command` is the function of the chosen command."""
    parser = command_line.Parser(__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add_command(name: str, command: Callable, text: str) -> Callable:
        parser = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        parser.set_defaults(command=command)
        return parser.add_argument

    add = add_command("list", _list, "list the published files")
    add("word", metavar="WORD", nargs="?", help="only names that have it")
    add("--kind", choices=_KINDS, help="only files of this kind")
    add(
        "--markdown",
        action="store_true",
        help="print the tables of docs/model_zoo.md instead",
    )
    add = add_command("fetch", _fetch, "download files and print their paths")
    add("names", metavar="NAME", nargs="+", help="name of a published file")
    add = add_command("where", _where, "print where files are, or would be")
    add("names", metavar="NAME", nargs="+", help="name of a published file")
    add = add_command("verify", _verify, "compare files in the cache with checksums")
    add("names", metavar="NAME", nargs="*", help="name of a published file; none: all")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs a command; 1 if it found a damaged file."""
    args = parse_arguments(argv)
    return args.command(args)


def _list(args) -> int:
    if args.markdown:
        print(zoo_page.tables(), end="")
        return 0
    word = (args.word or "").lower()
    rows = [("name", "kind", "mAP", "data set", "")]
    for file in published.all_files():
        if args.kind in (None, file.kind) and word in file.name.lower():
            mean_ap = "" if file.mean_ap is None else f"{file.mean_ap:.2f}"
            rows.append((file.name, file.kind, mean_ap, file.dataset, _state(file)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    return 0


def _state(file: published.PublishedFile) -> str:
    if file.unsupported:
        return f"not supported: {file.unsupported}"
    return "in the cache" if published.cached_path(file).is_file() else ""


def _fetch(args) -> int:
    for name in args.names:
        print(published.fetch(name))
    return 0


def _where(args) -> int:
    for file in map(published.find, args.names):
        path = published.cached_path(file)
        print(path)
        if not path.is_file():
            print(f"{path} is not there yet; its source: {file.url}", file=sys.stderr)
    return 0


def _verify(args) -> int:
    chosen = list(map(published.find, args.names)) or published.all_files()
    there = [file for file in chosen if published.cached_path(file).is_file()]
    if not (there or args.names):
        print("Nothing was downloaded yet.")
    damaged = 0
    for file in chosen if args.names else there:
        path = published.cached_path(file)
        if file not in there:
            print(f"{path}: not there")
            continue
        problem = published.damage(file)
        damaged += bool(problem)
        print(f"{path}: {problem or ('ok' if file.sha256 else 'no known checksum')}")
    if damaged:
        print("Delete what is damaged; the next start downloads it.", file=sys.stderr)
    return int(damaged > 0)


if __name__ == "__main__":
    command_line.run(main)
