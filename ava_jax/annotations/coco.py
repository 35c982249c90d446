"""COCO's JSON: the times of its images, and detections of actions on them."""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ava_jax import files
from ava_jax.annotations.box_checks import in_pixels
from ava_jax.annotations.box_table import BoxTable, indexed_seconds
from ava_jax.annotations.result_pickles import read_mmaction2
from ava_jax.errors import UserError
from ava_jax.unpickling.interpreter import RefusedError

# '1j20qq1JyX4,0902', '1j20qq1JyX4/0902.jpg', '1j20qq1JyX4_0902.jpg'
_FRAME_NAME = re.compile(r"(.+)[,/_](\d+(?:\.\d+)?)(?:\.[A-Za-z]\w*)?")
_EXPECTED = (
    "expected COCO's detections (`image_id`, `category_id`, `bbox` as x, y, width, "
    "height, and `score`), or MMAction2's with `pred_instances`"
)


def read_json_detections(
    path: str | os.PathLike,
    index: str | os.PathLike | None = None,
    first_label: int = 1,
) -> BoxTable:
    """Detections in a JSON file: COCO's, or MMAction2's results.

    COCO's are a list, or the `annotations` of an object with `images`. `category_id`
    is the action. The key frame of an image is its `timestamp` (or `time`, or
    `frame_id` of a video with `fps`) and the name of its video, or else is in its
    `file_name` or its id: '1j20qq1JyX4,0902', '1j20qq1JyX4/0902.jpg' or
    '1j20qq1JyX4_0902.jpg'.

    Args:
      path: of the file.
      index: COCO's JSON with the `images`, for a list of detections in pixels, or
        whose `image_id` does not name the key frame.
      first_label: see `read_boxes`.

    Raises:
      UserError: it is something else, or `index` is missing.
    """
    path = os.fspath(path)
    content = files.read_json(path)
    try:
        if isinstance(content, list) and content and "pred_instances" in content[0]:
            size = os.path.getsize(path)
            return read_mmaction2(path, content, _to_array, size, first_label)
        if isinstance(content, list):
            rows, images = content, files.read_json(index) if index else {}
        else:
            rows, images = content["annotations"], content
        table = _from_coco(path, rows, images)
        return dataclasses.replace(table, label=table.label + 1 - first_label)
    except RefusedError as error:
        reason = str(error)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise UserError(f"{path}: not a file of detections ({reason}); {_EXPECTED}")


def image_seconds(
    path: str, image: Mapping[str, Any], video: Mapping[str, Any]
) -> float:
    """The time of an image: `timestamp` or `time`, or `frame_id` / `fps` of its video.

    Raises:
      UserError: it has none.
    """
    for name in ("timestamp", "time"):
        if name in image:
            return float(image[name])
    if "frame_id" in image and "fps" in video:
        return float(image["frame_id"]) / float(video["fps"])
    raise UserError(
        f"{path}: image {image['id']} has no time; give every image a `timestamp` in "
        "seconds, or a `frame_id` of a video with an `fps`"
    )


def _to_array(value: Any) -> np.ndarray:
    return np.array(value, np.float64)


def _from_coco(path: str, rows: list, source: Mapping[str, Any]) -> BoxTable:
    """Detections, with the `images` and `videos` of `source` if there are any."""
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    ids = [row["image_id"] for row in rows]
    names = dict.fromkeys(ids)
    if "images" in source:
        images = {image["id"]: image for image in source["images"]}
        _check_images(path, names, images)
        videos = {video["id"]: video for video in source.get("videos", ())}
    else:
        images, videos = {name: {"id": name} for name in names}, {}
    frames = {name: _key_frame(path, images[name], videos) for name in names}
    if in_pixels(boxes).any():
        boxes = boxes / [_size(path, images[name]) for name in ids]
    boxes[:, 2:] += boxes[:, :2]
    indices = {
        video: i for i, video in enumerate(dict.fromkeys(v for v, _ in frames.values()))
    }
    scores = np.array([row["score"] for row in rows], np.float64)
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("it has NaN or infinity")
    return BoxTable.from_columns(
        list(indices),
        [indices[frames[name][0]] for name in ids],
        indexed_seconds(np.array([frames[name][1] for name in ids], np.float64)),
        boxes,
        label=[row["category_id"] for row in rows],
        score=scores,
        line=np.zeros(len(rows)),
        path=path,
    )


def _check_images(path: str, names: Mapping[Any, None], images: Mapping[Any, Any]):
    missing = [name for name in names if name not in images]
    if missing:
        raise UserError(
            f"{path}: {len(missing):,} images (first: {missing[0]!r}) are "
            "not in the `images` of --index; give the file that the detector was run on"
        )


def _key_frame(
    path: str, image: Mapping[str, Any], videos: Mapping[Any, Mapping[str, Any]]
) -> tuple[str, float]:
    """(video, seconds) of an image."""
    video = videos.get(image.get("video_id"), {})
    name = video.get("name", image.get("video"))
    if name is not None:
        return str(name), image_seconds(path, image, video)
    text = str(image.get("file_name", image["id"]))
    match = _FRAME_NAME.fullmatch(text)
    if match is None:
        raise UserError(
            f"{path}: image {text!r} names no key frame; expected names such as "
            "'1j20qq1JyX4_0902.jpg' (video and second), or COCO's JSON with the "
            "`images` (`timestamp`, and `video` or a `video_id`) by --index"
        )
    return match[1], float(match[2])


def _size(path: str, image: Mapping[str, Any]) -> tuple[int, int, int, int]:
    if "width" not in image or "height" not in image:
        raise UserError(
            f"{path}: boxes in pixels, and no size of image {image['id']!r}; give "
            "COCO's JSON with the `images` (`width` and `height`) by --index, or boxes "
            "in fractions"
        )
    return (image["width"], image["height"]) * 2
