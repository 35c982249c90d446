"""The same scene as every annotation tool writes it, after the tools' public formats.

film.mp4, 200 x 100 pixels, 10 frames a second: person 4 walks and carries at second 1
and walks at second 2, person 7 stands at second 1.
"""

import json

ROWS = {
    ("film", 1.0, (0.1, 0.1, 0.3, 0.9), "walk", 4),
    ("film", 1.0, (0.1, 0.1, 0.3, 0.9), "carry", 4),
    ("film", 1.0, (0.5, 0.2, 0.7, 0.8), "stand", 7),
    ("film", 2.0, (0.2, 0.1, 0.4, 0.9), "walk", 4),
}
# Second, corners in pixels, actions, person.
BOXES = (
    (1, (20, 10, 60, 90), ("walk", "carry"), 4),
    (1, (100, 20, 140, 80), ("stand",), 7),
    (2, (40, 10, 80, 90), ("walk",), 4),
)
ACTIONS = ("stand", "walk", "carry")


def _cvat_attributes(actions):
    ticked = (
        f'<attribute name="{name}">{str(name in actions).lower()}</attribute>'
        for name in ACTIONS
    )
    return "\n".join(ticked)


def _corners(box):
    names = ("xtl", "ytl", "xbr", "ybr")
    return " ".join(f'{name}="{v:.2f}"' for name, v in zip(names, box))


_CVAT_META = """<meta><task><id>1</id><name>job</name><size>40</size>
<mode>interpolation</mode><labels><label><name>person</name><attributes>
{}</attributes></label></labels>
<original_size><width>200</width><height>100</height></original_size>
<source>film.mp4</source></task><dumped>2026-01-01</dumped></meta>"""


def cvat_video(folder):
    """'CVAT for video 1.1'."""
    declared = "".join(
        f"<attribute><name>{name}</name><mutable>True</mutable><input_type>checkbox"
        "</input_type><default_value>false</default_value><values>false</values>"
        "</attribute>\n"
        for name in ACTIONS
    )
    tracks = []
    for person in (4, 7):
        shapes = [
            f'<box frame="{10 * second}" keyframe="1" outside="0" occluded="0" '
            f'{_corners(box)} z_order="0">\n{_cvat_attributes(actions)}</box>'
            for second, box, actions, who in BOXES
            if who == person
        ]
        last = max(second for second, *_, who in BOXES if who == person)
        shapes.append(
            f'<box frame="{10 * last + 1}" keyframe="1" outside="1" occluded="0" '
            f'{_corners(BOXES[0][1])} z_order="0">\n{_cvat_attributes(())}</box>'
        )
        tracks.append(
            f'<track id="{person}" label="person" source="manual">\n'
            + "\n".join(shapes)
            + "</track>"
        )
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n'
        "<version>1.1</version>\n"
        + _CVAT_META.format(declared)
        + "\n".join(tracks)
        + "</annotations>\n"
    )
    return _written(folder / "annotations.xml", text)


def cvat_images(folder):
    """'CVAT for images 1.1', of pictures that are named by frame."""
    images = []
    for i, second in enumerate((1, 2)):
        boxes = "\n".join(
            f'<box label="person" occluded="0" {_corners(box)}>\n'
            f'{_cvat_attributes(actions)}<attribute name="track_id">{who}</attribute>'
            "</box>"
            for at, box, actions, who in BOXES
            if at == second
        )
        images.append(
            f'<image id="{i}" name="film_{10 * second:06d}.jpg" width="200" '
            f'height="100">\n{boxes}</image>'
        )
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>\n'
        "<meta><task><name>job</name></task></meta>\n"
        + "\n".join(images)
        + "</annotations>\n"
    )
    return _written(folder / "annotations.xml", text)


def _via2_region(box, actions, who):
    x1, y1, x2, y2 = box
    shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    ticked = {name: True for name in actions}
    return shape, {"action": ticked, "person": str(who)}


def via2_json(folder):
    """A project of VIA 2."""
    pictures = {}
    for second in (1, 2):
        name = f"film_{10 * second:06d}.jpg"
        regions = []
        for at, *rest in BOXES:
            if at == second:
                shape, values = _via2_region(*rest)
                regions.append({"shape_attributes": shape, "region_attributes": values})
        pictures[f"{name}1234"] = {
            "filename": name,
            "size": 1234,
            "regions": regions,
            "file_attributes": {},
        }
    options = {"type": "checkbox", "options": {name: "" for name in ACTIONS}}
    project = {
        "_via_settings": {},
        "_via_img_metadata": pictures,
        "_via_attributes": {"region": {"action": options}, "file": {}},
    }
    return _written(folder / "via.json", json.dumps(project, indent=1))


