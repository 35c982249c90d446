"""The commands that download AVA's videos."""

import os
import re

from ava_jax.annotations.text_files import read_lines
from ava_jax.errors import UserError

# https://github.com/cvdfoundation/ava-dataset names the files that CVDF hosts.
URL = "https://s3.amazonaws.com/ava-dataset/trainval"

_SCRIPT = """\
#!/bin/sh
# Downloads {count} videos into the current folder. The same command again goes on
# where it was stopped. Nobody has published checksums of these files:
# `prepare_ava.py extract` tells which are damaged.
failed=0
get() {{
  [ -f "./$1" ] && return
  echo "$1"
  curl --fail --location --retry 5 --continue-at - \\
    --output "./$1.part" "{url}/$1" &&
    mv "./$1.part" "./$1" && return
  failed=$((failed + 1))
}}
{calls}
if [ "$failed" -gt 0 ]; then
  echo "$failed of {count} videos are missing. Run this again." >&2
  exit 1
fi
"""


def download_script(path: str | os.PathLike) -> str:
    """A shell script that downloads the videos of a list, and can be resumed.

    Args:
      path: a file name a line, as in AVA's `ava_file_names_trainval_v2.1.txt`.

    Raises:
      UserError: no such file, or a line that is no file name.
    """
    path = os.fspath(path)
    lines = enumerate(read_lines(path), 1)
    names = {line: text.strip() for line, text in lines if text.strip()}
    for line, name in names.items():
        if not re.fullmatch(r"[\w-]+\.\w+", name):
            raise UserError(
                f"{path}, line {line}: {name[:60]!r}, expected the name of a video, "
                "such as 1j20qq1JyX4.mp4"
            )
    if not names:
        raise UserError(f"{path}: empty, expected the name of a video a line")
    unique = dict.fromkeys(names.values())
    calls = "\n".join(f"get {name}" for name in unique)
    return _SCRIPT.format(count=len(unique), url=URL, calls=calls)
