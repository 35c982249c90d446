"""The page of an evaluation report."""

import html
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from ava_jax.metrics.ava_map import PROTOCOLS
from ava_jax.metrics.breakdown import Part
from ava_jax.metrics.error_analysis import Findings
from ava_jax.metrics.protocol_gap import Gap
from ava_jax.report import (
    bars,
    charts,
    confusion,
    contact_sheet,
    curves,
    drawing,
    figures,
    mistakes,
    page,
)
from ava_jax.report.contact_sheet import KeyFrame

_INITIAL_CURVES = 3


def render(
    metrics: Mapping[str, Any],
    findings: Findings,
    key_frames: Sequence[KeyFrame],
    history: Sequence[Mapping[str, float]],
    read_frame: mistakes.ReadFrame | None,
) -> str:
    """The page as HTML; arguments as of `evaluation.write_report`."""
    parts = [
        _headline(metrics, findings),
        _protocols(metrics, findings.analysis.gap),
        _classes(metrics, findings),
        _parts(findings),
        _curves(metrics),
        _confusion(metrics, findings),
        _mistakes(findings, read_frame),
        _key_frames(key_frames),
        _training(history),
        page.data("data", _data(metrics, findings)),
    ]
    own = resources.files("ava_jax.report")
    return page.document(
        "Evaluation: action detection",
        "\n".join(parts),
        css=own.joinpath("evaluation_page.css").read_text(encoding="utf-8"),
        script=own.joinpath("evaluation_page.js").read_text(encoding="utf-8"),
    )


def _headline(metrics: Mapping[str, Any], findings: Findings) -> str:
    cards = [_card(metrics["mAP"], f"mAP, {metrics['protocol']} protocol", "card main")]
    cards += [
        _card(result["mAP"], f"mAP, {name} protocol", "card")
        for name, result in metrics["protocols"].items()
        if name != metrics["protocol"]
    ]
    ceilings = [c for c in findings.analysis.ceiling.values() if c is not None]
    ceiling = sum(ceilings) / len(ceilings) if ceilings else None
    cards.append(_card(ceiling, "mAP that perfect scores would give these boxes"))
    counts = metrics["counts"]
    averaged = sum(ap is not None for ap in metrics["per_class"].values())
    told = (
        f"AP at IoU 0.5, mean over {averaged} of {len(metrics['class_names'])} "
        f"actions. {counts['keyframes']:,} key frames "
        f"({counts['excluded_keyframes']:,} excluded), "
        f"{counts['ground_truth_boxes']:,} true boxes with "
        f"{counts['ground_truth_labels']:,} labels, "
        f"{counts['detections']:,} detections (box and action)."
    )
    groups = ", ".join(
        f"{name} {page.share(mean)}" for name, mean in metrics["groups"].items()
    )
    if groups:
        told += f" By group: {groups}."
    return f'<div class="cards">{"".join(cards)}</div>\n<p>{html.escape(told)}</p>'


def _card(value: float | None, label: str, css_class: str = "card") -> str:
    number = page.share(value)
    return f'<div class="{css_class}"><b>{number}</b>{html.escape(label)}</div>'


def _protocols(metrics: Mapping[str, Any], gap: Gap) -> str:
    first, last = (metrics["protocols"][name]["mAP"] for name in PROTOCOLS)
    rules = (
        ("activitynet: the AVA challenge, most published numbers", "", first),
        ("no detections on key frames without ground truth", *gap.no_truth),
        ("no actions without detections (their AP is 0)", *gap.undetected),
        ("with the labels of excluded key frames, all missed", *gap.excluded),
        ("boxes without area are false; float32: mmaction2", *gap.no_area),
    )
    rows = [
        [rule, f"{count:,}" if count != "" else "", page.share(mean)]
        for rule, count, mean in rules
    ]
    table = page.table(["from one protocol to the other", "of these", "mAP"], rows)
    same = "They give the same number here" if first == last else "Why they differ"
    body = (
        f'<p class="soft">{same}: each row changes one rule more; "of these" counts '
        f"what the rule is about in this evaluation.</p>\n{table}"
    )
    return page.section("The two protocols", body)


def _classes(metrics: Mapping[str, Any], findings: Findings) -> str:
    body = (
        '<p class="soft">The ceiling is the highest AP that any scores can give on the '
        "detected boxes: the share of an action's labels for which some box could be "
        "true (IoU 0.5). What lies above it is lost for want of a box; the rest, "
        "between AP and ceiling, is lost to the scores.</p>\n"
    )
    table = bars.class_table(metrics, findings.analysis.ceiling)
    return page.section("AP of every action", body + table)


def _parts(findings: Findings) -> str:
    sizes, people = findings.analysis.by_size, findings.analysis.by_people
    note = (
        "Means are over the actions that have labels in every part: "
        f"{sizes.classes} by size, {people.classes} by number. A false detection "
        "belongs to the part of its own box, a true one to that of its label. AP also "
        "falls where an action is rare, whatever the model."
    )
    body = (
        f'<p class="soft">{html.escape(note)}</p>\n{bars.legend()}\n'
        + "<h3>By the area of a person's box</h3>\n"
        + bars.part_table(sizes, list(map(_size, sizes.parts)))
        + "\n<h3>By the number of annotated people in the key frame</h3>\n"
        + bars.part_table(people, list(map(_people, people.parts)))
    )
    return page.section("AP by size and by number of people", body)


