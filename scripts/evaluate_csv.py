r"""Scores a file of detections against ground truth: AP and mAP at IoU 0.5.

python scripts/evaluate_csv.py --ground-truth ava_val_v2.1.csv \
    --detections detections.csv \
    --label-map ava_action_list_v2.1_for_activitynet_2018.pbtxt \
    --exclusions ava_val_excluded_timestamps_v2.1.csv
"""

import argparse
import json
import sys

from ava_jax import annotations, files, scoring
from ava_jax.annotations import detection_checks
from ava_jax.errors import UserError
from ava_jax.metrics import ava_map
from ava_jax.report.tables import comparison_text, score_text


def positive(text: str) -> int:
    """A number of things, at least one."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--ground-truth", required=True, help="CSV, may be gzipped")
    add("--detections", required=True, help="CSV, may be gzipped, Parquet or npz")
    add("--label-map", required=True, help="actions to score: pbtxt or 'id: name'")
    add("--exclusions", help="CSV of video,timestamp to leave out")
    add("--protocol", choices=ava_map.PROTOCOLS, default="activitynet")
    add("--max-per-frame", type=positive, help="keep this many detections of a frame")
    add("--json", metavar="OUT", help="write all numbers here")
    add("--report", metavar="DIR", help="write a page with the reasons here")
    add("--lenient", action="store_true", help="go on where the numbers may mislead")
    add("--compare", metavar="B", help="other detections: how much better they are")
    add("--resamples", type=positive, default=300, help="of the videos, for --compare")
    return parser.parse_args()


def read_tables(flags, names) -> list[annotations.BoxTable]:
    """Ground truth and one or two detections; says what is doubtful about them."""
    truth = annotations.read_boxes(flags.ground_truth, lenient=flags.lenient)
    tables, findings = [truth], {}
    for path in filter(None, (flags.detections, flags.compare)):
        table = annotations.read_boxes(path, kind="detections", lenient=flags.lenient)
        found = detection_checks.check_detections(truth, table, names)
        # Those of the ground truth come with every file of detections.
        findings |= {str(finding): finding for finding in found}
        tables.append(table)
    if not flags.lenient:
        annotations.raise_problems(findings.values())
    for text, finding in findings.items():
        kind = "WARNING" if finding.is_problem else "note"
        print(f"{kind}: {text}", file=sys.stderr)
    return tables


def main() -> None:
    """Reads, checks, scores, prints, writes."""
    flags = parse_arguments()
    names = annotations.read_labels(flags.label_map)
    exclusions = flags.exclusions and annotations.read_exclusions(flags.exclusions)
    options = {
        "exclusions": exclusions or (),
        "protocol": flags.protocol,
        "max_per_frame": flags.max_per_frame,
    }
    tables = read_tables(flags, names)
    groups = annotations.read_action_groups(flags.label_map)
    summary = scoring.score_tables(*tables[:2], names, groups=groups, **options)
    print(score_text(summary))
    if flags.compare:
        summary["comparison"] = scoring.compare_tables(
            *tables, names, **options, resamples=flags.resamples
        )
        print(f"\n{flags.compare} against {flags.detections}:")
        print(comparison_text(summary["comparison"], names))
    if flags.json:
        files.replace(flags.json, json.dumps(summary, indent=1) + "\n")
    if flags.report:
        # Imported here because only this needs Matplotlib and OpenCV.
        from ava_jax.report.evaluation import write_report

        findings = scoring.analyse_tables(*tables[:2], names, **options)
        print(f"\nLook at {write_report(flags.report, summary, findings)}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
