"""Intervals as a document of ELAN (EAF 3.0, Max Planck Institute)."""

import collections
import datetime
import mimetypes
import pathlib
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from ava_jax.intervals.find import Interval

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_KIND = "action"
# What XML 1.0 cannot hold.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(intervals: Sequence[Interval], video: str = "") -> str:
    """A tier for each person and action, as annotations of a tier cannot overlap."""
    document = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "ava_jax",
            "DATE": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _XSI,
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    add = ElementTree.SubElement
    header = add(document, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if video:
        add(header, "MEDIA_DESCRIPTOR", _media(video))
    order = add(document, "TIME_ORDER")
    for (person, action), of_tier in _tiers(intervals).items():
        tier = add(
            document,
            "TIER",
            {
                "TIER_ID": f"{person}: {action}",
                "PARTICIPANT": f"{person}",
                "LINGUISTIC_TYPE_REF": _KIND,
            },
        )
        for interval in of_tier:
            slots = [_slot(order, interval.start), _slot(order, interval.end)]
            _annotate(tier, slots, action)
    kind = {"LINGUISTIC_TYPE_ID": _KIND, "TIME_ALIGNABLE": "true"}
    add(document, "LINGUISTIC_TYPE", kind | {"GRAPHIC_REFERENCES": "false"})
    ElementTree.indent(document)
    xml = ElementTree.tostring(document, "unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}\n'


def _tiers(intervals: Sequence[Interval]) -> dict[tuple[int, str], list[Interval]]:
    tiers = collections.defaultdict(list)
    for interval in sorted(intervals):
        tiers[interval.person, _NO_XML.sub("", interval.action)].append(interval)
    return tiers


def _media(video: str) -> dict[str, str]:
    path = pathlib.Path(video)
    return {
        "MEDIA_URL": path.absolute().as_uri(),
        "MIME_TYPE": mimetypes.guess_type(path.name)[0] or "video/mp4",
        "RELATIVE_MEDIA_URL": f"./{path.name}",
    }


def _slot(order: ElementTree.Element, seconds: float) -> str:
    name = f"ts{len(order) + 1}"
    slot = {"TIME_SLOT_ID": name, "TIME_VALUE": f"{round(seconds * 1000)}"}
    ElementTree.SubElement(order, "TIME_SLOT", slot)
    return name


def _annotate(tier: ElementTree.Element, slots: list[str], action: str) -> None:
    annotation = ElementTree.SubElement(
        ElementTree.SubElement(tier, "ANNOTATION"),
        "ALIGNABLE_ANNOTATION",
        {
            # Of the number of the slot, which is that of no other annotation.
            "ANNOTATION_ID": slots[0].replace("ts", "a"),
            "TIME_SLOT_REF1": slots[0],
            "TIME_SLOT_REF2": slots[1],
        },
    )
    ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = action
