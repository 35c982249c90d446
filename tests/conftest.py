"""What many tests share."""

import os
import shutil
import signal

import jax
import numpy as np
import pytest
from absl import logging
from browser import browser  # noqa: F401 (a fixture)

from ava_jax.prepare import mini
from configs import mini as mini_config


@pytest.fixture(scope="session", autouse=True)
def compiled_programs(tmp_path_factory):
    """Tests and the commands that they run share what they compile.

    So do all workers, and the user's own programs are left alone.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "xla")
    jax.config.update("jax_compilation_cache_dir", str(folder / "xla"))


@pytest.fixture(scope="session", autouse=True)
def no_network(tmp_path_factory):
    """Tests and the commands that they run download nothing, and have their own cache.

    Those of downloads set these variables for a server of their own.
    """
    os.environ["AVA_JAX_OFFLINE"] = "1"
    os.environ["AVA_JAX_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def interrupts():
    """What tests start can be interrupted.

    A shell without job control ignores SIGINT for what it starts with `&`, and
    processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def log_level():
    """Programs that run in this process may be quieter than the tests of messages."""
    logger = logging.get_absl_logger()
    verbosity, level = logging.get_verbosity(), logger.level
    yield
    logging.set_verbosity(verbosity)
    # That alone would set a level where there was none: `caplog` could not lower it.
    logger.setLevel(level)


@pytest.fixture(scope="module")
def quick_compilation():
    """For small networks, whose programs take longer to compile than to run."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory):
    """A miniature of two training movies and one for validation."""
    root = tmp_path_factory.mktemp("tiny") / "data"
    spec = mini.MiniSpec(
        seed=3, train_movies=2, val_movies=1, seconds=6, height=72, width=96
    )
    mini.generate(root, spec)
    return root


@pytest.fixture(scope="session")
def new_tiny_config(tiny_root):
    """Makes configurations that train on it in seconds."""

    def make():
        config = mini_config.get_config()
        config.data.source = "folder"
        config.data.root = str(tiny_root)
        config.data.clip_len, config.data.frame_interval = 4, 2
        config.data.crop = 64
        config.data.train_short_side = (64, 72)
        config.data.test_short_side = 64
        config.data.max_boxes = 8
        config.model.width = 8
        config.model.slow_stride = 2
        config.model.fast_ratio = 2
        config.train.batch = 4
        config.train.epochs = 3
        config.train.log_every = 2
        config.eval.batch = 4
        config.optim.lr_batch = 4
        return config

    return make


@pytest.fixture
def tiny_config(new_tiny_config):
    """A configuration of one's own that trains on it in seconds."""
    return new_tiny_config()


@pytest.fixture
def own(tiny_root, tiny_config, tmp_path):
    """The configuration of a copy that a test may break."""
    root = tmp_path / "data"
    shutil.copytree(tiny_root, root)
    tiny_config.data.root = str(root)
    return tiny_config


@pytest.fixture
def rng():
    """Random numbers that are the same every time."""
    return np.random.default_rng(0)
