"""Frame stores: the same clips from each; what is refused, replaced, remembered."""

import json
import os
import pathlib
import resource
import shutil
import sys

import cv2
import from_config
import numpy as np
import pytest
import tensorflow as tf
import video_files
from PIL import Image

from ava_jax import config as ava_config
from ava_jax.data.frames import open_frames
from ava_jax.data.frames.folders import detect_frame_name, open_folders
from ava_jax.data.frames.video_files import open_videos
from ava_jax.errors import BadFrame, UserError
from ava_jax.prepare import ava_builder
from ava_jax.video.reader import VideoReader
from ava_jax.video.resample import at_rate
from ava_jax.video.seekable import SeekableVideo

MOVIES = ("mini_train_00", "mini_train_01", "mini_val_00")


@pytest.fixture(scope="module")
def packed(tiny_root, tmp_path_factory):
    """The miniature, packed: a file for each movie, as with whole movies of AVA."""
    out = tmp_path_factory.mktemp("packed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ava_builder, "_SHARD_FRAMES", 50)
        ava_builder.pack(tiny_configuration(tiny_root).data, out)
    return out


@pytest.fixture(scope="module")
def filmed(tiny_root, tmp_path_factory):
    """The miniature's frames, as JPEG decodes them, in videos without loss."""
    out = tmp_path_factory.mktemp("filmed")
    shutil.copytree(tiny_root / "annotations", out / "annotations")
    (out / "rawframes").mkdir()
    folders = open_folders(tiny_root / "rawframes", MOVIES)
    for video, name in enumerate(MOVIES):
        indices = range(folders.first[video], folders.last[video] + 1)
        frames = np.stack([folders.read(video, i) for i in indices])
        video_files.write_video(out / "rawframes" / f"{name}.mov", frames)
    return out


def tiny_configuration(root, store="folder"):
    from configs import mini

    config = mini.get_config()
    config.data.source = "folder"
    config.data.root = str(root)
    config.data.frame_store = store
    config.data.video_start = 100
    return config


@pytest.fixture(params=["packed", "video"])
def other(request, tiny_config):
    """The tiny configuration, on another store than folders."""
    config = tiny_config.copy_and_resolve_references()
    config.data.frame_store = request.param
    config.data.video_start = 100
    fixture = {"packed": "packed", "video": "filmed"}[request.param]
    config.data.root = str(request.getfixturevalue(fixture))
    return config


def clip(store, video, indices):
    return store.clip(tf.constant(video), tf.constant(indices, tf.int64)).numpy()


def test_stores_give_the_same_batches(tiny_config, other):
    def batches(config):
        train = from_config.train_batches(
            from_config.load_split(config, "train"),
            config,
            first_step=0,
            steps=2,
            rows=range(4),
        )
        val = from_config.load_split(config, "val")
        return [*train, *from_config.eval_batches(val, config, rows=range(4))]

    for a, b in zip(batches(tiny_config), batches(other), strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_stores_know_the_same(tiny_config, other):
    expected, store = (open_frames(c.data, MOVIES) for c in (tiny_config, other))
    for name in ("first", "last", "size", "missing", "origin"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(store, name))
    for video, index in ((0, 1), (1, 33), (2, expected.last[2])):
        frame = expected.read(video, index)
        np.testing.assert_array_equal(frame, store.read(video, index))
        np.testing.assert_array_equal(frame, clip(store, video, [index])[0])


# ------------------------------------------------------------------- folders


def make_folder(root, names, movie="a"):
    (root / movie).mkdir(parents=True)
    for i, name in enumerate(names):
        cv2.imwrite(str(root / movie / name), np.full((8, 16, 3), i, np.uint8))


@pytest.mark.parametrize(
    ("names", "first", "last", "origin"),
    [
        (["img_00001.jpg", "img_00002.jpg", "img_00003.jpg"], 1, 3, 1),
        (["img_00000.jpg", "img_00001.jpg"], 0, 1, 0),
        (["a_000001.jpg", "a_000002.jpg"], 1, 2, 1),
        (["a_000000.jpg", "a_000001.jpg"], 0, 1, 0),
        (["0007.JPG", "0008.JPG"], 7, 8, 1),
        (["a_frame_0000.jpg", "a_frame_0001.jpg"], 0, 1, 0),
        (["a-1.jpg", "a-2.jpg"], 1, 2, 1),
        # Optical flow, which MMAction2 keeps in the same folder.
        (["flow_x_00001.jpg", "img_00001.jpg"], 1, 1, 1),
        (["img_99999.jpg", "img_100000.jpg"], 99999, 100000, 1),
    ],
    ids=str,
)
def test_names_of_frames_are_detected(tmp_path, names, first, last, origin):
    make_folder(tmp_path / "frames", names)
    store = open_folders(tmp_path / "frames", ["a"])
    assert (store.first[0], store.last[0], store.origin[0]) == (first, last, origin)
    assert store.size.tolist() == [[8, 16]]
    frames = clip(store, 0, [last, first])
    np.testing.assert_array_equal(frames[0], store.read(0, last))
    np.testing.assert_array_equal(frames[1], store.read(0, first))


def test_frames_that_count_from_0_show_the_same(own):
    """PySlowFast's naming, from 0: the clips stay the same."""
    before = from_config.load_split(own, "val")
    folder = pathlib.Path(own.data.root, "rawframes")
    for path in sorted(folder.glob("*/*.jpg")):
        movie, index = path.parent.name, int(path.stem.removeprefix("img_"))
        path.rename(path.with_name(f"{movie}_{index - 1:06}.jpg"))
    after = from_config.load_split(own, "val")
    np.testing.assert_array_equal(before.centre - 1, after.centre)
    assert after.frames.path(0, 3).name == f"{before.frames.videos[0]}_000003.jpg"


@pytest.mark.parametrize(
    ("movies", "files", "template"),
    [
        (["clip_a", "clip_b"], "{}_frame_{:04}.jpg", "{video}_frame_{:04}.jpg"),
        (["v1", "v2"], "{}_{:06}.jpg", "{video}_{:06}.jpg"),
        (["x(1)", "x(2)"], "{}.{:03}.jpeg", "{video}.{:03}.jpeg"),
        # Beginnings of words are no names of movies.
        (["i", "im"], "img_{1:05}.jpg", "img_{:05}.jpg"),
    ],
)
def test_templates_hold_for_all_movies(tmp_path, movies, files, template):
    for movie in movies:
        make_folder(tmp_path, [files.format(movie, i) for i in (1, 2)], movie)
        assert detect_frame_name(tmp_path, movie) == template
    assert open_folders(tmp_path, movies).last.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"has no file like img_00001\.jpg"),
        (["x_1.jpg", "y_1.jpg"], r"named like x_\{:01\}\.jpg, y_\{:01\}\.jpg"),
    ],
)
def test_names_that_cannot_be_detected(tmp_path, names, message):
    make_folder(tmp_path / "frames", names)
    with pytest.raises(UserError, match=message):
        open_folders(tmp_path / "frames", ["a"])


