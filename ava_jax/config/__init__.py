"""Configurations: fields, the values they may have, and the files in configs/."""

from ava_jax.config.fields import default
from ava_jax.config.ranges import check
from ava_jax.config.recipes import (
    CUSTOM_CLASSES,
    DETECTORS,
    I3D_WEIGHTS,
    flat,
    from_variant,
    i3d_weights,
    load,
    nearest,
    use_ava22,
    use_ava_kinetics,
    use_custom_classes,
    use_mmengine,
    use_sample_files,
    use_vtest,
    variants,
)

__all__ = [
    "CUSTOM_CLASSES",
    "DETECTORS",
    "I3D_WEIGHTS",
    "check",
    "default",
    "flat",
    "from_variant",
    "i3d_weights",
    "load",
    "nearest",
    "use_ava22",
    "use_ava_kinetics",
    "use_custom_classes",
    "use_mmengine",
    "use_sample_files",
    "use_vtest",
    "variants",
]
