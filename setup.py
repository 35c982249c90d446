"""What setup.cfg cannot say: recipes and scripts are installed in the package."""

import setuptools

# Folders beside the package in a clone, by the name that they have when installed.
FOLDERS = {
    "ava_jax.configs": "configs",
    "ava_jax.scripts": "scripts",
    "ava_jax.scripts.benchmarks": "scripts/benchmarks",
}
setuptools.setup(
    packages=[*setuptools.find_packages(include=["ava_jax*"]), *FOLDERS],
    package_dir=FOLDERS,
)
