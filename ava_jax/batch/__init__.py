"""Many videos on many machines: an Apache Beam pipeline. See docs/batch.md."""

import logging

from ava_jax.errors import UserError

_LEVEL = logging.root.manager.disable
try:
    # It warns of clients of Google's cloud that are not installed: not everybody's.
    logging.disable(logging.WARNING)
    import apache_beam  # noqa: F401
except ImportError as error:
    raise UserError(
        'Many videos at a time need Apache Beam: pip install "ava_jax[beam]"'
    ) from error
finally:
    logging.disable(_LEVEL)
