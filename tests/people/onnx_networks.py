"""Small ONNX networks that give the outputs of person detectors.

They find one person, where the test says, with a score that is the value of one
pixel of the input: so the score tells how the picture got there.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEIGHT = 96, 64  # of the input
STRIDES = (8, 16, 32)


def anchors():
    """(126, 3): column, row and stride of every cell."""
    return np.array(
        [
            (x, y, stride)
            for stride in STRIDES
            for y in range(HEIGHT // stride)
            for x in range(WIDTH // stride)
        ],
        np.float32,
    )


def save(path, outputs, pixel=None, shape=(1, 3, HEIGHT, WIDTH), **options):
    """Writes a network.

    Args:
      path: of the file.
      outputs: name -> (values, gains): the output is values + gains * pixel.
      pixel: index into the input of the pixel that is looked at; None: the first.
      shape: of the input; text for sizes that are left open.
      options: `kind` of the input's numbers; `sizes`: name of an input for them;
        `batched`: whether outputs have a batch axis; `says`: the file's metadata.
    """
    kind = options.get("kind", TensorProto.FLOAT)
    starts = np.array(pixel or [0] * len(shape), np.int64)
    constants = [
        numpy_helper.from_array(starts, "starts"),
        numpy_helper.from_array(starts + 1, "ends"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    nodes = [
        helper.make_node("Slice", ["images", "starts", "ends"], ["pixel"]),
        helper.make_node("Reshape", ["pixel", "one"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["value"], to=TensorProto.FLOAT),
    ]
    declared = []
    for name, (values, gains) in outputs.items():
        batch = (slice(None),) if not options.get("batched", True) else (None,)
        values = np.asarray(values)[batch]
        constants.append(numpy_helper.from_array(values, f"{name}_values"))
        if gains is None:
            nodes.append(helper.make_node("Identity", [f"{name}_values"], [name]))
        else:
            gains = np.asarray(gains, np.float32)[batch]
            constants.append(numpy_helper.from_array(gains, f"{name}_gains"))
            product = f"{name}_product"
            nodes += [
                helper.make_node("Mul", [f"{name}_gains", "value"], [product]),
                helper.make_node("Add", [f"{name}_values", product], [name]),
            ]
        number = helper.np_dtype_to_tensor_dtype(values.dtype)
        declared.append(helper.make_tensor_value_info(name, number, values.shape))
    inputs = [helper.make_tensor_value_info("images", kind, shape)]
    if options.get("sizes"):
        kind = TensorProto.FLOAT if "factor" in options["sizes"] else TensorProto.INT64
        inputs.append(helper.make_tensor_value_info(options["sizes"], kind, (1, 2)))
    graph = helper.make_graph(nodes, "detector", inputs, declared, constants)
    # Versions that every onnxruntime of the last years reads.
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    helper.set_model_props(model, options.get("says", {}))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return str(path)
