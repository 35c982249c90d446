"""Checks a data set in AVA's format: everything that training would stumble over.

    python scripts/check_ava.py --config configs/slowfast.py --config.data.root=data/ava

takes seconds; with --frames every frame is opened, on all cores. Exit code: 0 clean,
1 there are problems, 2 there is nothing to check. docs/data.md tells more.
"""

import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from ava_jax import config as ava_config
from ava_jax.errors import UserError, tell

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "What training uses: configs/FILE.py or configs/FILE.py:VARIANT"
)
_FRAMES = flags.DEFINE_bool("frames", False, "Open every frame.")
_JSON = flags.DEFINE_string("json", None, "Write the verdict here for programs.")
_HTML = flags.DEFINE_string("html", None, "Write a page with pictures here.")


def main(argv: list[str]) -> None:
    """Checks, prints, writes."""
    if argv[1:]:
        raise UserError(f"What is {argv[1]!r}? All is said with flags: see --help")
    for path in filter(None, (_JSON.value, _HTML.value)):
        _check_folder(path)
    logging.set_verbosity(logging.ERROR)
    # Imported here because --help and a mistyped flag should not wait for them.
    import tqdm

    from ava_jax import files, workdir
    from ava_jax.checks import check, page

    def progress(items, total):
        return tqdm.tqdm(items, "frames", total, disable=None, unit_scale=True)

    examination = check.examine(
        _CONFIG.value, every_frame=_FRAMES.value, progress=progress
    )
    verdict = examination.verdict
    if _JSON.value:
        workdir.write_json(pathlib.Path(_JSON.value), verdict.as_dict())
    if _HTML.value:
        text = page.render(verdict, examination.image)
        files.replace(pathlib.Path(_HTML.value), text)
    print(verdict.as_text())
    sys.exit(0 if verdict.is_clean else 1)


def _check_folder(path: str) -> None:
    folder = pathlib.Path(path).absolute().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise UserError(f"{path} cannot be written: {folder} is no writable folder.")


if __name__ == "__main__":
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app.run(main, flags_parser=ava_config.parse_flags)
    except UserError as error:
        tell(error)
        sys.exit(2)
