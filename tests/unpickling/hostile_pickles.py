"""Pickles that are short to write and costly, or fatal, to read carelessly."""

import io
import zipfile

_DEPTH = 200_000
_MAGIC = b"\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little")

# Name -> opcodes that push one value.
VALUES = {
    "deep list": b"]" * _DEPTH + b"a" * (_DEPTH - 1),
    "deep tuple": b")" + b"\x85" * _DEPTH,
    # Each tuple holds the last one twice: 2^60 leaves.
    "doubled tuples": b")" + b"2\x86" * 60,
    "doubled lists": b"]" + b"2\x86" * 60,
    "list in itself": b"]q\x00h\x00a",
    "long integer": b"\x8b" + (10**6).to_bytes(4, "little") + b"\x7f" * 10**6,
    "minus one": b"\x8a\x01\xff",
    "infinity": b"F1e999\n",
    "lone surrogate": b"X\x03\x00\x00\x00\xed\xa0\x80",
    "array of objects": (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R"
        b"(K\x03U\x01|NNN\x8a\x01\xff\x8a\x01\xff\x8a\x01\x01tb\x89U\x08AAAAAAAAtb"
    ),
    "scalar with objects": (
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02V8K\x00K\x01\x87R"
        b"(K\x03U\x01|NU\x01a\x85}U\x01acnumpy\ndtype\nU\x02O8K\x00K\x01\x87RK\x00\x86s"
        b"\x8a\x01\x08\x8a\x01\x08\x8a\x01\x00tbU\x08AAAAAAAA\x86R"
    ),
    "type in its own fields": (
        b"cnumpy\ndtype\nU\x02V8K\x00K\x01\x87Rq\x05(K\x03U\x01|N(U\x01at}U\x01ah\x05K"
        b"\x00\x86sK\x08K\x01K\x00tb"
    ),
    "method replaced": b"ccollections\nOrderedDict\n)R}U\x05itemsK\x01sb",
    "call": b"cos\nsystem\n(U\x04truetR",
    "call of a container": b"cbuiltins\nlist\n(cbuiltins\nlist\ntR",
    "text of a million": b"X" + (10**6).to_bytes(4, "little") + b"a" * 10**6,
}


def proposals(value: bytes) -> dict[str, bytes]:
    """Name -> pickle of proposals, with the value in one place."""
    key = b"X\x06\x00\x00\x00v,0902"
    places = {
        "the whole": value,
        "key": b"}" + value + b"]s",
        "value": b"}" + key + value + b"s",
        "row": b"}" + key + b"]" + value + b"as",
        "number": b"}" + key + b"](" + value + b"K\x01K\x02K\x03teas",
        "state of a dict": b"}" + value + b"b",
        "name of an attribute": b"}}" + value + b"K\x01sb",
        "items": b"ccollections\nOrderedDict\n(" + value + b"tR",
        "module": value + b"U\x01a\x93",
        "member of a set": b"\x8f(" + value + b"\x90",
        "shape": b"}" + key + _array(shape=value) + b"s",
        "data": b"}" + key + _array(data=value) + b"s",
        "dtype": b"}" + key + _array(dtype=value) + b"s",
        "name of a dtype": b"}" + key + _array(dtype_name=value) + b"s",
        "byte order": b"}" + key + _array(order=value) + b"s",
    }
    return {name: b"\x80\x04" + place + b"." for name, place in places.items()}


def _array(
    shape=b"K\x01K\x04\x86",
    data=b"B\x10\x00\x00\x00" + bytes(16),
    dtype=None,
    dtype_name=b"U\x02f4",
    order=b"U\x01<",
):
    if dtype is None:
        dtype = b"cnumpy\ndtype\n(" + dtype_name + b"K\x00K\x01tR"
        dtype += b"(K\x03" + order + b"NNNK\x00K\x00K\x00tb"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"
    )


