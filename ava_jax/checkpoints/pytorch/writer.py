"""Writes files that `torch.load(weights_only=True)` reads, without torch."""

import os
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

from ava_jax import files

# The types of storage that a detector's tensors need.
_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}
_FOLDER = "archive"
# The opcodes of pickle's protocol 2 used here.
_PROTOCOL, _STOP, _MARK = b"\x80\x02", b".", b"("
_DICT, _SET_ITEMS, _TUPLE, _EMPTY_TUPLE = b"}", b"u", b"t", b")"
_REDUCE, _PERSISTENT, _FALSE = b"R", b"Q", b"\x89"
_ORDERED_DICT = b"ccollections\nOrderedDict\n" + _EMPTY_TUPLE + _REDUCE
_REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def write_pytorch(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    meta: Mapping[str, str],
) -> None:
    """Writes `{'meta': meta, 'state_dict': tensors}` in torch's zip layout.

    The file has its name only when it is whole.

    Args:
      path: of the file.
      tensors: key -> float32 or int64 array, in torch's layout.
      meta: texts, such as MMAction2's checkpoints have.

    Raises:
      KeyError: an array is of another type.
    """
    # A fixed date makes equal tensors equal files.
    with (
        files.beside(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
    ):

        def write(name, data):
            info = zipfile.ZipInfo(f"{_FOLDER}/{name}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, data)

        write("data.pkl", _pickle(tensors, meta))
        write("byteorder", b"little")
        for i, array in enumerate(tensors.values()):
            # One tensor's copy at a time.
            write(f"data/{i}", _little_endian(array).tobytes())
        write("version", b"3\n")


def _little_endian(array):
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _pickle(tensors, meta):
    texts = b"".join(_text(key) + _text(value) for key, value in meta.items())
    state = b"".join(
        _text(key) + _tensor(i, array) for i, (key, array) in enumerate(tensors.items())
    )
    entries = (
        _text("meta"),
        _DICT,
        _MARK,
        texts,
        _SET_ITEMS,
        _text("state_dict"),
        _ORDERED_DICT,
        _MARK,
        state,
        _SET_ITEMS,
    )
    return b"".join([_PROTOCOL, _DICT, _MARK, *entries, _SET_ITEMS, _STOP])


def _tensor(i, array):
    """A call of `_rebuild_tensor_v2`: storage, offset, shape, strides, two more."""
    kind = _STORAGES[array.dtype.name]
    storage = (
        _MARK,
        _text("storage"),
        b"ctorch\n",
        kind.encode(),
        b"\n",
        _text(str(i)),
        _text("cpu"),
        _integer(array.size),
        _TUPLE,
        _PERSISTENT,
    )
    strides = [int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim)]
    arguments = (
        *storage,
        _integer(0),
        _integers(array.shape),
        _integers(strides),
        _FALSE,
        _ORDERED_DICT,
    )
    return b"".join([_REBUILD, _MARK, *arguments, _TUPLE, _REDUCE])


def _text(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(number):
    return b"J" + struct.pack("<i", number)


def _integers(numbers):
    return b"".join([_MARK, *map(_integer, numbers), _TUPLE])
