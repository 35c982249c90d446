"""Imports run down the layers of docs/architecture.md, and nowhere in a circle."""

import ast
import graphlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "ava_jax"

# From the top to the bottom; what stands in one row does not import its neighbours.
LAYERS = (
    ("__main__",),
    ("commands",),
    ("main",),
    ("serving", "batch"),
    ("train", "visualization"),
    ("evaluate", "write_features", "predict", "export"),
    ("checkpoints", "checks"),
    ("training", "inference", "prepare"),
    ("data", "people", "scoring", "intervals"),
    ("annotations", "report", "workdir", "command_line"),
    ("runtime",),
    ("models", "video", "metrics", "config", "unpickling", "published"),
    ("lock",),
    ("files",),
    ("errors",),
)
LEVEL = {name: -row for row, names in enumerate(LAYERS) for name in names}

# Prediction, scoring and conversion do without it.
TENSORFLOW = ("tensorflow", "tensorflow_datasets", "clu")
MAY_IMPORT_TENSORFLOW = ("data/", "prepare/ava_builder.py", "export.py", "train.py")

# `jax._src` or `from jaxlib import _jax`, but not `jax.__version__`.
PRIVATE = re.compile(
    r"\b(jax|jaxlib|flax|optax|orbax|clu)(\.\w+)*(\.| import )_[a-z]\w*"
)


def module_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imported(path: pathlib.Path) -> set[str]:
    """Every module that a file imports, at the top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


def unit(module: str) -> str:
    """The folder below `ava_jax`, or the module, that a module belongs to."""
    return module.split(".")[1]


def test_every_folder_has_a_layer():
    units = {unit(module) for module in MODULES if module != "ava_jax"}
    assert units == set(LEVEL)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"ava_jax"}))
def test_imports_run_down(module):
    own = [name for name in imported(MODULES[module]) if name in MODULES]
    others = {unit(name) for name in own if name != "ava_jax"} - {unit(module)}
    upward = {name for name in others if LEVEL[name] >= LEVEL[unit(module)]}
    assert not upward


def test_no_circles():
    graph = {
        module: {name for name in imported(path) if name in MODULES}
        for module, path in MODULES.items()
    }
    # A package that re-exports its modules is no circle when one of these asks for
    # another by its full name.
    graphlib.TopologicalSorter(graph).prepare()


def test_tensorflow_stays_where_it_is_needed():
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES.values()
        if any(name.split(".")[0] in TENSORFLOW for name in imported(path))
    }
    assert users
    assert all(user.startswith(MAY_IMPORT_TENSORFLOW) for user in users), users


def test_private_names_are_used_in_one_place():
    found = [
        (path.relative_to(PACKAGE).as_posix(), match.group())
        for path in MODULES.values()
        for match in PRIVATE.finditer(path.read_text())
    ]
    # `distributed_state` says why.
    assert found == [("runtime/multihost.py", "jax._src")]