def checkpoints(value: bytes) -> dict[str, bytes]:
    """Name -> checkpoint of any layout, with the value in one place."""
    key = b"U\x01w"
    in_zip = {
        "the whole": value,
        "key": b"}" + value + _tensor() + b"s",
        "value": b"}" + key + value + b"s",
        "metadata": b"}" + key + _tensor() + b"sU\x04meta" + value + b"s",
        "shape": b"}" + key + _tensor(shape=value) + b"s",
        "size": b"}" + key + _tensor(shape=value + b"\x85") + b"s",
        "strides": b"}" + key + _tensor(strides=value) + b"s",
        "offset": b"}" + key + _tensor(offset=value) + b"s",
        "storage": b"}" + key + _tensor(storage=value) + b"s",
        "identifier": b"}" + key + _tensor(identifier=value) + b"s",
        "storage size": b"}" + key + _tensor(count=value) + b"s",
    }
    good = GOOD_CHECKPOINT[2:-1]
    legacy = {
        "magic": (value, b"M\xe9\x03", b"}", good, b"]U\x010a"),
        "version": (_MAGIC, value, b"}", good, b"]U\x010a"),
        "system": (_MAGIC, b"M\xe9\x03", value, good, b"]U\x010a"),
        "keys": (_MAGIC, b"M\xe9\x03", b"}", good, value),
        "stored key": (_MAGIC, b"M\xe9\x03", b"}", good, b"]" + value + b"a"),
    }
    flax = {
        "variables": value,
        "module": b"}U\x01k" + value + b"s",
        "name": b"}" + value + _array() + b"s",
        "shape": b"}U\x01k" + _array(shape=value) + b"s",
        "data": b"}U\x01k" + _array(data=value) + b"s",
    }
    return (
        {
            f"zip, {name}": zipped(b"\x80\x02" + place + b".")
            for name, place in in_zip.items()
        }
        | {
            f"legacy, {name}": b"".join(b"\x80\x02" + part + b"." for part in parts)
            + bytes(40)
            for name, parts in legacy.items()
        }
        | {
            f"flax, {name}": b"\x80\x04}U\x06params" + place + b"s."
            for name, place in flax.items()
        }
    )


def _tensor(
    shape=b"K\x04\x85",
    strides=b"K\x01\x85",
    offset=b"K\x00",
    storage=None,
    identifier=b"U\x010",
    count=b"K\x04",
):
    if storage is None:
        storage = b"(U\x07storagectorch\nFloatStorage\n" + identifier
        storage += b"U\x03cpu" + count + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides
    ) + b"\x89ccollections\nOrderedDict\n)RtR"


def results(value: bytes) -> dict[str, bytes]:
    """Name -> pickle of detections, with the value in one place."""
    places = {
        "the whole": value,
        "entry": b"]" + value + b"a",
        "key": b"](" + _sample(key=value) + b"e",
        "found": b"]}U\x0epred_instances" + value + b"sa",
        "boxes": b"]" + _sample(boxes=value) + b"a",
        "scores": b"]" + _sample(scores=value) + b"a",
        "predictions": value + _stored_tensor() * 2 + b"\x87",
        "metadata": _stored_tensor() * 2 + value + b"\x87",
        "row": _stored_tensor() * 2 + b"](" + value + b"e\x87",
        "dictionary": b"}}" + value + b"\x87",
        "name": b"}" * 2 + b"}" + value + b"]s\x87",
        "factory": b"ccollections\ndefaultdict\n(" + value + b"tR",
    }
    for part in ("shape", "strides", "offset", "storage"):
        scores = _stored_tensor(**{part: value})
        places[part] = b"]" + _sample(scores=scores) + b"a"
    for number, name in enumerate(("magic", "version", "system", "place", "keys")):
        scores = _stored_tensor(parts={number: value})
        places[f"stored {name}"] = b"]" + _sample(scores=scores) + b"a"
    return {name: b"\x80\x04" + place + b"." for name, place in places.items()}


def _sample(key=b"U\x05v,902", boxes=None, scores=None):
    boxes = boxes or _stored_tensor(shape=b"K\x01K\x04\x86", strides=b"K\x04K\x01\x86")
    scores = scores or _stored_tensor()
    found = b"}(U\x06bboxes" + boxes + b"U\x06scores" + scores + b"u"
    return b"}(U\x07img_key" + key + b"U\x0epred_instances" + found + b"u"


def _stored_tensor(
    shape=b"K\x01K\x04\x86",
    strides=b"K\x04K\x01\x86",
    offset=b"K\x00",
    storage=None,
    parts=None,
):
    """A tensor as `pickle.dump` writes it: with a file of `torch.save` as bytes."""
    place = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04NtQ"
    pickles = [_MAGIC, b"M\xe9\x03", b"}", place, b"]U\x010a"]
    for number, value in (parts or {}).items():
        pickles[number] = value
    content = b"".join(b"\x80\x02" + part + b"." for part in pickles)
    content += (4).to_bytes(8, "little") + bytes(16)
    if storage is None:
        size = len(content).to_bytes(4, "little")
        storage = b"ctorch.storage\n_load_from_bytes\nB" + size + content + b"\x85R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides
    ) + b"\x89ccollections\nOrderedDict\n)RtR"


GOOD_CHECKPOINT = b"\x80\x02}U\x01w" + _tensor() + b"s."


def zipped(pickled: bytes) -> bytes:
    """The archive that torch.save writes, with this pickle and 16 bytes of data."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", bytes(16))
    return file.getvalue()