def test_the_index_is_kept_and_checked(tmp_path, monkeypatch):
    root = tmp_path / "frames"
    make_folder(root, ["img_00001.jpg", "img_00002.jpg"])
    make_folder(root, ["img_00001.jpg"], "b")

    def last():
        return open_folders(root, ["a", "b"]).last.tolist()

    assert last() == [2, 1]
    listed = []
    monkeypatch.setattr(os, "listdir", spy(os.listdir, listed))
    assert last() == [2, 1]
    assert not [path for path in listed if path.parent == root]  # nothing was looked at

    cv2.imwrite(str(root / "b/img_00002.jpg"), np.zeros((8, 16, 3), np.uint8))
    assert last() == [2, 2]
    (path,) = tmp_path.glob(".frames_index.json")
    path.write_text("half a fi")
    assert last() == [2, 2]
    # A first frame of another size, written over the old one.
    cv2.imwrite(str(root / "a/img_00001.jpg"), np.zeros((6, 16, 3), np.uint8))
    os.utime(root / "a/img_00001.jpg", ns=(1, 1))
    assert open_folders(root, ["a", "b"]).size.tolist() == [[6, 16], [8, 16]]


def spy(function, calls):
    def wrapped(path, *args):
        calls.append(pathlib.Path(path))
        return function(path, *args)

    return wrapped


def test_the_index_of_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    root = tmp_path / "data/frames"
    make_folder(root, ["img_00001.jpg"])
    monkeypatch.setenv("AVA_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "ava_jax.data.frames.index._beside",
        lambda root: pathlib.Path("/proc/nothing/index.json"),
    )
    open_folders(root, ["a"])
    (path,) = (tmp_path / "cache").rglob("*.json")
    assert [*json.loads(path.read_text()).values()][0].keys() == {"a"}


# ---------------------------------------------------------------- bad frames


