"""The page of an evaluation report."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from ava_jax.report import charts, contact_sheet, drawing, page
from ava_jax.report.contact_sheet import KeyFrame


def render(
    metrics: Mapping[str, Any],
    key_frames: Sequence[KeyFrame],
    history: Sequence[Mapping[str, float]],
) -> str:
    """The page as HTML; arguments as of `evaluation.write_report`."""
    parts = [
        _headline(metrics),
        _key_frames(key_frames),
        _classes(metrics),
        _training(history),
    ]
    return page.document("Evaluation: action detection", "\n".join(parts))


def _headline(metrics: Mapping[str, Any]) -> str:
    cards = [_card(metrics["mAP"], f"mAP, {metrics['protocol']} protocol", "card main")]
    other = _other_protocol(metrics)
    if other in metrics["protocols"]:
        value = metrics["protocols"][other]["mAP"]
        cards.append(_card(value, f"mAP, {other} protocol", "card"))
    counts = metrics["counts"]
    averaged = sum(ap is not None for ap in metrics["per_class"].values())
    told = (
        f"AP at IoU 0.5, mean over {averaged} of {len(metrics['class_names'])} "
        f"classes. {counts['keyframes']:,} key-frames "
        f"({counts['excluded_keyframes']:,} excluded), "
        f"{counts['ground_truth_boxes']:,} true boxes with "
        f"{counts['ground_truth_labels']:,} labels, "
        f"{counts['detections']:,} detections (box and action)."
    )
    return (
        f'<div class="cards">{"".join(cards)}</div>\n'
        f"<p>{html.escape(told)}</p>\n"
        f'<p class="soft">{html.escape(_why_protocols_differ(metrics))}</p>'
    )


def _card(value: float | None, label: str, css_class: str) -> str:
    number = "n/a" if value is None else f"{value:.3f}"
    return f'<div class="{css_class}"><b>{number}</b>{html.escape(label)}</div>'


def _why_protocols_differ(metrics: Mapping[str, Any]) -> str:
    results = metrics["protocols"]
    if not all(name in results for name in charts.PROTOCOLS):
        return "Only one protocol was evaluated."
    activitynet, mmaction2 = (results[name] for name in charts.PROTOCOLS)
    rules = (
        "A class that has ground truth but no detection counts as AP 0 in the "
        "activitynet protocol, the one of the AVA challenge and of published "
        "numbers; the mmaction2 protocol (MMAction2 1.x) leaves it out of the mean, "
        "and counts ground truth of excluded key-frames too."
    )
    if activitynet["per_class"] == mmaction2["per_class"]:
        return f"Both protocols give the same number here. {rules}"
    reasons = []
    left_out = sum(
        ap is not None and mmaction2["per_class"].get(class_id) is None
        for class_id, ap in activitynet["per_class"].items()
    )
    if left_out:
        reasons.append(f"{left_out} such class{'es' if left_out > 1 else ''}")
    excluded = metrics["counts"]["excluded_keyframes"]
    if excluded:
        reasons.append(f"{excluded:,} excluded key-frame{'s' if excluded > 1 else ''}")
    here = f" Here: {' and '.join(reasons)}." if reasons else ""
    return f"Why the two differ: {rules[0].lower()}{rules[1:]}{here}"


def _key_frames(key_frames: Sequence[KeyFrame]) -> str:
    if not key_frames:
        body = '<p class="soft">No frames were at hand for this report.</p>'
        return page.section("Key-frames", body)
    chips = "".join(page.chip(text, color) for text, color in contact_sheet.legend())
    figures = "\n".join(map(_figure, contact_sheet.select(key_frames)))
    return page.section(
        "Key-frames",
        f'<div class="chips">{chips}</div>\n<div class="gallery">\n{figures}\n</div>',
    )


def _figure(key_frame: KeyFrame) -> str:
    image = drawing.encode_jpeg(contact_sheet.draw_key_frame(key_frame))
    description = (
        f"{key_frame.title}: {len(key_frame.true_boxes)} true and "
        f"{len(key_frame.boxes)} detected people"
    )
    return (
        f"<figure>{page.picture(image, description)}"
        f"<figcaption>{html.escape(key_frame.title)}</figcaption></figure>"
    )


def _classes(metrics: Mapping[str, Any]) -> str:
    chart = page.picture(
        charts.per_class_ap(metrics),
        "Bar chart of the AP of every class; the table has its numbers",
        charts.per_class_ap(metrics, charts.DARK),
    )
    body = (
        f'<div class="beside">\n<figure class="chart">{chart}</figure>\n'
        f"<div>{_class_table(metrics)}</div>\n</div>"
    )
    return page.section("AP of every class", body)


def _class_table(metrics: Mapping[str, Any]) -> str:
    columns = [(metrics["protocol"], metrics["per_class"])]
    other = _other_protocol(metrics)
    if other in metrics["protocols"]:
        result = metrics["protocols"][other]["per_class"]
        if result != metrics["per_class"]:
            columns.append((other, result))
    header = ["class", *(f"AP {name}" for name, _ in columns), "labels", "detections"]
    counts = metrics["counts"]["per_class"]
    rows = []
    for class_id in charts.ordered_classes(metrics):
        count = counts.get(class_id, {"labels": 0, "detections": 0})
        rows.append(
            [
                f"{metrics['class_names'].get(class_id, '')} [{class_id}]",
                *(_ap_cell(aps.get(class_id), count) for _, aps in columns),
                f"{count['labels']:,}",
                f"{count['detections']:,}",
            ]
        )
    return page.table(header, rows)


def _ap_cell(ap: float | None, count: Mapping[str, int]) -> str:
    if ap is not None:
        return f"{ap:.3f}"
    return "n/a: no detection" if count["labels"] else "n/a: no ground truth"


def _training(history: Sequence[Mapping[str, float]]) -> str:
    panels = zip(
        charts.training_panels(history),
        charts.training_panels(history, charts.DARK),
        strict=True,
    )
    figures = "\n".join(
        f"<figure>{page.picture(light, f'{name} over the training', dark)}</figure>"
        for (name, light), (_, dark) in panels
    )
    if not figures:
        body = (
            '<p class="soft">No training curves: there is no history of a training '
            "with this evaluation.</p>"
        )
        return page.section("Training", body)
    return page.section("Training", f'<div class="gallery">\n{figures}\n</div>')


def _other_protocol(metrics: Mapping[str, Any]) -> str:
    return next(name for name in charts.PROTOCOLS if name != metrics["protocol"])
