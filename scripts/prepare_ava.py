"""Prepares AVA, or a data set in its format; docs/data.md describes the steps.

    ava-jax prepare download --config configs/slowfast.py --videos
    ava-jax prepare extract --config configs/slowfast.py

For the flags of a step: ava-jax prepare extract --help
"""

import argparse
import os
import pathlib
from collections.abc import Callable, Sequence

from ava_jax import command_line, errors
from ava_jax.annotations import tools
from ava_jax.config import ranges
from ava_jax.prepare.importing import moments

_BEAM = "flags of Apache Beam, which then runs it, after --"


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; `step` is the function of the chosen step."""
    parser = command_line.Parser(__doc__)
    steps = parser.add_subparsers(metavar="STEP", required=True)

    def add_step(
        name: str,
        step: Callable,
        text: str,
        config: str = "configuration that training uses",
        **options: bool,
    ) -> Callable:
        parser = steps.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        parser.set_defaults(step=step)
        parser.add_config(config, **options)
        return parser.add_argument

    add = add_step("download", _download, "download AVA and MMAction2's proposals")
    add("--videos", action="store_true", help="download the movies, too")
    add(
        "--workers",
        type=command_line.whole(1),
        default=4,
        metavar="N",
        help="number of movies that are downloaded at a time",
    )

    add = add_step("extract", _extract, "write the frames of videos as JPEG files")
    add(
        "--videos",
        metavar="DIR",
        help="directory of the videos (default: videos/ in config.data.root)",
    )
    add(
        "--end",
        type=command_line.number(ranges.at_least(0)),
        metavar="SECONDS",
        help="timestamp at which to stop; 0: the end of the video (default: 1801 if "
        "the configuration reads AVA, otherwise 0)",
    )
    add(
        "--short-side",
        type=command_line.whole(0),
        default=0,
        metavar="PIXELS",
        help="scale frames to this short side; 0: do not scale",
    )
    add(
        "--quality",
        type=command_line.whole(1, 100),
        default=95,
        metavar="Q",
        help="quality of the JPEG files, 1 to 100",
    )
    add(
        "--workers",
        type=command_line.whole(1),
        metavar="N",
        help="number of processes (default: number of cores)",
    )

    add = add_step("import", _import, "import files of annotation tools")
    _add_tool_flags(add)
    add("files", metavar="FILE", nargs="+", help="file or folder of the tool")
    add(
        "--every",
        type=command_line.number(ranges.at_least(0)),
        default=1.0,
        metavar="SECONDS",
        help="time between the key frames that are taken of tracks; 0: the boxes that "
        "somebody drew",
    )
    add(
        "--numbers",
        choices=moments.NUMBERS,
        help="what the numbers in names of pictures count",
    )
    add(
        "--first-frame",
        type=command_line.whole(0),
        metavar="N",
        help="number of a video's first frame (default: as the tool counts)",
    )
    add("--video", metavar="NAME", help="video of pictures without one")
    add(
        "--attributes",
        metavar="NAME,...",
        help="attributes that are actions (default: all that can be)",
    )
    add(
        "--columns",
        metavar="ROLE=NAME,...",
        help="columns of a CSV by name or number, such as video=file,time=when",
    )
    add(
        "--labels",
        metavar="FILE",
        help="label map with all actions (default: the data set's, or a new one)",
    )
    add(
        "--val-share",
        type=command_line.number(ranges.SHARE),
        default=0.25,
        metavar="SHARE",
        help="share of the videos that are for validation",
    )
    add("--val-videos", metavar="NAME,...", help="those for validation")
    add(
        "--seed",
        type=command_line.whole(0),
        default=0,
        metavar="N",
        help="seed of the choice of videos for validation",
    )
    add("--replace", action="store_true", help="write over the data set that is there")

    add = add_step("export", _export, "write annotations for a tool, to correct them")
    _add_tool_flags(add)
    add("--format", choices=tuple(tools.WRITERS), required=True, help="tool")
    add(
        "--out",
        required=True,
        metavar="FILE",
        help="file to write; for cvat a folder, with a file for each video",
    )

    add = add_step(
        "annotate",
        _annotate,
        "find people in videos and suggest actions, to correct them",
        "configuration of a PyTorch file (default: found by name or tensors)",
        required=False,
    )
    _add_annotate_flags(add)

    add = add_step("merge", _merge, "join Kinetics' annotations with AVA's")
    add(
        "--kinetics",
        metavar="CSV",
        help="Kinetics' annotations (default: annotations/kinetics_train_v1.0.csv in "
        "config.data.root)",
    )
    add(
        "--ava",
        metavar="CSV",
        help="AVA's annotations (default: annotations/ava_train_v2.2.csv)",
    )
    add(
        "--proposals",
        nargs="+",
        default=[],
        metavar="FILE",
        help="proposals to join, Kinetics' first: of a key frame that several have, "
        "the last file's boxes are taken",
    )

    add = add_step("multisports", _multisports, "write MultiSports in AVA's format")
    add(
        "--ground-truth",
        metavar="FILE",
        help="multisports_GT.pkl (default: annotations/ in config.data.root)",
    )
    for split in ("train", "val"):
        add(f"--{split}-proposals", metavar="FILE", help="MMAction2's pickle of boxes")

    add = add_step("bank", _bank, "convert MMAction2's long-term feature banks")
    add("--train", metavar="FILE", help="MMAction2's lfb_train.pkl")
    add("--val", metavar="FILE", help="MMAction2's lfb_val.pkl")
    add(
        "--out",
        metavar="DIR",
        help="folder of the bank (default: config.data.feature_bank)",
    )

    add = add_step("proposals", _proposals, "detect people on annotated key frames")
    splits = ("train", "val", "both")
    add("--split", choices=splits, default="both", help="splits to process")
    add(
        "--detector",
        default="auto",
        metavar="NAME",
        help="person detector: auto (yolox if it is available, otherwise hog), yolox "
        "(downloaded), hog or onnx:FILE; 3x2:yolox looks at 3 x 2 tiles",
    )
    add("beam", metavar="BEAM", nargs="*", help=_BEAM)

    add = add_step("pack", _pack, "pack the frames of every second into one record")
    add("--out", required=True, metavar="DIR", help="directory to write")
    add(
        "--name",
        choices=("v2.1", "v2.2", "own"),
        default="own",
        help="version of AVA that the data set is",
    )
    add("beam", metavar="BEAM", nargs="*", help=_BEAM)
    return parser.parse_args(argv)


def _add_tool_flags(add: Callable) -> None:
    """Flags of what annotation tools do not say of videos."""
    add(
        "--videos",
        metavar="DIR",
        help="directory of the videos, whose names, rate and size are taken (default: "
        "videos/ in config.data.root)",
    )
    add(
        "--fps",
        type=command_line.number(ranges.above(0)),
        metavar="RATE",
        help="frames a second (default: as the files or the videos say)",
    )
    add(
        "--size",
        type=command_line.frame_size,
        metavar="WIDTHxHEIGHT",
        help="size of the frames in pixels (default: as the files or the videos say)",
    )


def _add_annotate_flags(add: Callable) -> None:
    add("videos", metavar="VIDEO", nargs="+", help="video files")
    add("--out", required=True, metavar="DIR", help="folder to write")
    add(
        "--checkpoint",
        metavar="NAME",
        help="published detector, working directory, converted checkpoint, or PyTorch "
        "file, which suggests actions (default: nobody suggests any)",
    )
    add(
        "--labels",
        metavar="FILE",
        help="label map (default: the checkpoint's; without one, AVA's 80 actions)",
    )
    add(
        "--features",
        metavar="NAME",
        help="for a checkpoint with long-term features: the detector whose features "
        "they are",
    )
    add(
        "--detector",
        default="auto",
        metavar="NAME",
        help="person detector: auto (yolox if it is available, otherwise hog), yolox, "
        "hog, onnx:FILE, or a file of boxes; 3x2:yolox looks at 3 x 2 tiles",
    )
    add(
        "--person-score",
        type=command_line.number(ranges.SHARE),
        default=0.5,
        metavar="P",
        help="minimum score of a person",
    )
    add(
        "--every",
        type=command_line.number(ranges.above(0)),
        default=1.0,
        metavar="SECONDS",
        help="time between two key frames",
    )
    add(
        "--threshold",
        type=command_line.number(ranges.SHARE),
        default=0.3,
        metavar="P",
        help="minimum score of an action to be suggested",
    )
    add(
        "--batch",
        type=command_line.whole(1),
        default=1,
        metavar="N",
        help="clips scored at once",
    )
    add(
        "--short-side",
        type=command_line.whole(1),
        default=360,
        metavar="PIXELS",
        help="short side of the page's pictures, at most",
    )
    add(
        "--format",
        choices=("cvat", "via3", "labelstudio"),
        help="tool for which a project is written, too",
    )


def main(argv: Sequence[str]) -> int | None:
    """Runs the step that the command line names."""
    args = parse_arguments(argv)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return args.step(args)


# Every step has its own imports, so that --help does not wait for them.


def _download(args: argparse.Namespace) -> int:
    from ava_jax.prepare import ava_annotations, ava_movies

    data = args.config.data
    print(ava_annotations.text(ava_annotations.download_annotations(data)))
    if not args.videos:
        return 0
    names = os.path.join(data.root, "annotations", ava_annotations.NAMES)
    plan = ava_movies.plan(_videos(data), ava_movies.read_names(names))
    print(plan.text(), flush=True)
    failures = {}
    for name, error in ava_movies.download_movies(plan, args.workers):
        if error:
            failures[name] = error
    print(ava_movies.text(plan, failures))
    return int(bool(failures))


def _videos(data) -> str:
    return os.path.join(data.root, "videos")


def _extract(args: argparse.Namespace) -> int:
    from ava_jax.prepare import ava_annotations, extract, extract_movie

    data = args.config.data
    end = args.end
    if end is None:
        end = ava_annotations.END if ava_annotations.is_ava(data) else 0
    recipe = extract_movie.recipe_of(data, end, args.short_side, args.quality)
    videos = extract.find_videos(args.videos or _videos(data))
    root = os.path.join(data.root, data.frames)
    movies = extract.extract_movies(
        videos,
        root,
        recipe,
        names_of_clips=data.clip_names,
        workers=args.workers,
        progress=_bar("movies"),
    )
    print(extract.table(movies))
    return int(any(movie.error for movie in movies))


def _import(args: argparse.Namespace) -> None:
    from ava_jax.prepare.importing import data_set

    known = moments.Knowledge(
        fps=args.fps or 0,
        size=args.size,
        every=args.every,
        numbers=args.numbers or "",
        first_frame=args.first_frame,
        video=args.video or "",
    )
    wishes = data_set.Wishes(
        known,
        pathlib.Path(args.videos or _videos(args.config.data)),
        attributes=_names(args.attributes),
        columns=_columns(args.columns),
        labels=args.labels or "",
        val_share=args.val_share,
        val_videos=_names(args.val_videos),
        seed=args.seed,
        replace=args.replace,
    )
    print(data_set.import_files(args.config.data, args.files, wishes).text())


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _columns(text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in _names(text)]
    if wrong := [role for role, mark, name in pairs if not (mark and name)]:
        raise errors.UserError(
            f"--columns: found {wrong[0]!r}, expected a role and a column: "
            "--columns video=file,time=when"
        )
    return {role: name for role, _, name in pairs}


def _export(args: argparse.Namespace) -> None:
    from ava_jax.prepare.importing.export import export_annotations

    data = args.config.data
    folder = pathlib.Path(args.videos or _videos(data))
    known = moments.Knowledge(args.fps or 0, args.size)
    print(export_annotations(data, args.out, args.format, known, folder).text())


def _annotate(args: argparse.Namespace) -> None:
    from ava_jax.annotations import read_labels
    from ava_jax.annotations.ava_actions import AVA_ACTIONS
    from ava_jax.predict import Detector
    from ava_jax.runtime.compilation_cache import use_cache
    from ava_jax.visualization.pre_annotation import Options, pre_annotate

    detector = labels = None
    if args.checkpoint:
        use_cache()
        detector = Detector.from_checkpoint(
            args.checkpoint,
            config=args.config,
            labels=args.labels,
            features=args.features,
        )
    else:
        labels = dict(enumerate(AVA_ACTIONS, 1))
        labels = read_labels(args.labels) if args.labels else labels
    same = ("person_score", "every", "threshold", "batch", "short_side", "format")
    options = {name: getattr(args, name) for name in same}
    options = Options(people=args.detector, **options)
    print(
        pre_annotate(args.videos, args.out, options, detector=detector, labels=labels)
    )


def _merge(args: argparse.Namespace) -> None:
    from ava_jax.prepare import ava_kinetics

    data = args.config.data
    folder = os.path.join(data.root, "annotations")
    merged = ava_kinetics.merge(
        data,
        kinetics=args.kinetics or os.path.join(folder, "kinetics_train_v1.0.csv"),
        ava=args.ava or os.path.join(folder, "ava_train_v2.2.csv"),
        proposals=args.proposals,
    )
    print(merged.text())


def _multisports(args: argparse.Namespace) -> None:
    from ava_jax.prepare import multisports

    data = args.config.data
    usual = os.path.join(data.root, "annotations", "multisports_GT.pkl")
    proposals = {"train": args.train_proposals, "val": args.val_proposals}
    lines = multisports.write_annotations(
        data,
        args.ground_truth or usual,
        {split: path for split, path in proposals.items() if path},
    )
    print("\n".join(lines))


def _bank(args: argparse.Namespace) -> None:
    from ava_jax.checkpoints.pytorch import bank_files

    paths = {name: getattr(args, name) for name in ("train", "val")}
    folder = args.out or args.config.data.feature_bank
    given = {name: path for name, path in paths.items() if path}
    if not given or not folder:
        missing = "the banks: --train FILE, --val FILE" if folder else "--out DIR"
        raise errors.UserError(f"Give {missing}.")
    print(bank_files.convert(given, folder))


def _proposals(args: argparse.Namespace) -> None:
    splits = ("train", "val") if args.split == "both" else (args.split,)
    given = args.config.data, splits, args.detector
    if args.beam:
        from ava_jax.batch import proposals

        lines = proposals.write_proposals(*given, args.beam)
    else:
        from ava_jax.prepare import detect_people

        lines = detect_people.write_proposals(*given, _bar("key frames"))
    for line in lines:
        print(line)


def _pack(args: argparse.Namespace) -> None:
    from ava_jax.prepare import ava_builder

    ava_builder.pack(
        args.config.data, args.out, name=args.name, beam_arguments=args.beam
    )
    fields = f"--config.data.root={args.out} --config.data.frame_store=packed"
    print(f"{args.out}: add {fields}")


def _bar(unit: str) -> Callable:
    from ava_jax.runtime.counted import counted

    return lambda items, total: counted(items, total, unit)


if __name__ == "__main__":
    command_line.run(main, interrupted=errors.INTERRUPTED)
