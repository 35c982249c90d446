"""Tables with bars of AP: what was reached, and for want of what the rest is lost."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ava_jax.metrics.breakdown import Part, Parts
from ava_jax.report import charts, page

_PARTS = (
    ("ap", "AP"),
    ("scores", "lost to scores"),
    ("boxes", "lost for want of a box"),
)
_SORTS = (
    ("ap", "AP, highest first"),
    ("-ap", "AP, lowest first"),
    ("scores", "lost to scores"),
    ("boxes", "lost for want of a box"),
    ("labels", "number of labels"),
    ("name", "name"),
    ("id", "action id"),
)


def legend() -> str:
    """What the three parts of a bar are."""
    keys = (
        f'<span class="key"><i class="{css}"></i>{text}</span>' for css, text in _PARTS
    )
    return f'<div class="keys">{"".join(keys)}</div>'


def class_table(
    metrics: Mapping[str, Any], ceilings: Mapping[int, float | None]
) -> str:
    """A row for every action, with controls to sort and to filter them.

    Args:
      metrics: the contents of `metrics.json`.
      ceilings: by action id, under the protocol of `metrics`.
    """
    others = {
        f"AP {name}": result["per_class"]
        for name, result in metrics["protocols"].items()
        if result["per_class"] != metrics["per_class"]
    }
    header = ["action", "", "AP", "ceiling", *others, "labels", "detections"]
    rows = [
        _class_row(metrics, class_id, ceilings.get(int(class_id)), others)
        for class_id in charts.ordered_classes(metrics)
    ]
    options = "".join(f'<option value="{key}">{text}</option>' for key, text in _SORTS)
    return (
        '<div class="controls">'
        f'<label>Sort by <select id="sort">{options}</select></label>'
        '<label>Find <input id="filter" type="search" placeholder="part of a name">'
        f'</label><output id="shown">{len(rows)} actions</output></div>\n'
        f"{legend()}\n{_table(header, rows, 'classes')}"
    )


def part_table(parts: Parts, names: Sequence[str]) -> str:
    """A row for each part of the ground truth.

    Args:
      parts: from `metrics.parts`.
      names: of `breakdown.parts`.
    """
    header = ["part", "", "mAP", "ceiling", "people", "labels"]
    return _table(header, map(_part_row, parts.parts, names))


def _class_row(
    metrics: Mapping[str, Any],
    class_id: str,
    ceiling: float | None,
    others: Mapping[str, Mapping[str, Any]],
) -> str:
    ap = metrics["per_class"].get(class_id)
    count = metrics["counts"]["per_class"].get(class_id, {"labels": 0, "detections": 0})
    name = html.escape(metrics["class_names"].get(class_id, f"class {class_id}"))
    if ap is None:
        reason = "no detection" if count["labels"] else "no ground truth"
        middle, lost = f'<span class="soft">n/a: {reason}</span>', (-1, -1)
    else:
        middle, lost = _bar(ap, ceiling), (ceiling - ap, 1 - ceiling)
    keys = {
        "id": class_id,
        "name": name,
        "ap": -1 if ap is None else ap,
        "scores": lost[0],
        "boxes": lost[1],
        "labels": count["labels"],
    }
    numbers = {
        "AP": page.share(ap),
        "ceiling": page.share(ceiling),
        **{heading: page.share(aps.get(class_id)) for heading, aps in others.items()},
        "labels": f"{count['labels']:,}",
        "detections": f"{count['detections']:,}",
    }
    return _row(f'{name} <span class="soft">[{class_id}]</span>', middle, numbers, keys)


def _part_row(part: Part, name: str) -> str:
    numbers = {
        "mAP": page.share(part.mean),
        "ceiling": page.share(part.ceiling),
        "people": f"{part.people:,}",
        "labels": f"{part.labels:,}",
    }
    middle = "" if part.mean is None else _bar(part.mean, part.ceiling)
    return _row(html.escape(name), middle, numbers)


def _bar(ap: float, ceiling: float) -> str:
    parts = (ap, ceiling - ap, 1 - ceiling)
    names = [text for _, text in _PARTS]
    told = ", ".join(f"{n} {p:.3f}" for n, p in zip(names, parts, strict=True))
    pieces = "".join(
        f'<i class="{css}" style="width:{100 * part:.2f}%"></i>'
        for (css, _), part in zip(_PARTS, parts, strict=True)
    )
    return f'<div class="bar" role="img" aria-label="{told}">{pieces}</div>'


def _table(header: Sequence[str], rows: Iterable[str], name: str = "") -> str:
    """The first two columns are text and bar, the others numbers."""
    cells = "".join(
        f'<th scope="col"{"" if i < 2 else page.NUMBER}>{html.escape(text)}</th>'
        for i, text in enumerate(header)
    )
    body = f'<tbody id="{name}">' if name else "<tbody>"
    return (
        f'<table class="bars"><thead><tr>{cells}</tr></thead>\n{body}\n'
        + "\n".join(rows)
        + "\n</tbody></table>"
    )


def _row(
    name: str,
    middle: str,
    numbers: Mapping[str, str],
    keys: Mapping[str, Any] | None = None,
) -> str:
    """A row; `name`, `middle` and the values of `keys` are HTML."""
    data = "".join(f' data-{key}="{value}"' for key, value in (keys or {}).items())
    cells = "".join(
        f'<td{page.NUMBER} data-label="{html.escape(heading)}">{number}</td>'
        for heading, number in numbers.items()
    )
    return (
        f'<tr{data}><th scope="row">{name}</th><td class="middle">{middle}</td>'
        f"{cells}</tr>"
    )