def _size(part: Part) -> str:
    if part.high is None:
        return f"from {part.low:.1%} of the frame"
    if part.low == 0:
        return f"under {part.high:.1%} of the frame"
    return f"{part.low:.1%} to {part.high:.1%}"


def _people(part: Part) -> str:
    if part.high is None:
        return f"{part.low} people or more"
    if part.high == part.low + 1:
        return "1 person" if part.low == 1 else f"{part.low} people"
    return f"{part.low} to {part.high - 1} people"


def _curves(metrics: Mapping[str, Any]) -> str:
    names = metrics["class_names"]
    options = "".join(
        f'<option value="{class_id}">{html.escape(names[class_id])}</option>'
        for class_id in sorted(names, key=names.get)
        if metrics["per_class"][class_id] is not None
    )
    body = (
        '<p class="soft">AP is the area under the upper envelope of a curve. Point at '
        "the chart to read precision and score at a recall.</p>\n"
        '<div class="controls"><label>Add an action <select id="add">'
        f'<option value="">choose</option>{options}</select></label></div>\n'
        '<div id="curves"></div>\n<div class="chosen" id="chosen"></div>\n'
        "<noscript><p>The curves need JavaScript.</p></noscript>"
    )
    return page.section("Precision and recall", body)


def _confusion(metrics: Mapping[str, Any], findings: Findings) -> str:
    names = {int(label): name for label, name in metrics["class_names"].items()}
    arguments = findings.analysis.confusion, findings.analysis.ranking.class_ids, names
    shown = confusion.data(*arguments[:2])
    pairs = list(zip(shown["ids"], shown["labels"], strict=True))
    most, _ = max(pairs, key=lambda pair: pair[1], default=(None, 0))
    options = "".join(
        f'<option value="{label}"{" selected" if label == most else ""}>'
        f"{html.escape(names[label])}</option>"
        for label, _ in pairs
    )
    body = (
        '<p class="soft">Of people with a detected box (each true box with the '
        "detected one of highest IoU, at least 0.5). A person has several actions; for "
        "one with k of them, the k highest-scored count as predicted. A true action "
        "that is not among them is missed, and divided evenly among the predicted ones "
        "that are not true. So a row adds up to 1, or to less where boxes have few "
        "scores.</p>\n"
        f'<div class="wide">{confusion.heat_map(*arguments)}</div>\n'
        '<p class="soft">Rows are true actions, columns predicted ones; the diagonal '
        "(blue) was found.</p>\n"
        '<div class="two"><div><div class="controls"><label>Look at '
        f'<select id="confused">{options}</select></label></div>\n'
        '<h3>What it is taken for</h3><ul class="shares" id="taken-for"></ul>\n'
        '<h3>What is taken for it</h3><ul class="shares" id="taken-from"></ul></div>\n'
        f"<div><h3>Most labels lost</h3>{confusion.frequent(*arguments)}</div></div>"
    )
    return page.section("Confusion between actions", body)


def _mistakes(findings: Findings, read_frame: mistakes.ReadFrame | None) -> str:
    note = (
        "False detections with the highest scores, on key frames with ground truth, "
        "and true actions of detected people with the lowest scores, below a false one "
        "of the same action. The worst of every action come first."
    )
    body = f'<p class="soft">{note}</p>\n'
    return page.section(
        "Worst mistakes", body + mistakes.gallery(findings.mistakes, read_frame)
    )


def _key_frames(key_frames: Sequence[KeyFrame]) -> str:
    if not key_frames:
        body = '<p class="soft">No frames were at hand for this report.</p>'
        return page.section("Key frames", body)
    chips = "".join(page.chip(text, color) for text, color in contact_sheet.legend())
    pictures = "\n".join(map(_figure, contact_sheet.select(key_frames)))
    return page.section(
        "Key frames",
        f'<div class="chips">{chips}</div>\n<div class="gallery">\n{pictures}\n</div>',
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


def _training(history: Sequence[Mapping[str, float]]) -> str:
    panels = zip(
        charts.training_panels(history),
        charts.training_panels(history, figures.DARK),
        strict=True,
    )
    pictures = "\n".join(
        f"<figure>{page.picture(light, f'{name} over the training', dark)}</figure>"
        for (name, light), (_, dark) in panels
    )
    if not pictures:
        body = (
            '<p class="soft">No training curves: there is no history of a training '
            "with this evaluation.</p>"
        )
        return page.section("Training", body)
    return page.section("Training", f'<div class="gallery">\n{pictures}\n</div>')


def _data(metrics: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """What the page's script works with; actions by id."""
    ranking = findings.analysis.ranking
    averaged = {
        class_id: ap for class_id, ap in metrics["per_class"].items() if ap is not None
    }
    thinned = {
        str(label): curves.thin(ranking.curve(i))
        for i, label in enumerate(ranking.class_ids.tolist())
        if str(label) in averaged
    }
    labels = metrics["counts"]["per_class"]
    frequent = sorted(averaged, key=lambda c: -labels[c]["labels"])
    return {
        "names": dict(metrics["class_names"]),
        "ap": averaged,
        "initial": frequent[:_INITIAL_CURVES],
        "curves": {
            class_id: {
                name: [float(f"{value:.4g}") for value in column.tolist()]
                for name, column in curve._asdict().items()
            }
            for class_id, curve in thinned.items()
        },
        "confusion": confusion.data(findings.analysis.confusion, ranking.class_ids),
    }
