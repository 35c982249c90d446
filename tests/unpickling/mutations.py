"""Random changes of pickles: of bytes, and of whole opcodes."""

import contextlib
import pickletools

import numpy as np

# Short runs that build, copy and nest.
_PIECES = [
    *(b"2\x86", b"2\x87", b"q\x01", b"h\x01", b"\x94", b"]a", b"}", b")", b"(", b"t"),
    *(b"R", b"b", b"s", b"u", b"a", b"e", b"0", b"1", b"Q", b"\x93", b"\x81", b"\x85"),
    *(b"\x8f", b"\x90", b"\x91", b"r\xff\xff\xff\xff", b"j\x00\x00\x00\x00", b"N"),
    *(b"K\x00", b"M\xff\xff", b"J\xff\xff\xff\xff", b"\x8a\x01\xff", b"\x88"),
    *(b"\x8d" + b"\xff" * 8, b"\x8e" + b"\x7f" * 8, b"T\xff\xff\xff\x7f"),
    *(b"\x8b\xff\xff\xff\x7f", b"S'\\K'\n", b"I9999999999999999999999\n", b"L-1L\n"),
    *(b"V\\ud800\n", b"F1e999\n", b"p-1\n", b"g1\n", b"X\x03\x00\x00\x00\xed\xa0\x80"),
    *(b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"ccollections\nOrderedDict\n"),
    *(b"cbuiltins\nset\n", b"c_codecs\nencode\n", b"\x80\x05", b"\x95" + bytes(8)),
]


def change(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes at random places."""
    for _ in range(rng.integers(1, 5)):
        content = _CHANGES[rng.integers(len(_CHANGES))](content, rng)
    return content


def _cut(content, rng):
    start = rng.integers(len(content) + 1)
    return content[:start] + content[start + rng.integers(1, 9) :]


def _set(content, rng):
    start = rng.integers(len(content) + 1)
    noise = rng.bytes(rng.integers(1, 5))
    return content[:start] + noise + content[start + len(noise) :]


def _repeat(content, rng):
    start, end = np.sort(rng.integers(len(content) + 1, size=2))
    part = content[start : min(end, start + 200)]
    return content[:start] + part * rng.integers(2, 60) + content[end:]


def _insert(content, rng):
    """Opcodes at the boundary of two others."""
    places = [0]
    with contextlib.suppress(ValueError, IndexError, DeprecationWarning):
        # As far as it is not damaged yet.
        for _, _, place in pickletools.genops(content):
            places.append(place)
    place = places[rng.integers(len(places))]
    piece = _PIECES[rng.integers(len(_PIECES))] * (rng.integers(2, 50) ** 2)
    if rng.random() < 0.7:
        piece = b"".join(_PIECES[i] for i in rng.integers(len(_PIECES), size=3))
    return content[:place] + piece + content[place:]


_CHANGES = (_cut, _set, _repeat, _insert, _insert)
