r"""Scores a file of detections against ground truth: AP and mAP at IoU 0.5.

python scripts/evaluate_csv.py --ground-truth ava_val_v2.1.csv \
    --detections detections.csv \
    --label-map ava_action_list_v2.1_for_activitynet_2018.pbtxt \
    --exclusions ava_val_excluded_timestamps_v2.1.csv
"""

import argparse
import json
import sys
from collections.abc import Sequence

from ava_jax import annotations, command_line, files, scoring
from ava_jax.annotations import detection_checks
from ava_jax.metrics.protocols import DEFAULT, PROTOCOLS
from ava_jax.report.tables import comparison_text, interval_text, score_text


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add(
        "--ground-truth",
        required=True,
        metavar="FILE",
        help="annotations: CSV, may be gzipped",
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
        required=True,
        metavar="FILE",
        help="actions to score: pbtxt, lines of 'id: name', or JSON of names to ids",
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
        choices=list(PROTOCOLS),
        default=DEFAULT,
        help="evaluation protocol of the mAP; the others are listed too",
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
        type=command_line.at_least(0),
        default=300,
        metavar="N",
        help="bootstrap resamples of the videos; 0: no intervals and no comparison",
    )
    return parser.parse_args(argv)


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
    for text, finding in findings.items():
        kind = "WARNING" if finding.is_problem else "note"
        print(f"{kind}: {text}", file=sys.stderr)
    return tables


def main(argv: Sequence[str]) -> None:
    """Reads and checks the files, scores them, and prints and writes the results."""
    args = parse_arguments(argv)
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
