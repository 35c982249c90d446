r"""Scores a file of detections against ground truth: AP and mAP at IoU 0.5.

ava-jax score --ground-truth ava_val_v2.1.csv \
    --detections detections.csv \
    --label-map ava_action_list_v2.1_for_activitynet_2018.pbtxt \
    --exclusions ava_val_excluded_timestamps_v2.1.csv
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence

from ava_jax import annotations, command_line, files, scoring
from ava_jax.annotations import detection_checks
from ava_jax.annotations.tracks import check_linked
from ava_jax.errors import UserError
from ava_jax.metrics.protocols import DEFAULT, PROTOCOLS
from ava_jax.metrics.tubes import SHORTEST
from ava_jax.metrics.video_map import LINK_SCORES
from ava_jax.report.tables import (
    comparison_text,
    interval_text,
    score_text,
    tube_score_text,
)

TUBES = "multisports"  # beside AVA's protocols


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add(
        "--ground-truth",
        required=True,
        metavar="FILE",
        help="annotations: CSV, may be gzipped; MultiSports' multisports_GT.pkl",
    )
    add(
        "--detections",
        required=True,
        nargs="+",
        metavar="FILE",
        help="detections: CSV, may be gzipped, Parquet or npz; a pickle of MMAction2 "
        "1.x (--dump) or PySlowFast; COCO's JSON. Several are runs (seeds) of one "
        "method for --compare, and the first is scored",
    )
    add(
        "--label-map",
        metavar="FILE",
        help="actions to score: pbtxt, lines of 'id: name', or JSON of names to ids; "
        "needed unless multisports_GT.pkl names them",
    )
    add(
        "--index",
        metavar="FILE",
        help="for detections whose videos or images are numbers: PySlowFast's frame "
        "list or a name a line; for COCO's, the JSON with the images",
    )
    add("--exclusions", metavar="FILE", help="CSV of video,timestamp to leave out")
    add(
        "--protocol",
        choices=[*PROTOCOLS, TUBES],
        default=DEFAULT,
        help="evaluation protocol of the mAP; AVA's others are listed too. multisports "
        "links boxes over frames: frame-mAP and video-mAP",
    )
    add(
        "--link-scores",
        choices=list(LINK_SCORES),
        default="own",
        help="multisports: link by each box's own score, or, as MMAction2 1.x, by that "
        "of the last detection of the file",
    )
    add(
        "--shortest-tube",
        type=command_line.whole(1),
        default=SHORTEST,
        metavar="N",
        help="multisports: frames of the shortest linked tube",
    )
    add(
        "--first-label",
        type=int,
        choices=(0, 1),
        help="multisports: lowest action id of the files; by default 0 with "
        "multisports_GT.pkl, otherwise 1",
    )
    add("--json", metavar="FILE", help="write all results to this JSON file")
    add("--report", metavar="DIR", help="write a page with an error analysis here")
    add(
        "--lenient",
        action="store_true",
        help="continue after problems that can make the result misleading",
    )
    add(
        "--compare",
        nargs="+",
        default=[],
        metavar="FILE",
        help="detections to compare with --detections; several are runs of one method",
    )
    add(
        "--resamples",
        type=command_line.whole(0),
        default=300,
        metavar="N",
        help="bootstrap resamples of the videos; 0: no intervals and no comparison",
    )
    args = parser.parse_args(argv)
    if args.protocol != TUBES and args.label_map is None:
        parser.error("the following arguments are required: --label-map")
    unused = (args.exclusions, args.compare, args.detections[1:], args.report)
    if args.protocol == TUBES and any(unused):
        parser.error(
            f"--protocol {TUBES} takes one file of detections, and no --exclusions, "
            "--compare or --report"
        )
    return args


def score_tubes(args) -> dict:
    """Reads the files and scores linked tubes; prints the table."""
    truth = annotations.read_multisports(args.ground_truth)
    first_label = int(truth is None) if args.first_label is None else args.first_label
    options = {"lenient": args.lenient, "first_label": first_label}
    names = args.label_map and annotations.read_labels(args.label_map, first_label)
    if truth is None:
        if not names:
            raise UserError(
                f"{args.ground_truth} does not name the actions; give --label-map FILE"
            )
        table = annotations.read_boxes(args.ground_truth, **options)
        _warn(table.problems)
        truth = annotations.tracks_of_table(table, names)
    elif names:
        truth = dataclasses.replace(truth, names=names)
    found = annotations.read_boxes(
        args.detections[0], kind="detections", index=args.index, **options
    )
    _warn(found.problems)
    annotations.raise_problems(check_linked(truth, found))
    summary = scoring.score_tubes(
        truth,
        found,
        link_scores=args.link_scores,
        shortest=args.shortest_tube,
        first_label=first_label,
    )
    print(tube_score_text(summary))
    return summary


def read_tables(args, names) -> list[annotations.BoxTable]:
    """Reads ground truth and the files of detections; prints their findings."""
    truth = annotations.read_boxes(args.ground_truth, lenient=args.lenient)
    tables, findings = [truth], {}
    for path in (*args.detections, *args.compare):
        table = annotations.read_boxes(
            path, kind="detections", lenient=args.lenient, index=args.index
        )
        found = detection_checks.check_detections(truth, table, names)
        # Findings about the ground truth come with every file; print them once.
        findings |= {str(finding): finding for finding in found}
        tables.append(table)
    if not args.lenient:
        annotations.raise_problems(findings.values())
    _warn(findings.values())
    return tables


def _warn(findings: Iterable[annotations.Finding]) -> None:
    for finding in findings:
        kind = "WARNING" if finding.is_problem else "note"
        print(f"{kind}: {finding}", file=sys.stderr)


def main(argv: Sequence[str]) -> None:
    """Reads and checks the files, scores them, and prints and writes the results."""
    args = parse_arguments(argv)
    if args.protocol == TUBES:
        summary = score_tubes(args)
        if args.json:
            files.replace(args.json, json.dumps(summary, indent=1) + "\n")
        return
    names = annotations.read_labels(args.label_map)
    exclusions = args.exclusions and annotations.read_exclusions(args.exclusions)
    options = {"exclusions": exclusions or (), "protocol": args.protocol}
    tables = read_tables(args, names)
    groups = annotations.read_action_groups(args.label_map)
    summary = scoring.score_tables(*tables[:2], names, groups=groups, **options)
    print(score_text(summary))
    if args.resamples:
        options["resamples"] = args.resamples
        summary["interval"] = scoring.mean_interval(*tables[:2], names, **options)
        print(interval_text(summary["interval"]))
    if args.resamples and args.compare:
        truth, *others = tables
        count = len(args.detections)
        summary["comparison"] = scoring.compare_tables(
            truth, others[:count], others[count:], names, **options
        )
        print(f"\n{', '.join(args.compare)} against {', '.join(args.detections)}:")
        print(comparison_text(summary["comparison"], names))
    if args.json:
        files.replace(args.json, json.dumps(summary, indent=1) + "\n")
    if args.report:
        # Imported here, because only the report needs Matplotlib and OpenCV.
        from ava_jax.report.evaluation import write_report

        options.pop("resamples", None)
        findings = scoring.analyse_tables(*tables[:2], names, **options)
        about = {"detections": args.detections[0]}
        print(f"\nReport: {write_report(args.report, summary, findings, about=about)}")


if __name__ == "__main__":
    command_line.run(main)
