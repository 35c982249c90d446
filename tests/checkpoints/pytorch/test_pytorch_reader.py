"""Reading checkpoint files: right, or refused with the reason; never executed."""

import os
import pickle
import struct
import sys
import types
import zipfile

import checkpoint_data
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ava_jax.checkpoints.pytorch.reader import read_file, read_pytorch
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.unpickling.interpreter import Skipped

ROOT = checkpoint_data.ROOT
WRITTEN_BY_TORCH = [
    ("zip.pth", "zip"),
    ("legacy.pth", "legacy"),
    ("protocol4.pth", "zip"),
]


@pytest.mark.parametrize(("name", "layout"), WRITTEN_BY_TORCH)
def test_reads_what_torch_wrote(name, layout):
    file = read_file(ROOT / name)

    assert file.layout == layout
    _check_tensors(file.tensors)
    assert file.tensors["bfloat16"].dtype == ml_dtypes.bfloat16
    assert file.metadata["meta"]["config"] == "model = dict()\n"
    assert file.metadata["meta"]["epoch"] == 20
    assert file.metadata["optimizer"]["param_groups"][0]["lr"] == 0.1


def test_tensors_are_views_of_the_file():
    tensors = read_pytorch(ROOT / "zip.pth")
    assert np.shares_memory(tensors["view"], tensors["shared"])
    assert np.shares_memory(tensors["expanded"], tensors["expanded"][:, :1])
    assert not any(array.flags.writeable for array in tensors.values())


def test_reads_compressed_archives(tmp_path):
    path = _rezip(tmp_path, compression=zipfile.ZIP_DEFLATED)
    _check_tensors(read_pytorch(path))


def test_reads_big_endian_archives(tmp_path, rng):
    tensors = {"a": rng.standard_normal((2, 3)).astype(np.float32)}
    write_pytorch(tmp_path / "little.pth", tensors, {})

    def swap(name, data):
        if name.endswith("byteorder"):
            return b"big"
        return (
            np.frombuffer(data, "u4").byteswap().tobytes() if "/data/" in name else data
        )

    path = _rezip(tmp_path, swap, source=tmp_path / "little.pth")
    np.testing.assert_array_equal(read_pytorch(path)["a"], tensors["a"])


def test_reads_arrays_that_python_2_pickled(tmp_path):
    blobs = {
        "conv1_w": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "pred_b": np.array([1.5, -2], np.float32),
        "model_iter": 7,
    }
    path = tmp_path / "model.pkl"
    path.write_bytes(checkpoint_data.python2_pickle(blobs))
    file = read_file(path)
    assert file.layout == "pickle"
    assert set(file.tensors) == set(blobs)
    for key, value in blobs.items():
        np.testing.assert_array_equal(file.tensors[key], value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_arrays_that_python_3_pickled(tmp_path, protocol, order):
    array = np.array(np.arange(6).reshape(2, 3), ">f8", order=order)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"a": array, "b": array}}, protocol))
    tensors = read_pytorch(path)
    np.testing.assert_array_equal(tensors["a"], array)
    np.testing.assert_array_equal(tensors["b"], array)


@pytest.mark.parametrize("key", ["state_dict", "model_state", "model", "module"])
def test_tensors_are_found_under_the_keys_of_other_projects(tmp_path, key):
    path = tmp_path / "model.pth"
    content = {"epoch": 3, key: {"a": np.ones(2, np.float32)}}
    path.write_bytes(pickle.dumps(content, 2))
    assert read_pytorch(path).keys() == {"a"}


@pytest.mark.parametrize("write", [write_pytorch, checkpoint_data.write_legacy])
def test_reads_what_is_written(tmp_path, write, rng):
    tensors = {
        "a.weight": rng.standard_normal((2, 3, 1, 4, 4)).astype(np.float32),
        "a.transposed": rng.standard_normal((3, 2)).astype(np.float32).T,
        "a.num_batches_tracked": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.float32),
    }
    path = tmp_path / "model.pth"
    arguments = ({"note": "x"},) if write is write_pytorch else ()
    write(path, tensors, *arguments)
    found = read_pytorch(path)
    assert list(found) == list(tensors)
    for key, value in tensors.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key], value)


