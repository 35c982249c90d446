"""A small detector, small videos of every kind, and where people are in them."""

import numpy as np
import pytest
from made_up import made_up_variables
from video_files import pictures, write_video

from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from configs import mini as mini_config

H264 = {"codec": "libx264", "pix_fmt": "yuv420p"}
# Name, frames, and how they are written: the last one comes irregularly, and h264.avi
# does not say when its frames are shown, so that it is scored as a whole in the end.
VIDEOS = {
    "plain.mov": (40, {}),
    "long.mp4": (75, H264),
    "h264.avi": (35, H264),
    "irregular.mkv": (90, H264 | {"times": "random"}),
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    config = mini_config.get_config()
    config.data.clip_len, config.data.frame_interval = 4, 2
    config.data.test_short_side = 64
    config.data.max_boxes = 4
    config.model.backbone, config.model.width = "slowonly", 8
    folder = tmp_path_factory.mktemp("batch_model")
    state = to_state_dict(made_up_variables(config.model))
    write_pytorch(folder / "tiny.pth", state, {})
    convert_file.convert_file(folder / "tiny.pth", folder / "model", config)
    return folder / "model"


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """A folder with the videos; nobody changes it."""
    folder = tmp_path_factory.mktemp("batch_videos")
    steps = np.random.default_rng(0).uniform(0.03, 0.2, 90)
    for name, (frames, how) in VIDEOS.items():
        if how.get("times") == "random":
            how = how | {"times": np.cumsum(steps) - steps[0]}
        write_video(folder / name, pictures(frames), **how)
    return folder


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """A file with one or two people a key frame, who move; at some, nobody."""
    rows = []
    for name in VIDEOS:
        for second in range(12):
            left = 0.1 + 0.03 * second
            box = f"{left:.2f},0.1,{left + 0.3:.2f},0.9,,0.9"
            rows += [f"{name[:-4]},{second:04d},{box}"] if second != 2 else []
            rows += (
                [f"{name[:-4]},{second:04d},.05,.2,.4,.95,,.8"] if second % 3 else []
            )
    path = tmp_path_factory.mktemp("batch_people") / "people.csv"
    path.write_text("\n".join(rows) + "\n")
    return path
