"""What setup.cfg cannot say: the recipes of configs/ are installed as data."""

import setuptools

packages = setuptools.find_packages(include=["ava_jax*"])
setuptools.setup(
    packages=[*packages, "ava_jax.configs"],
    package_dir={"ava_jax.configs": "configs"},
)