def via2_csv(folder):
    """Annotations of VIA 2 as CSV."""
    lines = [
        "filename,file_size,file_attributes,region_count,region_id,"
        "region_shape_attributes,region_attributes"
    ]
    for i, (second, *rest) in enumerate(BOXES):
        cells = (json.dumps(part).replace('"', '""') for part in _via2_region(*rest))
        shape, values = cells
        name = f"film_{10 * second:06d}.jpg"
        lines.append(f'{name},1234,"{{}}",2,{i},"{shape}","{values}"')
    return _written(folder / "via.csv", "\n".join(lines) + "\n")


_VIA3_ATTRIBUTES = {
    "1": {
        "aname": "action",
        "anchor_id": "FILE1_Z1_XY1",
        "type": 2,
        "options": {"0": "stand", "1": "walk", "2": "carry"},
        "default_option_id": "",
    },
    "2": {"aname": "person", "anchor_id": "FILE1_Z1_XY1", "type": 1, "options": {}},
}


def _via3_entry(box, actions, who):
    x1, y1, x2, y2 = box
    chosen = ",".join(str(ACTIONS.index(name)) for name in actions)
    return [2, x1, y1, x2 - x1, y2 - y1], {"1": chosen, "2": str(who)}


def via3_json(folder):
    """A project of VIA 3."""
    metadata = {}
    for i, (second, *rest) in enumerate(BOXES):
        xy, av = _via3_entry(*rest)
        metadata[f"1_{i}"] = {"vid": "1", "flg": 0, "z": [second], "xy": xy, "av": av}
    project = {
        "project": {"pid": "__VIA_PROJECT_ID__", "pname": "job", "vid_list": ["1"]},
        "config": {},
        "attribute": _VIA3_ATTRIBUTES,
        "file": {
            "1": {"fid": "1", "fname": "film.mp4", "type": 4, "loc": 1, "src": ""}
        },
        "metadata": metadata,
        "view": {"1": {"fid_list": ["1"]}},
    }
    return _written(folder / "via3.json", json.dumps(project, indent=1))


def via3_csv(folder):
    """Annotations of VIA 3 as CSV."""
    lines = [
        "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
        "# ATTRIBUTE=" + json.dumps(_VIA3_ATTRIBUTES),
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
        "spatial_coordinates,metadata",
    ]
    for i, (second, *rest) in enumerate(BOXES):
        xy, av = _via3_entry(*rest)
        cells = (["film.mp4"], 0, [second], xy, av)
        quoted = (json.dumps(cell).replace('"', '""') for cell in cells)
        lines.append(f'"1_{i}",' + ",".join(f'"{cell}"' for cell in quoted))
    return _written(folder / "via3.csv", "\n".join(lines) + "\n")


def coco(folder, image=lambda second: {"video_id": 1, "frame_id": 10 * second}):
    """COCO's JSON with videos; an annotation for each action."""
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 100, **image(second)}
        for i, second in enumerate((1, 2), 1)
    ]
    annotations = [
        {
            "id": 10 * i + j,
            "image_id": second,
            "category_id": ACTIONS.index(action) + 1,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "iscrowd": 0,
            "track_id": who,
        }
        for i, (second, box, actions, who) in enumerate(BOXES)
        for j, action in enumerate(actions)
    ]
    content = {
        "videos": [{"id": 1, "name": "film.mp4", "width": 200, "height": 100}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(ACTIONS, 1)],
    }
    return _written(folder / "coco.json", json.dumps(content, indent=1))


def coco_pictures(folder):
    """COCO's JSON of pictures that are named by frame."""
    return coco(folder, lambda second: {"file_name": f"film/{10 * second:06d}.jpg"})


def _percent(box):
    x1, y1, x2, y2 = (v / side * 100 for v, side in zip(box, (200, 100) * 2))
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": 0}


