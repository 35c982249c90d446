"""The page of an evaluation report."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ava_jax.metrics.analysis import Analysis
from ava_jax.metrics.breakdown import Part
from ava_jax.metrics.error_analysis import Findings
from ava_jax.metrics.protocol_gap import Step
from ava_jax.report import (
    charts,
    confusion,
    contact_sheet,
    curves,
    drawing,
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
    about: Mapping[str, str],
) -> str:
    """Renders the page as HTML; takes the arguments of `evaluation.write_report`."""
    analysis = findings.analysis
    by_size, by_people = analysis.by_size, analysis.by_people
    return page.render(
        "evaluation.html",
        about=about,
        metrics=metrics,
        cards=_cards(metrics, analysis),
        above_chance=_above_chance(metrics, analysis),
        averaged=sum(ap is not None for ap in metrics["per_class"].values()),
        rules=_rules(metrics, analysis.steps),
        actions=list(_actions(metrics, analysis)),
        other_aps={
            f"AP {name}": result["per_class"]
            for name, result in metrics["protocols"].items()
            if result["per_class"] != metrics["per_class"]
        },
        ranges=_ranges(metrics),
        tube_headings=[f"video-AP at {iou}" for iou in _tubes(metrics, "video_mAP")],
        tube_rows=_tube_rows(metrics),
        by_size=by_size,
        by_people=by_people,
        sizes=[(_size(part), part) for part in by_size.parts],
        people=[(_people(part), part) for part in by_people.parts],
        curve_names=_curve_names(metrics),
        **_confusion(metrics, findings),
        mistakes=mistakes.figures(findings.mistakes, read_frame),
        key_frame_legend=contact_sheet.legend(),
        key_frames=[
            (frame, drawing.encode_jpeg(contact_sheet.draw_key_frame(frame)))
            for frame in contact_sheet.select(key_frames)
        ],
        training=charts.training_panels(history),
        data=_data(metrics, findings),
    )


def _cards(
    metrics: Mapping[str, Any], analysis: Analysis
) -> list[tuple[str, float | None]]:
    """The mAP with what chance and perfect scores give, and those of other protocols.

    Other protocols have cards only if they differ.
    """
    main, protocols = metrics["protocol"], metrics["protocols"]
    chances = [luck and luck.mean for luck in analysis.chance.values()]
    cards = [
        *_tube_cards(metrics),
        (f"mAP, {main} protocol", metrics["mAP"]),
        ("mAP that random scores would give these boxes", _mean(chances)),
        (
            "mAP that perfect scores would give these boxes",
            _mean(analysis.ceiling.values()),
        ),
    ]
    if _agree(metrics):
        name = f"mAP, by each of {', '.join(protocols)}"
        return [
            (name if text.startswith("mAP, ") else text, value) for text, value in cards
        ]
    others = [name for name in protocols if name != main]
    return cards + [
        (f"mAP, {name} protocol", protocols[name]["mAP"]) for name in others
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _agree(metrics: Mapping[str, Any]) -> bool:
    """Whether all protocols give the same mAP."""
    return len({result["mAP"] for result in metrics["protocols"].values()}) == 1


def _above_chance(metrics: Mapping[str, Any], analysis: Analysis) -> str:
    """How many actions have been learned; '' if that can be said of one at most."""
    # With few labels, random scores can be perfect.
    known = {
        label: luck
        for label, luck in analysis.chance.items()
        if luck is not None and luck.limit < analysis.ceiling[label]
    }
    better = [
        metrics["class_names"][str(label)]
        for label, luck in known.items()
        if metrics["per_class"][str(label)] > luck.limit
    ]
    if len(known) < 2:
        return ""
    if not better:
        return (
            "No action has a higher AP than random scores give: nothing has been "
            "learned of these actions."
        )
    if len(better) == 1:
        return (
            f"Only {better[0]} has a higher AP than random scores give: one action of "
            f"{len(known)} has been learned, and the others are at chance."
        )
    return (
        f"{len(better)} of {len(known)} actions have a higher AP than random scores "
        "give."
    )


def _rules(
    metrics: Mapping[str, Any], steps: Sequence[Step]
) -> list[tuple[str, str, str]]:
    """The rules that change the mAP, with counts and mAPs as text.

    Empty if the protocols agree.
    """
    if _agree(metrics):
        return []
    before = [None, *(step.mean for step in steps)]
    return [
        (
            _step(step),
            "" if step.count is None else f"{step.count:,}",
            page.share(step.mean),
        )
        for step, mean in zip(steps, before, strict=False)
        if step.protocol or step.mean != mean
    ]


def _step(step: Step) -> str:
    name = step.protocol and f"{step.protocol.name} ({step.protocol.users})"
    return ": ".join(filter(None, (step.words, name)))


def _ranges(metrics: Mapping[str, Any]) -> dict[str, str]:
    """By action id, what the order of equal scores can make of the AP; else empty."""
    if not metrics["ties"]:
        return {}
    return {
        class_id: "n/a" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
        for class_id, ends in metrics["per_class_ranges"].items()
    }


def _actions(
    metrics: Mapping[str, Any], analysis: Analysis
) -> Iterator[dict[str, Any]]:
    """A row for every action."""
    for class_id in charts.ordered_classes(metrics):
        counts = metrics["counts"]["per_class"].get(class_id, {})
        luck = analysis.chance.get(int(class_id))
        yield {
            "id": class_id,
            "name": metrics["class_names"].get(class_id, f"class {class_id}"),
            "ap": metrics["per_class"].get(class_id),
            "ceiling": analysis.ceiling.get(int(class_id)),
            "chance": luck and luck.mean,
            "labels": counts.get("labels", 0),
            "detections": counts.get("detections", 0),
        }


def _tubes(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of what `scoring.score_tubes` gave; {} without tubes."""
    return metrics.get("tubes", {}).get(name, {})