@pytest.fixture
def own(tiny_root, tiny_config, tmp_path):
    """The configuration of a copy that a test may break."""
    root = tmp_path / "data"
    shutil.copytree(tiny_root, root)
    tiny_config.data.root = str(root)
    return tiny_config


def remove(path):
    path.unlink()


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


def to_webp(path):
    with Image.open(path) as image:
        image.save(path, "WEBP")


@pytest.mark.parametrize(
    ("name", "damage"),
    [("train", remove), ("train", truncate), ("val", empty), ("val", to_webp)],
)
def test_bad_frames(own, damage, name, caplog):
    split = from_config.load_split(own, name)
    # The key frame itself, which is in the clip whatever the jitter is.
    own.data.frame_jitter = False
    index = int(split.centre[0])
    path = split.frames.path(0, index)
    neighbour = split.frames.read(0, index - 1)
    damage(path)

    def clips(split):
        if name == "train":
            steps = from_config.steps_per_epoch(split, own)
            batches = from_config.train_batches(
                split, own, first_step=0, steps=steps, rows=range(4)
            )
        else:
            batches = from_config.eval_batches(split, own, rows=range(4))
        return np.concatenate([batch["clip"] for batch in batches])

    with pytest.raises(UserError, match=rf"{path}.*ava-jax check.*on_bad_frame"):
        clips(split)

    own.data.on_bad_frame = "nearest"
    replaced = from_config.load_split(own, name)
    np.testing.assert_array_equal(replaced.frames.read(0, index), neighbour)
    caplog.clear()
    after = clips(replaced)
    assert len(after) >= len(replaced)
    assert replaced.frames.replaced == {(0, index): index - 1}
    shutil.copyfile(path.with_name(f"img_{index - 1:05}.jpg"), path)
    np.testing.assert_array_equal(after, clips(split))


def test_other_formats_are_refused_at_once(own):
    split = from_config.load_split(own, "val")
    path = split.frames.path(0, 1)
    to_webp(path)
    message = rf"{path} cannot be read \(its format is WEBP, expected JPEG\)"
    with pytest.raises(BadFrame, match=message):
        split.frames.read(0, 1)
    with pytest.raises(UserError, match=message):
        from_config.load_split(own, "val")
    own.data.on_bad_frame = "nearest"
    replaced = from_config.load_split(own, "val").frames
    np.testing.assert_array_equal(replaced.read(0, 1), split.frames.read(0, 2))


def test_png_is_read_under_any_name(own):
    split = from_config.load_split(own, "val")
    path = split.frames.path(0, 1)
    before = split.frames.read(0, 1)
    Image.fromarray(before).save(path, "PNG")
    np.testing.assert_array_equal(split.frames.read(0, 1), before)
    np.testing.assert_array_equal(clip(split.frames, 0, [1])[0], before)


def test_bad_frames_are_counted_in_the_log(own, caplog):
    split = from_config.load_split(own, "val")
    for index in (10, 20, 30):
        truncate(split.frames.path(0, index))
    own.data.on_bad_frame = "nearest"
    store = from_config.load_split(own, "val").frames
    with caplog.at_level("WARNING"):
        for index in (10, 20, 30, 10):
            store.read(0, index)
    # The first, the second, the fourth and so on are told of.
    told = [message for message in caplog.messages if "is used instead" in message]
    assert [message.rpartition(". ")[2] for message in told] == [
        "1 bad frames so far.",
        "2 bad frames so far.",
    ]
    assert len(store.replaced) == 3


def test_gaps_are_counted_if_they_are_allowed(own):
    split = from_config.load_split(own, "val")
    for index in (4, 5, 9):
        remove(split.frames.path(0, index))
    with pytest.raises(UserError, match=r"img_00004\.jpg is missing.*3 frames"):
        from_config.load_split(own, "val")
    own.data.on_bad_frame = "nearest"
    assert from_config.load_split(own, "val").frames.missing.tolist() == [3]


def test_a_frame_without_neighbours(own):
    own.data.on_bad_frame = "nearest"
    store = from_config.load_split(own, "val").frames
    for path in store.store.path(0, 1).parent.iterdir():
        empty(path)
    with pytest.raises(BadFrame, match="None of the 300 frames"):
        store.read(0, 5)


@pytest.mark.parametrize(
    ("field", "known"),
    [("frame_store", "'folder', 'packed' or"), ("on_bad_frame", "'nearest'")],
)
def test_unknown_options(tiny_config, field, known):
    tiny_config.data[field] = "guess"
    with pytest.raises(UserError, match=rf"config\.data\.{field} is 'guess'.*{known}"):
        open_frames(tiny_config.data, MOVIES)


