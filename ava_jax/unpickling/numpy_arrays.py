"""NumPy arrays of pickles, built from their bytes; NumPy's own hooks never run."""

from typing import Any

import numpy as np

from ava_jax.unpickling.interpreter import Built, RefusedError, Skipped, describe

_LARGEST_SIZE = 2**48
_MOST_AXES = 16


def _built(name):
    return lambda *arguments: Built(name, arguments)


# What a pickle of NumPy arrays needs, under the names of NumPy 1 and 2.
BUILDERS = {
    "numpy.dtype": _built("numpy.dtype"),
    "numpy.ndarray": lambda *arguments: Skipped("numpy.ndarray"),
} | {
    f"numpy.{core}.{name}": _built(kind)
    for core in ("core", "_core")
    for name, kind in (
        ("multiarray._reconstruct", "numpy.ndarray"),
        ("multiarray.scalar", "numpy.generic"),
        ("numeric._frombuffer", "buffer"),
    )
}
# By byte order and name, as pickles have them.
_DTYPES = {
    (order, f"{kind}{size}"): np.dtype(f"{kind}{size}").newbyteorder(order)
    for order in "<>=|"
    for kind, sizes in (("b", "1"), ("f", "248"), ("i", "1248"), ("u", "1248"))
    for size in sizes
}


def to_array(value: Any) -> np.ndarray:
    """The array or the number that `BUILDERS` have described; read-only.

    Raises:
      RefusedError: it is no array, or not of numbers (int8 to int64, uint8 to uint64,
        float16 to float64, bool), or has not the bytes that its shape needs.
    """
    if not isinstance(value, Built):
        raise RefusedError(f"{describe(value)} is not an array of numbers")
    name, arguments, state = value.name, value.arguments, value.state
    if name == "numpy.ndarray" and isinstance(state, tuple) and len(state) == 5:
        _, shape, dtype, fortran, data = state
    elif name == "numpy.generic" and len(arguments) == 2:
        (dtype, data), shape, fortran = arguments, (), False
    elif name == "buffer" and len(arguments) == 4:
        data, dtype, shape, order = arguments
        fortran = order == "F"
    else:
        raise RefusedError(f"{describe(value)} is not an array of numbers")
    data, dtype = _to_bytes(data), _to_dtype(dtype)
    count = element_count(shape)
    if count is None or count * dtype.itemsize != len(data):
        raise RefusedError(
            f"one of its arrays has {len(data):,} bytes for shape "
            f"{describe_sizes(shape)} of {dtype}"
        )
    array = np.frombuffer(data, dtype)
    return array.reshape(shape, order="F") if fortran else array.reshape(shape)


def to_text(value: Any) -> str | None:
    """The text that `BUILDERS` have described (`np.str_`); None: it is none."""
    match value:
        case Built("numpy.generic", (Built("numpy.dtype", (str(text), *_)), data)):
            if text.startswith("U"):
                return _to_bytes(data).decode("utf-32-le").rstrip("\0")
    return None


def element_count(shape: Any) -> int | None:
    """The product of the sizes; None if this is no shape that NumPy can have."""
    if not are_sizes(shape):
        return None
    count = full = 1
    for size in shape:
        count *= size
        full *= size or 1
    # NumPy also refuses empty arrays whose other sizes overflow.
    return count if full < _LARGEST_SIZE else None


def are_sizes(numbers: Any) -> bool:
    """Whether this is a tuple of at most 16 integers from 0 up to 2^48."""
    if type(numbers) is not tuple or len(numbers) > _MOST_AXES:
        return False
    for number in numbers:
        if type(number) is not int or not 0 <= number < _LARGEST_SIZE:  # noqa: SIM110
            return False
    return True


def describe_sizes(numbers: Any) -> str:
    """A shape as a short text for a message, whatever it is."""
    if not isinstance(numbers, tuple) or len(numbers) > _MOST_AXES:
        return describe(numbers)
    comma = "," * (len(numbers) == 1)
    return f"({', '.join(map(describe, numbers))}{comma})"


def _to_bytes(value):
    if isinstance(value, str):
        # Python 2 wrote bytes as text.
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise RefusedError("one of its arrays holds text") from None
    if not isinstance(value, (bytes, bytearray)):
        raise RefusedError("one of its arrays has no data")
    return value


def _to_dtype(value):
    try:
        text, state = value.arguments[0], value.state
        order = "=" if state is None else state[1]
    except (AttributeError, IndexError, TypeError):
        raise RefusedError("one of its arrays has no type") from None
    # Other keys may take forever to hash.
    if type(text) is str and type(order) is str and (order, text) in _DTYPES:
        return _DTYPES[order, text]
    names = [name[:20] for name in (order, text) if isinstance(name, str)]
    raise RefusedError(f"one of its arrays is of type {''.join(names)}, not of numbers")