def _tube_cards(metrics: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    """Frame-mAP, and the video-mAPs that are published of MultiSports."""
    means = _tubes(metrics, "video_mAP")
    published = {"0.2": "0.2", "0.5": "0.5", "0.10:0.90": "0.1 to 0.9"}
    cards = [
        (f"video-mAP at IoU {text}", means[iou])
        for iou, text in published.items()
        if iou in means
    ]
    return (
        [("frame-mAP at IoU 0.5", metrics["tubes"]["frame_mAP"]), *cards]
        if cards
        else []
    )


def _tube_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of text for every action with tubes."""
    return [
        (
            row["name"],
            f"{row['tubes']:,}",
            page.share(row["frame_AP"]),
            *map(page.share, row["video_AP"].values()),
        )
        for row in _tubes(metrics, "per_class").values()
    ]


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


def _curve_names(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Ids and names of the actions that have a curve, sorted by name."""
    names = metrics["class_names"]
    known = (c for c in names if metrics["per_class"][c] is not None)
    return sorted(((c, names[c]) for c in known), key=lambda pair: pair[1])


def _confusion(metrics: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    names = {int(label): name for label, name in metrics["class_names"].items()}
    arguments = findings.analysis.confusion, findings.analysis.ranking.class_ids, names
    shown = confusion.data(*arguments[:2])
    pairs = zip(shown["ids"], shown["labels"], strict=True)
    return {
        "map": confusion.heat_map(*arguments),
        "confused": [(label, names[label]) for label in shown["ids"]],
        "most_labelled": max(pairs, key=lambda pair: pair[1], default=(None,))[0],
        "most_confused": confusion.frequent(*arguments),
    }


def _data(metrics: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """The data for the script of the page; actions are keyed by id."""
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
                # Four digits are enough for a chart, and keep the page small.
                name: [float(f"{value:.4g}") for value in column.tolist()]
                for name, column in curve._asdict().items()
            }
            for class_id, curve in thinned.items()
        },
        "confusion": confusion.data(findings.analysis.confusion, ranking.class_ids),
    }
