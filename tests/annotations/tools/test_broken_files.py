"""A mistake in a file of a tool is named with its place, and what to do."""

import pytest
from importing import run_import
from test_formats import FORMATS

from ava_jax.errors import UserError

# Format -> (text in the file, what stands there instead, the message). The first
# occurrence is replaced.
BROKEN = {
    "CVAT for video": [
        ("<annotations>", "<tracks>", "annotations.xml, line .*no XML"),
        ("</annotations>", "", "no XML.*export"),
        ('frame="10"', 'frame="ten"', "line 1., frame of <box>: found 'ten'"),
        ('frame="10"', 'frame="1.5"', "frame of <box>: found '1.5'.*whole"),
        ('frame="10" ', "", "frame of <box>: found nothing"),
        ('xtl="20.00"', 'xtl="left"', "xtl of <box>: found 'left', expected a number"),
        ('xtl="20.00"', 'xtl="nan"', "xtl of <box>: found 'nan', expected a number"),
        ('xtl="20.00"', 'xtl="1e999"', "xtl of <box>: found '1e999'"),
        ('xtl="20.00" ', "", "xtl of <box>: found nothing, expected a number"),
        ('label="person" ', "", "label of <track>: found nothing"),
        (
            '<attribute name="stand">',
            "<attribute>",
            "name of <attribute>: found noth",
        ),
        ("<width>200", "<width>wide", "width of <original_size>: found 'wide'"),
        (
            '<?xml version="1.0" encoding="utf-8"?>',
            '<!DOCTYPE a [<!ENTITY x "y">]>',
            "line 1.*document type",
        ),
    ],
    "CVAT for images": [
        ('width="200"', 'width="wide"', "width of <image>: found 'wide'"),
        (
            'name="film_000010.jpg"',
            'name="film.jpg"',
            "<image>: found 'film.jpg'",
        ),
        ('name="film_000010.jpg" ', "", "name of <image>: found nothing"),
    ],
    "VIA 2 (JSON)": [
        ("{", "{{", "via.json: found no JSON"),
        ('"regions": [', '"regions": 3, "old": [', "regions: found 3, expected"),
        (
            '"x": 20',
            '"x": "left"',
            r"regions\[0\].*\.x: found 'left'",
        ),
        ('"width": 40', '"width": NaN', r"\.width: found nan, expected a number"),
        ('"name": "rect"', '"nam": "rect"', "name: found nothing, expected a text"),
        ('"filename": "film_000010.jpg"', '"filename": 3.5', "filename: found 3.5"),
        (
            '"filename": "film_000010.jpg"',
            '"filename": "a.jpg"',
            "name with a number",
        ),
    ],
    "VIA 2 (CSV)": [
        (
            "film_000010.jpg,1234",
            "film_000010.jpg",
            "line 2: found 6 columns, expec",
        ),
        ('""x"": 20', '""x"": ""a""', r"line 2, region_shape_attributes\.x: found 'a'"),
        ('"{""name""', '"[""name""', "line 2, region_shape_attributes: found no JSON"),
    ],
    "VIA 3 (JSON)": [
        ('"vid": "1"', '"vid": "9"', r"metadata\.1_0\.vid: found '9', expected a view"),
        (
            '"z": [\n    1\n   ]',
            '"z": ["soon"]',
            r"z\[0\]: found 'soon', expected",
        ),
        ('"z": [\n    1\n   ]', '"z": []', r"z: found \[\], expected a time"),
        (
            '"1": "1,2"',
            '"1": "1,7"',
            r"av\.1: found '1,7', expected an option: 0, 1",
        ),
        ('"1": "1,2"', '"5": "1,2"', r"av\.5: found '1,2', expected an attribute"),
        ('"view": {', '"vue": {', "view: found nothing, expected an object"),
    ],
    "VIA 3 (CSV)": [
        ("# ATTRIBUTE={", "# ATTRIBUTE={{", "line 2: found no JSON"),
        ('"1_0",', "", "line 4: found 5 columns, expected 6"),
        ('"[1]"', '"[true]"', r"line 4, temporal_coordinates\[0\]: found True"),
        ('"[2, 20', '"[2, ', "line 4, spatial_coordinates"),
        ("spatial_coordinates,", "", "line 3: found .*temporal segments"),
    ],
    "COCO": [
        ('"images"', '"pictures"', "found a JSON object with .*videos"),
        ('"image_id": 1', '"image_id": 77', r"annotations\[0\]\.image_id: found 77"),
        (
            '"category_id": 2',
            '"category_id": 9',
            "category_id: found 9, expected",
        ),
        (
            '"bbox": [\n    20,',
            '"bbox": [',
            r"bbox: found \[10, 40, 80\], exp",
        ),
        ('"video_id": 1', '"video_id": 5', r"images\[0\]\.video_id: found 5, expected"),
        ('"frame_id": 10', '"frame_id": 1.5', "frame_id: found 1.5, expected a whole"),
        ('"name": "stand"', '"name": null', r"categories\[0\]\.name: found None"),
    ],
    "Label Studio": [
        (
            '"sequence": [',
            '"sequence": 5, "s": [',
            r"sequence: found 5, expected",
        ),
        ('"x": 10.0', '"x": "a"', r"sequence\[0\]\.x: found 'a', expected a number"),
        ('"annotations": [', '"a": [', r"\[0\]\.annotations: found nothing"),
        ('"frame": 11', '"frame": null', r"frame: found None, expected a number"),
    ],
    "YOLO": [
        ("names:", "classes:", "data.yaml, names: found nothing"),
        ("names: [", "names: [[", "data.yaml"),
        ('"stand"', "3.5", r"names\[0\]: found 3.5, expected a text"),
    ],
    "MOT": [
        ("11,4,20", "11,4,left", "gt.txt, line 1: found '11,4,left"),
        (",1,2,1", ",1,9,1", "line 1: found class 9, expected 1 to 3"),
        ("11,4", "11.5,4", "line 1: found '11.5,4"),
    ],
    "CSV": [
        (
            "Movie;",
            "Which;",
            "line 1: found the columns Which.*also the video",
        ),
        ("Left;", "Top;", "found Top and Top, expected one column for y1"),
        (
            "00:00:01",
            "soon",
            r"line 2, time \(column 2\): found 'soon'",
        ),
        ("20,0", "left", r"line 2, x1 \(column 3\): found 'left', expected a number"),
        (
            "film.mp4;00:00:01;20,0",
            ";00:00:01;20,0",
            r"line 2, video \(column 1\)",
        ),
        ("60,0;90,0", "10,0;90,0", "line 2: found the box .* expected x1 < x2"),
        (
            "100,0;20,0;140,0;80,0",
            "0,5;0,2;0,7;0,8",
            "line 3: .*in fractions",
        ),
    ],
}
CASES = [
    pytest.param(name, *case, id=f"{name}: {case[1][:30]!r}")
    for name, cases in BROKEN.items()
    for case in cases
]


def damaged(name, folder, text, other):
    """The file of a format with something else in it."""
    path = FORMATS[name][0](folder)
    content = path.read_bytes().decode()
    assert text in content
    path.write_bytes(content.replace(text, other, 1).encode())
    return path


@pytest.mark.parametrize(("name", "text", "other", "message"), CASES)
def test_a_mistake_is_named(name, text, other, message, tmp_path):
    path = damaged(name, tmp_path, text, other)
    with pytest.raises(UserError, match=f"(?s){message}") as raised:
        run_import(tmp_path / "own", path, *FORMATS[name][1])
    assert str(path) in str(raised.value) or "data.yaml" in str(raised.value)
    assert not (tmp_path / "own").exists()
