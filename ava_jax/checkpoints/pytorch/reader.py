"""Reads PyTorch's checkpoint files, without torch, executing nothing.

Five layouts occur among published checkpoints, under any ending:

* 'zip' (torch 1.6 and later): an archive of a pickle and one entry per storage;
* 'legacy' (before): pickles in a row, then the storages;
* 'pickle': a plain pickle of NumPy arrays, as Caffe2 models were published;
* 'flax': a plain pickle of Flax variables, which get torch's layouts here;
* 'safetensors': Hugging Face's format, which holds no pickle.
"""

import dataclasses
import io
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import safetensors

from ava_jax.checkpoints.pytorch import flax_pickle
from ava_jax.errors import UserError
from ava_jax.unpickling import numpy_arrays, torch_tensors
from ava_jax.unpickling.interpreter import (
    Built,
    Name,
    RefusedError,
    Skipped,
    call,
    describe,
    read_pickle,
)
from ava_jax.unpickling.torch_tensors import (
    LEGACY_MAGIC,
    LEGACY_VERSION,
    STORAGE_DTYPES,
)

# Packages and functions whose objects occur in training checkpoints beside the
# tensors. They become `Skipped` and are never built. The functions are how pickles
# write a bound or static method.
_SKIPPED = frozenset(
    [
        "addict",
        "argparse",
        "datetime",
        "fvcore",
        "mmaction",
        "mmcv",
        "mmdet",
        "mmengine",
        "numpy",
        "omegaconf",
        "pathlib",
        "yacs",
        "builtins.getattr",
        "__builtin__.getattr",
    ]
)
# Under which key of a checkpoint the tensors are: MMAction2 and MMEngine,
# PySlowFast and PyTorchVideo, others, DeepSpeed, Caffe2.
STATE_KEYS = (
    "state_dict",
    "model_state",
    "model_state_dict",
    "model",
    "module",
    "blobs",
)
_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC_BYTES = b"\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
# An archive that unpacks to more than this multiple of its size is a bomb. (torch
# does not compress; zeros that someone else compressed may reach this.)
_LARGEST_RATIO = 100


