"""The page of the doctor: what it says and shows, and that texts stay texts."""

import dataclasses
import re

import numpy as np
import pytest
from page_structure import HOSTILE, structure

from ava_jax.annotations.findings import Finding, Suspect
from ava_jax.checks.page import draw_suspect, render
from ava_jax.checks.verdict import Verdict

BOXES = np.array([[0.2, 0.3, 0.4, 0.9], [0.6, 0.3, 0.8, 0.9]])


def suspect(name="movie", boxes=BOXES, proposals=BOXES[:1]):
    return Suspect(name, 2.5, boxes, (name,) * len(boxes), proposals)


def verdict(name, **changes):
    split = dict.fromkeys(("key_frames", "movies", "people", "labels"), 1234)
    split |= {"proposals": 0, "recall": {0.5: 0.93}, "samples": {12: 7, 14: 5678}}
    finding = {"name": name, "count": 5, "places": (name, "line 3"), "found": name}
    finding |= {"remedy": name, "split": name, "suspects": (suspect(name),)}
    note = Finding("rare actions", 1, (), "few samples", "", is_problem=False)
    findings = Finding(**finding | changes), note
    return Verdict(name, {name: split}, findings, {14: name})


def read_image(suspect):
    return np.full((72, 96, 3), 90, np.uint8)


def test_it_shows_what_was_found():
    page = render(verdict("boxes in pixels"), read_image)
    for text in (
        "<p>boxes in pixels: 1 problem, 1 note</p>",
        "<h2>Boxes in pixels: 5</h2>",
        "<h2>Rare actions: 1</h2>",
        "<li>and 3 more</li>",
        '<th scope="row">key frames</th><td class="number">1,234</td>',
        '<th scope="row">people found at IoU 0.5</th><td class="number">93.0%</td>',
        "boxes in pixels, second 2.5</figcaption>",
        "solid: proposed",
    ):
        assert text in page
    assert page.count("data:image/jpeg;base64,") == page.count("<figure>") == 1
    assert "http" not in page


def test_labels_of_every_action():
    first = {"samples": {7: 10, 8: 2000, 9: 10}, "recall": {}}
    first |= dict.fromkeys(("key_frames", "movies", "people", "labels", "proposals"), 1)
    second = first | {"samples": {7: 4, 9: 5}}
    found = Verdict("root", {"train": first, "val": second}, (), {7: "sit", 8: "walk"})
    page = render(found, read_image)
    rows = re.findall(
        r'<tr><th scope="row">([^<]* \[\d\])</th><td class="number">([\d,]+)</td>'
        r'<td class="number">(\d)</td>',
        page,
    )
    expected = [("walk [8]", "2,000", "0"), ("action [9]", "10", "5")]
    assert rows == [*expected, ("sit [7]", "10", "4")]


def test_without_frames_there_are_no_pictures():
    page = render(verdict("boxes in pixels"), lambda suspect: None)
    assert "Boxes in pixels: 5" in page and "<figure>" not in page


def test_without_proposals_the_legend_names_none():
    alone = suspect(proposals=np.zeros((0, 4)))
    page = render(verdict("odd boxes", suspects=(alone,)), read_image)
    assert "dashed: annotated" in page and "solid: proposed" not in page


def test_a_clean_data_set():
    page = render(Verdict("root", {}, ()), read_image)
    assert "root: clean" in page and "<section>" not in page


def test_hostile_names_are_escaped():
    pages = [render(verdict(name), read_image) for name in (HOSTILE, "harmless")]
    assert structure(pages[0]) == structure(pages[1])


@pytest.mark.parametrize(
    ("size", "shape"), [((72, 96), (360, 480, 3)), ((720, 1280), (360, 640, 3))]
)
def test_boxes_in_pixels_and_fractions_look_the_same(size, shape):
    image = np.full((*size, 3), 90, np.uint8)
    pixels = BOXES * ((size[1], size[0]) * 2)
    drawn = [draw_suspect(suspect(boxes=boxes), image) for boxes in (BOXES, pixels)]
    assert drawn[0].shape == shape
    np.testing.assert_array_equal(*drawn)


def test_a_box_without_a_caption_has_no_label():
    image = np.full((360, 480, 3), 90, np.uint8)
    bare = dataclasses.replace(suspect(), captions=("",) * len(BOXES))
    marked, unmarked = (draw_suspect(case, image) for case in (suspect(), bare))
    changed = [(picture != 90).any(axis=-1).sum() for picture in (marked, unmarked)]
    assert changed[0] > changed[1] > 0
