"""The reference weights are shared with the tests of the models."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1] / "models"))