# -------------------------------------------------------------------- packed


def test_packing_keeps_the_bytes_and_the_annotations(tiny_root, packed):
    import tensorflow_datasets as tfds

    (folder,) = (packed / "rawframes").glob("ava/own/*")
    source = tfds.builder_from_directory(folder).as_data_source(
        "frames", deserialize_method=tfds.decode.DeserializeMethod.DESERIALIZE_NO_DECODE
    )
    facts = json.loads((folder / "metadata.json").read_text())
    assert [movie["name"] for movie in facts["movies"]] == list(MOVIES)
    frames = rows = 0
    for record in source:
        fields = record.features.feature
        video = fields["video"].bytes_list.value[0].decode()
        first = fields["first_frame"].int64_list.value[0]
        contents = fields["frames"].bytes_list.value
        for index, content in enumerate(contents, first):
            path = tiny_root / "rawframes" / video / f"img_{index:05}.jpg"
            assert content == path.read_bytes()
        seconds = np.array(fields["actions/timestamp"].float_list.value)
        start = 100 + (first - 1) / 10
        assert ((seconds >= start) & (seconds < start + 1)).all()
        frames, rows = frames + len(contents), rows + len(seconds)
    assert frames == len(list(tiny_root.glob("rawframes/*/*.jpg")))
    names = ("mini_train.csv", "mini_val.csv")
    texts = [(tiny_root / "annotations" / name).read_text() for name in names]
    assert rows == sum(text.count("\n") for text in texts)
    assert [(packed / "annotations" / name).read_text() for name in names] == texts


def test_packing_ava(tiny_root, tmp_path):
    """The published configurations read AVA's own layout."""
    root = tmp_path / "ava"
    shutil.copytree(tiny_root / "rawframes", root / "rawframes")
    (root / "annotations").mkdir()
    for name in ("train", "val"):
        shutil.copyfile(
            tiny_root / f"annotations/mini_{name}.csv",
            root / f"annotations/ava_{name}_v2.2.csv",
        )
    config = ava_config.default()
    ava_config.use_ava22(config)
    config.data.root = str(root)
    folder = ava_builder.pack(config.data, tmp_path / "packed", name="v2.2")
    assert folder.relative_to(tmp_path).parts[1:] == (
        "rawframes",
        "ava",
        "v2.2",
        "1.0.0",
    )
    expected = open_frames(config.data, MOVIES)
    config.data.root, config.data.frame_store = str(tmp_path / "packed"), "packed"
    store = open_frames(config.data, MOVIES)
    # A record holds 30 frames here, and the movies' lengths are no multiples of that.
    indices = np.array([1, 30, 31, store.last[1]])
    np.testing.assert_array_equal(clip(expected, 1, indices), clip(store, 1, indices))


def test_packing_again(tiny_root, packed, own):
    before = sorted((p, p.stat().st_mtime_ns) for p in packed.rglob("*.array_record*"))
    ava_builder.pack(tiny_configuration(tiny_root).data, packed)
    after = sorted((p, p.stat().st_mtime_ns) for p in packed.rglob("*.array_record*"))
    assert before == after
    store = open_folders(f"{own.data.root}/rawframes", MOVIES)
    remove(store.path(0, store.last[0]))
    with pytest.raises(UserError, match="holds other movies"):
        ava_builder.pack(own.data, packed)


@pytest.fixture
def full_disk():
    """No file may grow beyond 100 kB: writing fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_is_full(tiny_root, tmp_path, full_disk):
    with pytest.raises(UserError, match="Nothing of the packed frames was kept"):
        ava_builder.pack(tiny_configuration(tiny_root).data, tmp_path)
    assert not list(tmp_path.rglob("*array_record*"))
    with pytest.raises(UserError, match="has no packed data set"):
        open_frames(tiny_configuration(tmp_path, "packed").data, MOVIES)


def test_half_packed_data_is_not_taken_for_whole(tiny_root, packed, tmp_path):
    """What a killed process leaves behind: TFDS's folder under its first name."""
    shutil.copytree(packed, tmp_path, dirs_exist_ok=True)
    (whole,) = (tmp_path / "rawframes").glob("ava/own/*")
    whole.rename(whole.with_name("incomplete.ABCDEF_1.0.0"))
    config = tiny_configuration(tmp_path, "packed")
    with pytest.raises(UserError, match="has no packed data set"):
        open_frames(config.data, MOVIES)


