"""Checkpoint files and state dicts of every family."""

import gzip
import json
import pathlib
import struct

import jax
import numpy as np
import reference_data

from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.models import detector

ROOT = pathlib.Path(__file__).parents[1] / "data/checkpoints"
PYSLOWFAST = {
    "SLOW_8x8_R50": "SLOW_8x8_R50",
    "SLOW_8x8_R50_SHORT": "SLOW_8x8_R50",
    "SLOWFAST_32x2_R50": "SLOWFAST_32x2_R50",
    "SLOWFAST_32x2_R50_SHORT": "SLOWFAST_32x2_R50",
    "SLOWFAST_32x2_R101_50_50": "SLOWFAST_32x2_R101_50_50",
    "SLOWFAST_64x2_R101_50_50": "SLOWFAST_32x2_R101_50_50",
}


def names():
    """The contents of `names.json.gz`."""
    return json.loads(gzip.decompress((ROOT / "names.json.gz").read_bytes()))


def pyslowfast_state(name):
    """PySlowFast's state dict of one configuration."""
    spec = names()["specs"][PYSLOWFAST[name]]
    return {key: reference_data.pyslowfast_weight(key, tuple(s)) for key, s in spec}


def mmaction2_state(name):
    return reference_data.mmaction2_state_dict(name)


def pretrain_state(name):
    """MMAction2's Kinetics recogniser."""
    spec = names()["pretrain"][name]
    return {key: reference_data.mmaction2_weight(key, tuple(s)) for key, s in spec}


def state_of(config):
    """Made-up weights of the detector that a `config.model` describes.

    Initialising one would compile for longer than the tests take.
    """
    zeros = jax.tree.map(
        lambda x: np.zeros(x.shape, x.dtype), detector.variable_shapes(config)
    )
    state = to_state_dict(zeros)
    return {
        key: reference_data.mmaction2_weight(key, v.shape) for key, v in state.items()
    }


def write_legacy(path, tensors):
    """What torch before 1.6 wrote for `{'state_dict': tensors}`."""
    kinds = {"float32": "FloatStorage", "int64": "LongStorage"}
    state = b""
    for i, (key, array) in enumerate(tensors.items()):
        strides = [s // array.itemsize for s in array.copy(order="C").strides]
        storage = b"(%s%sctorch\n%s\n%s%s%sNtQ" % (
            text("storage"),
            b"",
            kinds[array.dtype.name].encode(),
            text(str(i)),
            text("cpu"),
            number(array.size),
        )
        state += b"%sctorch._utils\n_rebuild_tensor_v2\n(%s%s%s%s\x89)tR" % (
            text(key),
            storage,
            number(0),
            b"(" + b"".join(map(number, array.shape)) + b"t",
            b"(" + b"".join(map(number, strides)) + b"t",
        )
    magic = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little") + b"."
    keys = b"".join(text(str(i)) for i in range(len(tensors)))
    with open(path, "wb") as file:
        file.write(magic + b"\x80\x02" + number(1001) + b"." + b"\x80\x02}.")
        file.write(b"\x80\x02}(" + text("state_dict") + b"}(" + state + b"uu.")
        file.write(b"\x80\x02](" + keys + b"e.")
        for array in tensors.values():
            file.write(struct.pack("<q", array.size) + array.tobytes())


def python2_pickle(blobs):
    """What Python 2 wrote for `{'blobs': blobs}`, as Caffe2 models are published."""
    items = []
    for key, value in blobs.items():
        items.append(b"U" + bytes([len(key)]) + key.encode())
        is_array = isinstance(value, np.ndarray)
        items.append(python2_array(value) if is_array else number(value))
    return b"".join([b"\x80\x02}(U\x05blobs}(", *items, b"uu."])


def python2_array(array):
    data = array.tobytes()
    dtype = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ%sJ%sK\x00tb" % (
        (struct.pack("<i", -1),) * 2
    )
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        + b"(K\x01("
        + b"".join(map(number, array.shape))
        + b"t"
        + dtype
        + b"\x89T"
        + struct.pack("<i", len(data))
        + data
        + b"tb"
    )


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)
