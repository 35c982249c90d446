import json
import pathlib
import pickle

import numpy as np
import pytest

from ava_jax import errors
from ava_jax.people import open_detector, read_people

# 0.25 0.5 0.5 1.0 of a frame of 640 x 360.
BOX = [160, 180, 320, 360]
CSV = "movie,0902,0.25,0.5,0.5,1.0,12,0.8\nmovie,0903,0.25,0.5,0.5,1.0,12,0.6\n"


def write(tmp_path, name, content):
    path = tmp_path / name
    if name.endswith(".pkl"):
        path.write_bytes(pickle.dumps(content))
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def coco(bbox=(80, 90, 80, 90), **image):
    return {
        "images": [
            {"id": 7, "width": 320, "height": 180, **({"timestamp": 902} | image)}
        ],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": list(bbox), "score": 0.8},
            {"image_id": 7, "category_id": 4, "bbox": [0, 0, 80, 90], "score": 0.9},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "Person"}, {"id": 4, "name": "dog"}],
    }


FRAME_OF_VIDEO = {
    **coco(video_id=1, frame_id=22550),
    "videos": [{"id": 1, "name": "movie", "fps": 25}],
}
del FRAME_OF_VIDEO["images"][0]["timestamp"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("boxes.csv", CSV),
        ("boxes.pkl", {"movie,0902": np.array([[0.25, 0.5, 0.5, 1.0, 0.8]])}),
        ("boxes.json", coco()),
        ("boxes.json", FRAME_OF_VIDEO),
    ],
)
def test_boxes_are_in_pixels_of_the_video(tmp_path, name, content):
    people = open_detector(write(tmp_path, name, content), (640, 360))
    found = people.at(902.0)
    np.testing.assert_allclose(found, [[*BOX, 0.8]], rtol=1e-6)
    assert found.dtype == np.float32


def test_threshold(tmp_path):
    path = write(tmp_path, "boxes.csv", CSV)
    for threshold, count in ((0.7, 0), (0.5, 1)):
        people = open_detector(path, (640, 360), threshold=threshold)
        assert (len(people.at(902)), len(people.at(903))) == (1, count)


def test_coco_without_scores_and_categories(tmp_path):
    content = coco()
    del content["categories"], content["annotations"][0]["score"]
    content["annotations"][0]["category_id"] = 1  # COCO's person
    people = read_people(write(tmp_path, "boxes.json", content), 640, 360)
    np.testing.assert_array_equal(people.at(902), [[*BOX, 1.0]])


@pytest.mark.parametrize(
    ("times", "asked", "found"),
    [
        ([10, 12, 14], 11.9, 12),
        ([10, 12, 14], 11.0, 10),  # halfway still counts
        ([10, 12, 14], 15.0, 14),
        ([10, 12, 14], 15.1, None),
        ([10, 12, 14, 30], 20.0, None),  # a gap
        ([10], 10.5, 10),
        ([10], 10.6, None),
        ([0.0, 0.033, 0.067, 0.1], 0.0333, 0.033),
        ([0.0, 0.033, 0.067, 0.1], 0.2, None),
    ],
)
def test_nearest_time(tmp_path, times, asked, found):
    # The time is told by the score.
    content = {f"movie,{t}": [[0, 0, 1, 1, i / 10]] for i, t in enumerate(times)}
    content = {key: np.array(value) for key, value in content.items()}
    people = read_people(write(tmp_path, "boxes.pkl", content), 640, 360)
    expected = [] if found is None else [times.index(found) / 10]
    np.testing.assert_allclose(people.at(asked)[:, 4], expected, rtol=1e-6)


def test_one_of_several_videos(tmp_path):
    path = write(tmp_path, "boxes.csv", CSV + "other,0902,0,0,1,1,12,0.5\n")
    people = read_people(path, 640, 360, video="other")
    np.testing.assert_array_equal(people.at(902), [[0, 0, 640, 360, 0.5]])
    with pytest.raises(errors.UserError, match=r"2 videos \(movie, other.*'mine'"):
        read_people(path, 640, 360, video="mine")


def test_nobody_in_the_video(tmp_path):
    content = {**coco(), "annotations": []}
    people = read_people(write(tmp_path, "boxes.json", content), 640, 360)
    assert people.at(902).shape == (0, 5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("boxes.csv", "movie,0902,160,180,320,360,12,0.8\n", "fractions of the frame"),
        ("boxes.csv", "movie,0902,0.5,0.1,0.2,0.6,12,0.8\n", "inverted boxes: 1"),
        ("boxes.csv", "movie,0902,1.2,0.1,1.5,0.6,12,0.8\n", "boxes off the frame: 1"),
        (
            "boxes.csv",
            "movie,0902,0,0,1,1,12,3\n",
            r"scores outside 0 to 1: 1\n.*\n.*has 3",
        ),
        ("boxes.csv", "", "no boxes"),
        ("boxes.json", coco(bbox=[0.1, 0.2, 0.5, 0.3]), "image 7: .*fractions"),
        ("boxes.json", coco(bbox=[80, 90, -20, 90]), "image 7: boxes.*x1 <= x2"),
        ("boxes.json", coco(bbox=[400, 90, 20, 90]), "image 7: .*not on the picture"),
        ("boxes.json", coco(bbox=[80, 90, np.nan, 90]), "image 7: .*finite"),
        ("boxes.json", "{", "cannot be read as JSON"),
        ("boxes.json", [{"image_id": 1}], "not COCO's format"),
        ("boxes.json", {"images": []}, "not COCO's format .*annotations"),
        ("boxes.json", {**coco(), "images": []}, "not COCO's format"),
        ("boxes.txt", "movie", "not known as a file of boxes"),
        ("boxes.json", {**coco(), "images": [{"id": 7}]}, "not COCO's format .*width"),
    ],
)
def test_files_that_are_no_boxes(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(errors.UserError, match=message) as caught:
        open_detector(path, (640, 360))
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("categories_are_actions.json", r"none of its 2 .* a person \(walk, stand\)"),
        ("corners_swapped.csv", r"inverted boxes: 3\n.*'film1,0000'"),
    ],
)
def test_cases_that_gave_wrong_boxes(name, message):
    path = pathlib.Path(__file__).parents[1] / "data/cases/people_files" / name
    with pytest.raises(errors.UserError, match=message):
        open_detector(str(path), (200, 100))


def test_images_without_a_time(tmp_path):
    content = coco()
    del content["images"][0]["timestamp"]
    with pytest.raises(errors.UserError, match="image 7 has no time; give .*timestamp"):
        read_people(write(tmp_path, "boxes.json", content), 640, 360)


@pytest.mark.parametrize("name", ["yolo", "nowhere.csv", "onnx:", "nowhere.json"])
def test_no_such_detector(name):
    with pytest.raises(errors.UserError, match="no person detector|cannot be read"):
        open_detector(name, (640, 360))
