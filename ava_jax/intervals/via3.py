"""Intervals as temporal segments of a project of VIA 3."""

import json
import pathlib
from collections.abc import Sequence

from ava_jax.annotations.tools.via3 import project
from ava_jax.intervals.find import Interval

_SEGMENTS = "1"  # of the attribute


def text(intervals: Sequence[Interval], video: str = "") -> str:
    """A row of the timeline for each person and action."""
    name = pathlib.Path(video).name
    attribute = {
        "aname": "person: action",
        "anchor_id": "FILE1_Z2_XY0",
        "type": 1,
        "desc": "",
        "options": {},
        "default_option_id": "",
    }
    segments = {
        f"1_{number:08d}": {
            "vid": "1",
            "flg": 0,
            "z": [round(interval.start, 3), round(interval.end, 3)],
            "xy": [],
            "av": {_SEGMENTS: f"{interval.person}: {interval.action}"},
        }
        for number, interval in enumerate(intervals)
    }
    return json.dumps(project([name], {_SEGMENTS: attribute}, segments))