def test_movies_that_were_not_packed(packed):
    with pytest.raises(UserError, match="lacks 1 of 2 movies: elsewhere"):
        open_frames(tiny_configuration(packed, "packed").data, ["elsewhere", MOVIES[0]])


def test_packed_frames_have_a_rate(packed):
    config = tiny_configuration(packed, "packed")
    config.data.fps = 25
    with pytest.raises(
        UserError, match=r"packed at 10 frames .*config\.data\.fps is 25"
    ):
        open_frames(config.data, [MOVIES[0]])


def test_packing_with_beam(tiny_root, packed, tmp_path, monkeypatch):
    """Beam's workers write the same files."""
    pytest.importorskip("apache_beam", reason="apache-beam is not installed")
    monkeypatch.setattr(ava_builder, "_SHARD_FRAMES", 50)
    config = tiny_configuration(tiny_root)
    ava_builder.pack(config.data, tmp_path, beam_arguments=["--runner=DirectRunner"])
    files = sorted(path for path in packed.rglob("*") if path.is_file())
    assert len([path for path in files if "array_record" in path.name]) == 3
    for path in files:
        other = tmp_path / path.relative_to(packed)
        assert other.read_bytes() == path.read_bytes(), path


def test_packing_with_beam_where_there_is_none(tiny_root, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match="pip install apache-beam"):
        ava_builder.pack(
            tiny_configuration(tiny_root).data, tmp_path, beam_arguments=["--runner=X"]
        )


# -------------------------------------------------------------------- videos


@pytest.mark.parametrize(
    ("video", "fps"),
    [
        # Frames that need others to be decoded: a key frame every 12.
        (dict(codec="mpeg4", pix_fmt="yuv420p"), 10),
        (dict(codec="mpeg4", pix_fmt="yuv420p", fps=25), 30),
        (dict(codec="mpeg4", pix_fmt="yuv420p", fps=25), 10),
        (dict(codec="libx264", pix_fmt="yuv420p", fps=60), 30),
        (dict(times=np.cumsum(np.tile([0.1, 0.03, 0.26], 20)), codec="png"), 10),
        (dict(rotation=90), 10),
    ],
    ids=["same rate", "25 to 30", "25 to 10", "60 to 30", "irregular", "turned"],
)
def test_video_frames_are_those_of_extraction(tmp_path, video, fps):
    path = tmp_path / "a.mov"
    video_files.write_video(path, video_files.pictures(60), **video)
    with VideoReader(path) as reader:
        frames = np.stack([frame.rgb for _, frame in at_rate(reader, fps)])
    store = open_videos(tmp_path, ["a"], fps)
    assert (store.first[0], store.last[0]) == (1, len(frames))
    assert store.size.tolist() == [list(frames.shape[1:3])]
    rng = np.random.default_rng(0)
    for start in (0, len(frames) - 9, *rng.integers(0, len(frames), 6)):
        numbers = np.minimum(start + 2 * np.arange(5), len(frames) - 1)
        np.testing.assert_array_equal(clip(store, 0, numbers + 1), frames[numbers])


def test_videos_that_begin_earlier_than_the_annotations(filmed):
    config = tiny_configuration(filmed, "video")
    whole = open_frames(config.data, MOVIES)
    config.data.video_start = 98
    later = open_frames(config.data, MOVIES)
    np.testing.assert_array_equal(whole.read(0, 25), later.read(0, 5))
    assert later.last.tolist() == (whole.last - 20).tolist()


def test_a_thread_keeps_few_videos_open(tmp_path, monkeypatch):
    names = [f"v{i}" for i in range(10)]
    frames = video_files.pictures(3)
    for name in names:
        video_files.write_video(tmp_path / f"{name}.mov", frames)
    store = open_videos(tmp_path, names, 10)
    closed = []
    monkeypatch.setattr(SeekableVideo, "close", lambda self: closed.append(self))
    for video in (*range(10), 9, 8):
        np.testing.assert_array_equal(store.read(video, 2), frames[1])
    assert len(closed) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {},
            r"1 of 1 movies do not have exactly one video file .*v\.mp4.*: none",
        ),
        ({"v.mp4": b"", "v.mkv": b""}, r"found for this movie: \['v.mkv', 'v.mp4'\]"),
        ({"v.mp4": b"no video"}, r"v\.mp4 cannot be read as a video"),
    ],
    ids=["missing", "two", "broken"],
)
def test_videos_that_cannot_be_used(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_videos(tmp_path, ["v"], 10)
