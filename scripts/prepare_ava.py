"""Makes a data set in AVA's format, step by step; docs/data.md tells how.

python scripts/prepare_ava.py STEP --config configs/own.py, where STEP is
  list       prints a script that downloads AVA's videos (needs no --config)
  extract    writes the frames of videos
  proposals  finds people on annotated key frames
  pack       puts a second's frames into one record; what follows `--` is for Beam
"""

import os
import sys

from absl import app, flags
from ml_collections import config_flags

from ava_jax import config as ava_config
from ava_jax.errors import UserError, tell

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "What training uses: configs/FILE.py or configs/FILE.py:VARIANT"
)
_NAMES = flags.DEFINE_string("names", None, "list: a file with a video name a line.")
_VIDEOS = flags.DEFINE_string("videos", None, "extract: the folder of the videos.")
_END = flags.DEFINE_float("end", 0, "extract: second at which to stop; 0: the end.")
_SHORT_SIDE = flags.DEFINE_integer("short_side", 0, "extract: pixels; 0: unchanged.")
_QUALITY = flags.DEFINE_integer("quality", 95, "extract: of the JPEG files, 1 to 100.")
_WORKERS = flags.DEFINE_integer("workers", None, "extract: processes; default: cores.")
_SPLIT = flags.DEFINE_enum("split", "val", ["train", "val"], "proposals: of which.")
_DETECTOR = flags.DEFINE_string("detector", "hog", "proposals: hog or FILE.onnx.")
_OUT = flags.DEFINE_string("out", None, "pack: folder to write.")
_NAME = flags.DEFINE_enum("name", "own", ["v2.1", "v2.2", "own"], "pack: which AVA.")


def main(argv: list[str]) -> None:
    """Does the step that the command line names; the heavy imports are its own."""
    step = argv[1] if len(argv) > 1 else None
    if step not in _STEPS or (argv[2:] and step != "pack"):
        raise UserError(f"Give one step: {', '.join(_STEPS)}. See --help")
    _STEPS[step](argv[2:])


def _list(_: list[str]) -> None:
    from ava_jax.prepare.download import download_script

    print(download_script(_needed(_NAMES)), end="")


def _extract(_: list[str]) -> None:
    folder, config = _needed(_VIDEOS), _CONFIG.value
    from ava_jax.prepare import extract, extract_movie

    options = (_END.value, _SHORT_SIDE.value, _QUALITY.value)
    recipe = extract_movie.recipe_of(config.data, *options)
    videos = extract.find_videos(folder)
    root = os.path.join(config.data.root, config.data.frames)
    movies = extract.extract_movies(
        videos, root, recipe, workers=_WORKERS.value, progress=_bar("movies")
    )
    print(extract.table(movies))
    sys.exit(any(movie.error for movie in movies))


def _proposals(_: list[str]) -> None:
    from ava_jax.prepare.detect_people import write_proposals

    bar = _bar("key frames")
    print(write_proposals(_CONFIG.value.data, _SPLIT.value, _DETECTOR.value, bar))


def _pack(beam: list[str]) -> None:
    out = _needed(_OUT)
    from ava_jax.prepare import ava_builder

    ava_builder.pack(_CONFIG.value.data, out, name=_NAME.value, beam_arguments=beam)
    print(f"{out}: add --config.data.root={out} --config.data.frame_store=packed")


_STEPS = {"list": _list, "extract": _extract, "proposals": _proposals, "pack": _pack}


def _needed(flag: flags.FlagHolder) -> str:
    if not flag.value:
        raise UserError(f"This step needs --{flag.name}. See --help")
    return flag.value


def _bar(unit: str):
    import tqdm

    return lambda items, total: tqdm.tqdm(items, unit=unit, total=total)


if __name__ == "__main__":
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    needs_config = "list" not in sys.argv[1:2]
    try:
        app.run(main, flags_parser=lambda a: ava_config.parse_flags(a, needs_config))
    except (UserError, KeyboardInterrupt) as error:
        sys.exit(tell(error))
