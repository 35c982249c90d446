"""Tensors of PyTorch, built from their bytes, without torch.

In a plain pickle, as `pickle.dump` writes it, the numbers of a tensor are a file of
`torch.save` in its legacy layout, as bytes: five pickles, the number of elements, and
the elements. Files of `torch.save` itself are the matter of `checkpoints.pytorch`.
"""

import io
from typing import Any

import ml_dtypes
import numpy as np

from ava_jax.unpickling import numpy_arrays
from ava_jax.unpickling.interpreter import (
    Built,
    Name,
    RefusedError,
    Skipped,
    describe,
    read_pickle,
)

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001

# More elements than any tensor has; broadcast views could claim them.
_LARGEST_TENSOR = 2**36
_DTYPES = {
    "Float": np.dtype("f4"),
    "Double": np.dtype("f8"),
    "Half": np.dtype("f2"),
    "BFloat16": np.dtype(ml_dtypes.bfloat16),
    "Long": np.dtype("i8"),
    "Int": np.dtype("i4"),
    "Short": np.dtype("i2"),
    "Char": np.dtype("i1"),
    "Byte": np.dtype("u1"),
    "Bool": np.dtype("?"),
}
# By the name of the storage's class in pickles.
STORAGE_DTYPES = {
    f"torch.{prefix}{name}Storage": dtype
    for prefix in ("", "cuda.")
    for name, dtype in _DTYPES.items()
}
_STORAGES = {name: lambda *arguments: Skipped("storage") for name in STORAGE_DTYPES}


def _built(name):
    return lambda *arguments: Built(name, arguments)


# What a pickle of tensors and of NumPy arrays needs.
BUILDERS = {
    "torch._utils._rebuild_tensor_v2": _built("torch.Tensor"),
    "torch.storage._load_from_bytes": _built("torch.Storage"),
    **numpy_arrays.BUILDERS,
}


class TensorReader:
    """Makes arrays of the tensors and arrays that `BUILDERS` have described.

    Args:
      limit: bytes of the file, which bounds what is read for its tensors.
    """

    def __init__(self, limit: int):
        self._left = limit
        # What the last storage began with: magic number, version and machine. It is
        # the same for all storages of a file.
        self._head = b""
        # By the identity of its description, which is kept for that.
        self._storages: dict[int, tuple[Built, np.ndarray]] = {}

    def to_array(self, value: Any) -> np.ndarray:
        """The tensor, array or number; read-only.

        Raises:
          RefusedError: it is none, or does not fit its storage.
        """
        if not isinstance(value, Built) or value.name != "torch.Tensor":
            return numpy_arrays.to_array(value)
        match value.arguments:
            case (Built("torch.Storage") as storage, offset, shape, strides, *_):
                values = self._storage(storage)
                array = strided(values, offset, shape, strides)
                if array.size > len(values):
                    raise RefusedError("one of its tensors repeats its numbers")
                return array
        raise RefusedError("one of its tensors is damaged")

    def _storage(self, storage: Built) -> np.ndarray:
        if id(storage) not in self._storages:
            match storage.arguments:
                case (bytes(content),):
                    array = self._read_storage(content)
                case _:
                    raise RefusedError("one of its tensors has no bytes")
            self._storages[id(storage)] = storage, array
        return self._storages[id(storage)][1]

    def _read_storage(self, content: bytes) -> np.ndarray:
        file = io.BytesIO(content)
        if self._head and content.startswith(self._head):
            file.seek(len(self._head))
        else:
            magic, version = read_pickle(file, {}), read_pickle(file, {})
            if magic != LEGACY_MAGIC or version != LEGACY_VERSION:
                raise RefusedError("one of its tensors is in an unknown layout")
            read_pickle(file, {})  # about the machine that wrote it
            self._head = content[: file.tell()]
        identifier = read_pickle(file, _STORAGES, lambda identifier: identifier)
        read_pickle(file, {})  # the key of the storage
        count = int.from_bytes(file.read(8), "little")
        start = file.tell()
        # The same bytes may stand for any number of storages.
        self._left -= start
        if self._left < 0:
            raise RefusedError("its tensors take longer to read than its bytes")
        dtype = _storage_dtype(identifier, count)
        if len(content) - start != count * dtype.itemsize:
            raise RefusedError(
                f"one of its tensors has {len(content) - start:,} bytes for {count:,} "
                "numbers"
            )
        return np.frombuffer(content, dtype, count, start)


def _storage_dtype(identifier: Any, count: int) -> np.dtype:
    match identifier:
        case ("storage", Name(text), _, _, int(size), None) if text in STORAGE_DTYPES:
            if size == count:
                return STORAGE_DTYPES[text]
    raise RefusedError("one of its tensors has no numbers")


def strided(
    values: np.ndarray,
    offset: Any,
    shape: Any,
    strides: Any,
) -> np.ndarray:
    """The view of a storage that a tensor describes; read-only.

    Args:
      values: (N,), the storage.
      offset: of the first element.
      shape: sizes.
      strides: in elements.

    Raises:
      RefusedError: it is not inside its storage, or no view at all.
    """
    count = numpy_arrays.element_count(shape)
    valid = (
        count is not None
        and count <= _LARGEST_TENSOR
        and numpy_arrays.are_sizes(strides)
        and numpy_arrays.are_sizes((offset,))
        and len(shape) == len(strides)
    )
    if valid:
        # Distance of the last element from the first of the storage.
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
        valid = last < len(values) if count else offset <= len(values)
    if not valid:
        raise RefusedError(
            f"a tensor of shape {numpy_arrays.describe_sizes(shape)}, strides "
            f"{numpy_arrays.describe_sizes(strides)}, offset {describe(offset)} does "
            f"not fit its storage of {len(values):,} elements"
        )
    return np.lib.stride_tricks.as_strided(
        values[offset:],
        shape,
        [step * values.itemsize for step in strides],
        writeable=False,
    )