def test_passes_over_objects_of_training_frameworks(tmp_path, monkeypatch):
    module = types.ModuleType("mmengine.logging")

    class HistoryBuffer:
        def mean(self):
            raise AssertionError("was called")

        def __reduce__(self):
            return getattr, (HistoryBuffer, "mean")

    HistoryBuffer.__module__ = module.__name__
    HistoryBuffer.__qualname__ = "HistoryBuffer"
    module.HistoryBuffer = HistoryBuffer
    state = {"a": np.ones(2, np.float32)}
    monkeypatch.setitem(sys.modules, "mmengine", types.ModuleType("mmengine"))
    monkeypatch.setitem(sys.modules, "mmengine.logging", module)
    content = pickle.dumps({"hub": HistoryBuffer(), "state_dict": state}, 2)
    monkeypatch.undo()
    path = tmp_path / "epoch_1.pth"
    path.write_bytes(content)
    file = read_file(path)
    np.testing.assert_array_equal(file.tensors["a"], state["a"])
    assert isinstance(file.metadata["hub"], Skipped)


# ------------------------------------------------------------------------ refused
class _Attack:
    """Creates the file `executed` when it is unpickled."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (_Attack(os.system, "touch executed"), "system"),
        (_Attack(eval, "open('executed', 'w')"), "eval"),
        (_Attack(open, "executed", "w"), "open"),
    ],
)
@pytest.mark.parametrize("layout", ["zip", "legacy", "pickle"])
def test_code_in_a_pickle_is_refused_by_name(
    tmp_path, monkeypatch, layout, attack, named
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth"
    content = pickle.dumps({"state_dict": {"a": attack}}, 2)
    if layout == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
    elif layout == "legacy":
        magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
        path.write_bytes(magic + pickle.dumps(1001, 2) + content)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=named):
        read_pytorch(path)
    assert not (tmp_path / "executed").exists()


def test_whole_models_are_refused():
    with pytest.raises(UserError, match="torch.nn.modules.container.Sequential"):
        read_pytorch(ROOT / "whole_model.pth")


def test_torchscript_is_refused(tmp_path):
    path = _rezip(tmp_path, extra={"archive/constants.pkl": b""})
    with pytest.raises(UserError, match="TorchScript"):
        read_pytorch(path)


def _pickled(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def _view(shape, strides, offset=0):
    """A state dict with a tensor of 4 elements, seen as the arguments say."""
    text, number = checkpoint_data.text, checkpoint_data.number
    storage = b"(%sctorch\nFloatStorage\n%s%s%stQ" % (
        *map(text, ("storage", "0", "cpu")),
        number(4),
    )
    sizes, steps = (b"(" + b"".join(map(number, n)) + b"t" for n in (shape, strides))
    arguments = storage + number(offset) + sizes + steps
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89}tR"
    return _pickled(b"}", text("a"), tensor, b"s")


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (_view((2, 2), (2, 1)), None),
        (_view((5,), (1,)), "does not fit"),
        (_view((2, 2), (3, 1)), "does not fit"),
        (_view((4,), (1,), offset=1), "does not fit"),
        (_view((4,), (1,), offset=-1), "does not fit"),
        (_view((-4,), (1,)), "does not fit"),
        (_view((2,), (-1,)), "does not fit"),
        (_view((2, 2), (1,)), "does not fit"),
        (_view((2**30, 2**30), (0, 0)), "does not fit"),
        (_pickled(b"]"), "not a state dict"),
        (_pickled(b"}"), "no tensors"),
        (_pickled(b"J"), "damaged"),
        (_pickled(b"r\xff\xff\xff\xff"), "damaged"),
        (_pickled(b"h\x05"), "damaged"),
        (_pickled(b"0"), "damaged"),
        (_pickled(b"t"), "damaged"),
        (_pickled(b"K\x01b"), "damaged"),
        (_pickled(b"((" * 5000, b"tt" * 5000), "not a state dict"),
        (_pickled(b"ios\nsystem\n"), "opcode INST|damaged"),
        (_pickled(b"Pabc\n"), "opcode PERSID"),
        (_pickled(b"\x82\x01"), "opcode EXT1"),
    ],
)
def test_tensors_must_lie_in_their_storage(tmp_path, pickled, message):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", np.arange(4, dtype=np.float32).tobytes())
    if message is None:
        expected = np.arange(4).reshape(2, 2)
        np.testing.assert_array_equal(read_pytorch(path)["a"], expected)
    else:
        with pytest.raises(UserError, match=message):
            read_pytorch(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"PK\x03\x04", "cut short"),
        (b"#!/bin/sh\n", "begins with"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "begins with"),
        (b"\x80\x02", "cut short"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_pytorch(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_pytorch(tmp_path / "model.pth")


def test_a_bomb_is_refused(tmp_path):
    zeros = {"archive/zeros": bytes(20_000_000)}
    path = _rezip(tmp_path, extra=zeros, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="unpack to"):
        read_pytorch(path)


def test_a_small_file_cannot_ask_for_much_memory(tmp_path):
    text = checkpoint_data.text
    array = checkpoint_data.python2_array(np.zeros(1000, np.float32))
    # One text, used for the data of a hundred arrays.
    head, data = array.split(b"\x89T")
    data = data[:-2]
    first = head + b"\x89T" + data + b"q\x07tb"
    others = b"".join(text(f"k{i}") + head + b"\x89h\x07tb" for i in range(100))
    path = tmp_path / "model.pkl"
    path.write_bytes(_pickled(b"}(", text("k"), first, others, b"u"))
    with pytest.raises(UserError, match="more memory"):
        read_pytorch(path)


@pytest.mark.parametrize(("name", "layout"), WRITTEN_BY_TORCH)
def test_every_truncation_is_refused(tmp_path, name, layout):
    content = (ROOT / name).read_bytes()
    path = tmp_path / "model.pth"
    for length in range(0, len(content) - 1, 97):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            read_pytorch(path)


def test_changed_numbers_are_noticed(tmp_path):
    content = bytearray((ROOT / "zip.pth").read_bytes())
    with zipfile.ZipFile(ROOT / "zip.pth") as archive:
        info = archive.getinfo("zip/data/0")
    names = struct.unpack("<HH", content[info.header_offset + 26 :][:4])
    content[info.header_offset + 30 + sum(names)] ^= 1
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="checksum"):
        read_pytorch(path)


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def _caffe2():
    return checkpoint_data.python2_pickle({"conv1_w": np.ones(3, np.float32)})


@pytest.mark.parametrize(
    "content",
    [
        (ROOT / "zip.pth").read_bytes(),
        (ROOT / "legacy.pth").read_bytes(),
        _caffe2(),
    ],
    ids=["zip", "legacy", "caffe2"],
)
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=_CHANGES)
def test_damaged_files_are_read_or_refused(tmp_path, content, changes):
    _read_or_refuse(tmp_path, _changed(content, changes))


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=_CHANGES)
def test_damaged_pickles_in_whole_archives_are_read_or_refused(tmp_path, changes):
    def change(name, data):
        return _changed(data, changes) if name.endswith("data.pkl") else data

    _read_or_refuse(tmp_path, _rezip(tmp_path, change).read_bytes())


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=60))
def test_random_pickles_are_read_or_refused(tmp_path, content):
    _read_or_refuse(tmp_path, b"\x80\x02" + content)


def _read_or_refuse(tmp_path, content):
    path = tmp_path / "fuzzed.pth"
    path.write_bytes(content)
    try:
        tensors = read_pytorch(path)
    except UserError as error:
        assert str(path) in str(error)
        return
    for array in tensors.values():
        # A crash here would be a view outside of the file.
        array.flat[: min(array.size, 1000)].sum()


def _changed(content, changes):
    content = bytearray(content)
    for kind, place, data in changes:
        start = int(place * len(content))
        if kind == "set":
            content[start : start + len(data)] = data
        elif kind == "insert":
            content[start:start] = data
        else:
            del content[start : start + len(data)]
    return bytes(content)


def _check_tensors(tensors):
    with np.load(ROOT / "expected.npz") as file:
        expected = dict(file)
    assert list(tensors) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(tensors[key].astype(value.dtype), value, key)
        assert key == "bfloat16" or tensors[key].dtype == value.dtype


def _rezip(
    tmp_path,
    change=lambda name, data: data,
    extra=None,
    compression=zipfile.ZIP_STORED,
    source=ROOT / "zip.pth",
):
    """An archive with changed entries."""
    path = tmp_path / "rezipped.pth"
    with (
        zipfile.ZipFile(source) as archive,
        zipfile.ZipFile(path, "w", compression) as copy,
    ):
        for name in archive.namelist():
            data = change(name, archive.read(name))
            copy.writestr(name.replace("zip/", "archive/"), data)
        for name, data in (extra or {}).items():
            copy.writestr(name, data)
    return path
