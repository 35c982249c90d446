"""Files of annotation tools become the rows that they mean."""

import pytest
import tool_files
from importing import rows_of, run_import
from tool_files import ROWS

FRAMES = ("--numbers=frames", "--first-frame=0", "--fps=10")
SIZE = "--size=200x100"
# How the tool writes the scene, what it does not say, and whether it has people's
# numbers.
FORMATS = {
    "CVAT for video": (tool_files.cvat_video, ("--fps=10",), True),
    "CVAT for images": (tool_files.cvat_images, FRAMES, True),
    "VIA 2 (JSON)": (tool_files.via2_json, (*FRAMES, SIZE), True),
    "VIA 2 (CSV)": (tool_files.via2_csv, (*FRAMES, SIZE), True),
    "VIA 3 (JSON)": (tool_files.via3_json, (SIZE,), True),
    "VIA 3 (CSV)": (tool_files.via3_csv, (SIZE,), True),
    "COCO": (tool_files.coco, ("--fps=10",), True),
    "COCO of pictures": (tool_files.coco_pictures, FRAMES, True),
    "Label Studio": (tool_files.label_studio, (), True),
    "Label Studio of pictures": (tool_files.label_studio_pictures, FRAMES, False),
    "YOLO": (tool_files.yolo, FRAMES, False),
    "Pascal VOC": (tool_files.voc, FRAMES, True),
    "MOT": (tool_files.mot, (), True),
    "CSV": (tool_files.csv_table, (SIZE,), True),
}
# MOT has one action for each person.
MISSING = {"MOT": {row for row in ROWS if row[3] == "carry"}}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(name, tmp_path, capsys):
    write, flags, has_people = FORMATS[name]
    run_import(tmp_path / "own", write(tmp_path), *flags)
    expected = {
        row if has_people else (*row[:4], -1) for row in ROWS - MISSING.get(name, set())
    }
    assert rows_of(tmp_path / "own") == expected
    printed = capsys.readouterr().out
    assert name.split()[0] in printed
    assert (tmp_path / "own/annotations/import.txt").read_text().strip() in printed
