"""The device mesh and the shardings of arrays.

Training is data parallel: the state is replicated, and a batch is split over the only
axis of the mesh. Every host runs the same program and reads its own rows of the batch.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ava_jax.errors import UserError

AXIS = "data"


def make_mesh(devices: int = 0) -> Mesh:
    """Makes a mesh of all devices of all hosts with one axis.

    Args:
      devices: expected number (`config.devices`); 0 accepts any.

    Raises:
      UserError: there are more or fewer.
    """
    found = jax.device_count()
    if devices not in (0, found):
        raise UserError(
            f"config.devices is {devices}, but JAX sees {found} ({_device_list()}). "
            "Is one missing, or the JAX for this hardware not installed "
            '(pip install "ava_jax[cuda]" or "ava_jax[tpu]")? For these: '
            f"--config.devices={found}"
        )
    # In the order of the processes, like the rows of a batch. `jax.make_mesh` follows
    # the links of a TPU pod instead, which mixes the devices of different hosts.
    ordered = sorted(jax.devices(), key=lambda x: (x.process_index, x.id))
    return Mesh(np.array(ordered), (AXIS,), axis_types=(AxisType.Auto,))


def _device_list() -> str:
    kinds = [(x.process_index, x.device_kind) for x in jax.devices()]
    return ", ".join(
        f"process {process}: {kinds.count((process, kind))} x {kind}"
        for process, kind in sorted(set(kinds))
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """The same value on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """Rows of a batch, split evenly over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def rows_of_this_host(batch: int, field: str) -> range:
    """The rows of a global batch that this host reads.

    Args:
      batch: number of clips in the global batch.
      field: the configuration field that holds `batch`, for the message.

    Raises:
      UserError: the devices cannot share the batch evenly.
    """
    devices = jax.device_count()
    if batch < 1 or batch % devices:
        nearest = max(devices, round(batch / devices) * devices)
        raise UserError(
            f"{field} is {batch}, which {devices} devices cannot share evenly. "
            f"Give a multiple of {devices}: --{field}={nearest}"
        )
    rows = batch // jax.process_count()
    return range(jax.process_index() * rows, (jax.process_index() + 1) * rows)


def to_devices(rows: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Makes the global batch from the rows of each host."""
    sharding = split(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, value)
        for name, value in rows.items()
    }


def place(value: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """Makes a global array from a value that every process has completely."""
    value = np.asarray(value)
    # `jax.device_put` would also compare the values of all processes.
    return jax.make_array_from_callback(value.shape, sharding, lambda i: value[i])


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts values that are the same in every process on every device."""
    return jax.tree.map(lambda x: place(x, replicated(mesh)), tree)


def to_host(tree: Any) -> Any:
    """NumPy copies of replicated arrays."""
    return jax.tree.map(np.asarray, jax.device_get(tree))