@dataclasses.dataclass(frozen=True)
class PytorchFile:
    """What a checkpoint file holds.

    Attributes:
      layout: 'zip', 'legacy', 'pickle', 'flax' or 'safetensors'.
      tensors: key -> array. Read-only; those of uncompressed files are views of
        the file, which takes no memory until they are used.
      metadata: what stands beside the tensors (`meta`, `epoch`, `cfg`, ...), as
        plain containers; objects of other classes are `Skipped`, other tensors
        (an optimiser's) are not read.
    """

    layout: str
    tensors: dict[str, np.ndarray]
    metadata: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Storage:
    """Numbers of one type outside the pickle."""

    key: str
    dtype: np.dtype
    size: int
    start: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class _Tensor:
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pytorch(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint file: `read_file(path).tensors`."""
    return read_file(path).tensors


def read_file(path: str | os.PathLike) -> PytorchFile:
    """Reads a checkpoint file; no torch is needed and nothing in it is executed.

    bfloat16 tensors have the dtype `ml_dtypes.bfloat16`.

    Raises:
      UserError: the file cannot be read, is no checkpoint, is damaged, or holds
        objects other than tensors, containers and the metadata of MMAction2,
        PySlowFast and the like; the message names the object.
    """
    return _open(
        path,
        _read,
        "a checkpoint",
        "a file written by safetensors or by torch.save (a state dict, or a dictionary "
        f"with one under {', '.join(STATE_KEYS)})",
    )


def read_saved(
    path: str | os.PathLike, what: str, expected: str, shape: Callable[[Any, Any], Any]
) -> Any:
    """Reads what `torch.save` wrote, whatever it is, as `read_file` does.

    Args:
      path: of the file.
      what: it should be, for messages: 'a feature bank'.
      expected: what it should hold, for messages.
      shape: makes the result of the file's containers, in which tensors are only
        described, and of a function that gives the array of a description, or None for
        anything else. It raises a RefusedError for what is not expected.

    Raises:
      UserError: the file cannot be read, or is something else.
    """

    def read(file, content):
        head = content[:16]
        if head.startswith(_ZIP_MAGIC):
            value, load, size = _read_zip(file, content)
        elif _LEGACY_MAGIC_BYTES in head:
            value, load, size = _read_legacy(content)
        else:
            raise RefusedError(f"it begins with {head!r}, as no such file does")
        return shape(value, _Resolver(load, size).array)

    return _open(path, read, what, expected)


def _open(path, read, what, expected):
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            # Views of the mapping keep it alive after this function.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return read(file, content)
    except RefusedError as error:
        raise UserError(
            f"{path} is not {what} that can be read: {error}. Expected: {expected}. If "
            "it was downloaded, compare its size and SHA-256 with the source's."
        ) from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); check the path."
        ) from None
    except ValueError:
        # What mmap says about a file of length 0.
        raise UserError(f"{path} is empty; download it again.") from None


def _read(file: BinaryIO, content: mmap.mmap) -> PytorchFile:
    head = content[:16]
    if head.startswith(_ZIP_MAGIC):
        return _finish("zip", *_read_zip(file, content))
    if _LEGACY_MAGIC_BYTES in head:
        return _finish("legacy", *_read_legacy(content))
    if head[8:9] == b"{":
        return _read_safetensors(file.name)
    if head[:1] not in (b"\x80", b"(", b"}"):
        raise RefusedError(f"it begins with {head!r}, as no such file does")
    value = _read_pickle(content)
    if flax_pickle.is_variables(value):
        file = _finish("flax", flax_pickle.flatten(value), _no_storage, len(content))
        tensors = {key: flax_pickle.to_torch(x) for key, x in file.tensors.items()}
        return dataclasses.replace(file, tensors=tensors)
    return _finish("pickle", value, _no_storage, len(content))


def _read_safetensors(path):
    try:
        with safetensors.safe_open(path, "numpy") as file:
            tensors = {key: file.get_tensor(key) for key in sorted(file.keys())}
            return PytorchFile("safetensors", tensors, dict(file.metadata() or {}))
    except safetensors.SafetensorError as error:
        raise RefusedError(
            f"it begins as a safetensors file but is cut short or damaged ({error})"
        ) from None


# ------------------------------------------------------------------- zip layout
def _read_zip(file, content):
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _checked_entries(archive, len(content))
            pickle, folder = _find_pickle(entries)
            value = _read_pickle(io.BytesIO(archive.read(pickle)), _storage_reference)
            order = entries.get(f"{folder}byteorder")
            swapped = order is not None and archive.read(order) == b"big"
    except RefusedError:
        raise
    except Exception as error:
        # Damaged archives raise nearly anything.
        raise RefusedError(
            f"it begins like a zip archive of {len(content):,} bytes but is cut "
            f"short or damaged ({error!s:.100})"
        ) from None

    def load(storage):
        name = f"{folder}data/{storage.key}"
        if name not in entries:
            raise RefusedError(f"its storage {name} is missing")
        raw = _zip_entry(content, entries[name])
        if swapped:
            raw = _swap_bytes(raw, storage.dtype.itemsize)
        return raw

    return value, load, len(content)


def _checked_entries(archive, size):
    entries = {info.filename: info for info in archive.infolist()}
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > _LARGEST_RATIO * size:
        raise RefusedError(
            f"it would unpack to {unpacked:,} bytes, over {_LARGEST_RATIO} times its "
            "size, as no checkpoint does"
        )
    for info in entries.values():
        packed = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if packed or info.flag_bits & 1:
            raise RefusedError(f"its entry {info.filename} is encrypted or packed")
    return entries


def _find_pickle(entries):
    found = [name for name in entries if name.split("/")[-1] == "data.pkl"]
    if len(found) != 1:
        raise RefusedError("it is a zip archive but none of torch.save (no data.pkl)")
    folder = found[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise RefusedError(
            "it is a TorchScript program; save the state_dict() of the model instead"
        )
    return found[0], folder


def _zip_entry(content, info):
    """Bytes of an entry; a view if it is stored uncompressed."""
    header = content[info.header_offset : info.header_offset + 30]
    if len(header) < 30 or not header.startswith(_ZIP_MAGIC):
        raise RefusedError(f"its entry {info.filename} is not where it should be")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = info.header_offset + 30 + name_length + extra_length
    end = start + info.compress_size
    if end > len(content):
        raise RefusedError(f"its entry {info.filename} is cut short")
    data = np.frombuffer(content, np.uint8, end - start, start)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        data = _inflate(data, info)
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise RefusedError(f"its entry {info.filename} is damaged (checksum)")
    return data


def _inflate(data, info):
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return np.frombuffer(inflater.decompress(data, info.file_size + 1), np.uint8)
    except zlib.error as error:
        raise RefusedError(f"its entry {info.filename} is damaged ({error})") from None


def _swap_bytes(raw, size):
    usable = raw[: len(raw) // size * size]
    return usable.view(f"u{size}").byteswap().view(np.uint8)


# ---------------------------------------------------------------- legacy layout
def _read_legacy(content):
    magic = read_pickle(content, {})
    version = read_pickle(content, {})
    if magic != LEGACY_MAGIC or version != LEGACY_VERSION:
        raise RefusedError(
            f"its version is {describe(version)}, expected {LEGACY_VERSION}"
        )
    read_pickle(content, {})  # about the machine that wrote it
    sizes: dict[str, int] = {}

    def reference(identifier):
        storage = _storage_reference(identifier)
        size = storage.dtype.itemsize
        if sizes.setdefault(storage.key, size) != size:
            raise RefusedError(f"its storage {storage.key[:40]} has two types")
        return storage

    value = _read_pickle(content, reference)
    keys = read_pickle(content, {})
    places = _legacy_places(content, keys, sizes)

    def load(storage):
        if storage.key not in places:
            raise RefusedError(f"its storage {storage.key[:40]} is missing")
        start, count = places[storage.key]
        return np.frombuffer(content, np.uint8, count, start)

    return value, load, len(content)


def _legacy_places(content, keys, sizes):
    """(start, bytes) of every storage. All machines write little-endian here."""
    if not isinstance(keys, list):
        raise RefusedError("it does not list its storages")
    places = {}
    position = content.tell()
    for key in keys:
        if not isinstance(key, str) or key not in sizes:
            raise RefusedError("it lists storages that it does not use")
        header = content[position : position + 8]
        if len(header) < 8:
            raise RefusedError(f"it is cut short after {len(content):,} bytes")
        position += 8
        count = int.from_bytes(header, "little", signed=True) * sizes[key]
        if count < 0 or position + count > len(content):
            raise RefusedError(
                f"it is cut short: {len(content):,} bytes, at least "
                f"{position + count:,} expected"
            )
        places[key] = position, count
        position += count
    return places


# ------------------------------------------------------------- names in pickles
def _storage_reference(identifier):
    match identifier:
        case ("storage", Name(text), str(key), _, int(size), *view):
            start = 0
            if view and view[0] is not None:
                # Before torch 0.4, storages could be parts of others.
                _, start, size = view[0]
            return _Storage(key, STORAGE_DTYPES[text], int(size), int(start))
        case ("module", *_):
            raise RefusedError(
                "it holds a whole model with its code; save its state_dict() instead"
            )
    raise RefusedError("it refers to something other than a storage")


def _tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, _Storage):
        raise RefusedError("the pickle in it is damaged (a tensor without storage)")
    return _Tensor(storage, offset, shape, strides)


def _first(tensor, *_):
    return tensor


def _from_type(function, cls, arguments, state):
    del cls, state
    return call(function, arguments)


def _skipped(name):
    return lambda *arguments: Skipped(name)


_BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.nn.parameter.Parameter": _first,
    "torch.Tensor": _skipped("torch.Tensor"),
    "torch.device": _skipped("torch.device"),
    **numpy_arrays.BUILDERS,
}
_BUILDERS |= {name: _skipped(name) for name in STORAGE_DTYPES}
_BUILDERS |= {
    f"torch.{name}": _skipped(name)
    for name in ("float16", "bfloat16", "float32", "float64", "int64", "uint8", "bool")
}


def _read_pickle(file, persistent=None):
    return read_pickle(file, _BUILDERS, persistent, _SKIPPED)


# ---------------------------------------------------------------------- results
def _no_storage(storage):
    raise RefusedError("it has no storages")


def _finish(layout, value, load_storage, file_size) -> PytorchFile:
    if not isinstance(value, dict):
        raise RefusedError(f"it holds a {type(value).__name__}, not a state dict")
    state, metadata = _split(value)
    resolver = _Resolver(load_storage, file_size)
    tensors = {}
    for key, entry in state.items():
        array = resolver.array(entry)
        if isinstance(key, str) and array is not None:
            tensors[key] = array
        else:
            metadata[key if isinstance(key, str) else describe(key)] = entry
    if not tensors:
        raise RefusedError("no tensors were found in it")
    return PytorchFile(layout, tensors, metadata)


def _split(value):
    """The state dict, and what stands beside it."""
    for key in STATE_KEYS:
        if isinstance(value.get(key), dict):
            return value[key], {k: v for k, v in value.items() if k != key}
    return value, {}


class _Resolver:
    """From descriptions of tensors to arrays."""

    def __init__(self, load_storage, budget):
        self._load_storage = load_storage
        self._storages = {}
        self._arrays = {}
        # Arrays within a pickle are copied. Unless some are copied again and
        # again, they are no larger than the file.
        self._budget = budget

    def array(self, entry: Any) -> np.ndarray | None:
        """None if the entry is neither a tensor nor an array nor a number."""
        if isinstance(entry, bool | int | float):
            return _number(entry)
        if id(entry) not in self._arrays:
            # The entry is kept with its array: its id must not be used again.
            self._arrays[id(entry)] = entry, self._new_array(entry)
        return self._arrays[id(entry)][1]

    def _new_array(self, entry):
        if isinstance(entry, _Tensor):
            return self._view(entry)
        if isinstance(entry, Built):
            return self._numpy_array(entry)
        return None

    def _view(self, tensor):
        storage = tensor.storage
        if storage.key not in self._storages:
            self._storages[storage.key] = self._load_storage(storage)
        raw = self._storages[storage.key]
        itemsize = storage.dtype.itemsize
        start, end = storage.start * itemsize, (storage.start + storage.size) * itemsize
        if not 0 <= start <= end <= len(raw):
            raise RefusedError(
                f"its storage {storage.key[:40]} has {len(raw):,} bytes, expected "
                f"{end:,}"
            )
        values = raw[start:end].view(storage.dtype)
        return torch_tensors.strided(
            values, tensor.offset, tensor.shape, tensor.strides
        )

    def _numpy_array(self, entry):
        if entry.name == "numpy.dtype":
            return None
        array = numpy_arrays.to_array(entry)
        self._budget -= array.nbytes
        if self._budget < 0:
            raise RefusedError("its arrays would take more memory than it has bytes")
        return array


def _number(value):
    try:
        return np.asarray(value, type(value))
    except OverflowError:
        return None
