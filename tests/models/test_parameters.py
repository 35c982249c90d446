"""Keys, shapes and number of MMAction2's parameters, all 14 detectors."""

import flax.traverse_util
import numpy as np
import pytest
import reference_data

from ava_jax.checkpoints.pytorch import key_names
from ava_jax.models.detector import variable_shapes


@pytest.mark.parametrize("name", reference_data.CONFIGS)
def test_keys_shapes_and_number_of_parameters(name):
    shapes = flax.traverse_util.flatten_dict(
        variable_shapes(reference_data.config(name).model)
    )
    spec = reference_data.spec(reference_data.SAME_SHAPES.get(name, name))
    expected = {
        key: tuple(shape)
        for key, shape, _ in spec
        if not key.endswith("num_batches_tracked")
    }
    found = {
        key_names.to_key(path): key_names.to_torch_layout(np.empty(leaf.shape)).shape
        for path, leaf in shapes.items()
    }
    assert found == expected
    parameters = sum(leaf.size for path, leaf in shapes.items() if path[0] == "params")
    assert parameters == reference_data.summary()[name]["parameters"]
