"""Many videos on many machines: an Apache Beam pipeline. See docs/batch.md."""

from ava_jax.errors import UserError

try:
    import apache_beam  # noqa: F401
except ImportError as error:
    raise UserError(
        'Many videos at a time need Apache Beam: pip install "ava_jax[beam]"'
    ) from error