def label_studio(folder):
    """Label Studio's JSON of a video; a person's regions have one note."""
    results = [
        {
            "id": f"r{i}",
            "type": "videorectangle",
            "from_name": "box",
            "to_name": "video",
            "original_width": 200,
            "original_height": 100,
            "meta": {"text": [f"person {who}"]},
            "value": {
                "framesCount": 40,
                "duration": 4.0,
                "labels": list(actions),
                "sequence": [
                    {"frame": 10 * second + 1, "enabled": False, **_percent(box)}
                ],
            },
        }
        for i, (second, box, actions, who) in enumerate(BOXES)
    ]
    task = {
        "id": 1,
        "data": {"video": "/data/upload/3/9f86d081-film.mp4"},
        "annotations": [{"id": 1, "was_cancelled": False, "result": results}],
        "predictions": [],
    }
    return _written(folder / "export.json", json.dumps([task], indent=1))


def label_studio_pictures(folder):
    """Label Studio's JSON of pictures; without people's numbers."""
    tasks = []
    for second in (1, 2):
        results = [
            {
                "id": f"r{i}",
                "type": "rectanglelabels",
                "from_name": "box",
                "to_name": "image",
                "original_width": 200,
                "original_height": 100,
                "value": {"rectanglelabels": list(actions), **_percent(box)},
            }
            for i, (at, box, actions, _) in enumerate(BOXES)
            if at == second
        ]
        tasks.append(
            {
                "id": second,
                "data": {"image": f"/data/upload/3/9f86d081-film_{10 * second}.jpg"},
                "annotations": [{"id": second, "result": results}],
            }
        )
    return _written(folder / "export.json", json.dumps(tasks, indent=1))


def yolo(folder):
    """YOLO's text files, a class for each action."""
    for second in (1, 2):
        lines = [
            f"{ACTIONS.index(action)} {(b[0] + b[2]) / 400} {(b[1] + b[3]) / 200} "
            f"{(b[2] - b[0]) / 200} {(b[3] - b[1]) / 100}"
            for at, b, actions, _ in BOXES
            if at == second
            for action in actions
        ]
        name = f"film_mp4-{10 * second}_jpg.rf.0123abcd.txt"
        _written(folder / "train/labels" / name, "\n".join(lines) + "\n")
    text = f"train: ../train/images\nnc: 3\nnames: {json.dumps(ACTIONS)}\n"
    return _written(folder / "data.yaml", text)


def voc(folder):
    """Pascal VOC's files, an object for each action."""
    for second in (1, 2):
        objects = "\n".join(
            f"<object><name>{action}</name><track_id>{who}</track_id>\n<bndbox>"
            f"<xmin>{b[0]}</xmin><ymin>{b[1]}</ymin><xmax>{b[2]}</xmax>"
            f"<ymax>{b[3]}</ymax></bndbox></object>"
            for at, b, actions, who in BOXES
            if at == second
            for action in actions
        )
        text = (
            f"<annotation><folder>film</folder>\n<filename>film_{10 * second:05}.jpg"
            "</filename>\n<size><width>200</width><height>100</height><depth>3</depth>"
            f"</size>\n{objects}</annotation>\n"
        )
        _written(folder / f"Annotations/film_{10 * second:05}.xml", text)
    return folder / "Annotations"


def mot(folder):
    """MOT Challenge's `gt.txt` with CVAT's `labels.txt`; one action a row."""
    lines = [
        f"{10 * second + 1},{who},{b[0]},{b[1]},{b[2] - b[0]},{b[3] - b[1]},1,"
        f"{ACTIONS.index(action) + 1},1"
        for second, b, actions, who in BOXES
        for action in actions[:1]
    ]
    _written(folder / "film/gt/labels.txt", "\n".join(ACTIONS) + "\n")
    info = (
        "[Sequence]\nname=film\nframeRate=10\nimWidth=200\nimHeight=100\nseqLength=40\n"
    )
    _written(folder / "film/seqinfo.ini", info)
    return _written(folder / "film/gt/gt.txt", "\n".join(lines) + "\n")


def csv_table(folder, header="Movie;Time;Left;Top;Right;Bottom;Action;Person"):
    """A table with semicolons, decimal commas, clock times, pixels and names."""
    lines = [
        f"film.mp4;00:00:{second:02};{b[0]},0;{b[1]},0;{b[2]},0;{b[3]},0;"
        f"{' | '.join(actions)};{who}"
        for second, b, actions, who in BOXES
    ]
    text = "\ufeff" + "\r\n".join([header, *lines]) + "\r\n"
    path = folder / "boxes.csv"
    path.write_bytes(text.encode())
    return path


def _written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
