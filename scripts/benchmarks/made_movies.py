"""Movies to measure with, in every store of frames."""

import pathlib
from collections.abc import Iterable, Iterator

import cv2
import ml_collections
import numpy as np

from ava_jax import config as ava_config

STORES = ("folder", "packed", "video")
_FPS = 30


def write(args, root: pathlib.Path) -> dict[str, ml_collections.ConfigDict]:
    """Movies of drifting texture, and a configuration for each store."""
    from ava_jax.prepare import ava_builder

    config = ava_config.load(args.config)
    width, height = map(int, args.size.split("x"))
    names = [f"movie{m}" for m in range(args.movies)]
    for m, name in enumerate(names):
        (root / "rawframes" / name).mkdir(parents=True)
        frames = _texture(m, args.seconds * _FPS, height, width)
        for i, frame in enumerate(frames, 1):
            path = root / "rawframes" / name / f"img_{i:05}.jpg"
            cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, 90])
    _annotate(root, config.data, names, args.seconds)
    config.data.timestamp_start = config.data.video_start = 0
    config.data.fps = _FPS
    config.data.root = str(root)
    config.train.batch = config.eval.batch = 8
    configs = {store: config.copy_and_resolve_references() for store in STORES}
    for store, own in configs.items():
        own.data.frame_store = store
    if "packed" in args.stores:
        ava_builder.pack(config.data, root / "packed")
        configs["packed"].data.root = str(root / "packed")
    if "video" in args.stores:
        configs["video"].data.frames = "videos"
        _film(root, names)
    return configs


def _texture(seed: int, count: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Frames that compress like film: edges, gradients and some grain."""
    rng = np.random.default_rng(seed)
    board = rng.integers(0, 256, (40, 40, 3), np.uint8)
    board = cv2.resize(board, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 6, board.shape)
    board = np.clip(board + grain, 0, 255).astype(np.uint8)
    for i in range(count):
        y, x = i * height // count, i * width // count
        yield board[y : y + height, x : x + width]


def _annotate(root: pathlib.Path, data, names: Iterable[str], seconds: int) -> None:
    """Two people at every second, who are also proposed."""
    boxes = ("0.1,0.2,0.4,0.9", "0.5,0.1,0.8,0.8")
    keys = [f"{name},{second:04}" for name in names for second in range(2, seconds - 2)]
    (root / "annotations").mkdir()
    labels = (f'item {{ name: "action {i}" id: {i} }}\n' for i in range(1, 81))
    (root / data.labels).write_text("".join(labels))
    for split in (data.train, data.val):
        truth = (f"{key},{box},12,0\n" for key in keys for box in boxes)
        (root / split.boxes).write_text("".join(truth))
        (root / split.exclusions).write_text("")
        found = (f"{key},{box},,0.99\n" for key in keys for box in boxes)
        (root / split.proposals).write_text("".join(found))


def _film(root: pathlib.Path, names: Iterable[str]) -> None:
    import av

    (root / "videos").mkdir()
    for name in names:
        paths = sorted((root / "rawframes" / name).iterdir())
        with av.open(str(root / "videos" / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=_FPS)
            stream.height, stream.width = cv2.imread(str(paths[0])).shape[:2]
            for path in paths:
                image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def frame_bytes(config: ml_collections.ConfigDict) -> float:
    """Mean size of the JPEG files."""
    root = pathlib.Path(config.data.root, config.data.frames)
    return float(np.mean([path.stat().st_size for path in root.glob("*/*.jpg")]))
