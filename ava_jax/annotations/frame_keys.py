"""Key frames as one text: '<video>,<timestamp>', as MMAction2 and PySlowFast do."""

from ava_jax.annotations.text_files import parse_number

# As microseconds, which `indexed_seconds` counts, these fit 64 bits.
_LAST_SECOND = 1e12


def split_frame_key(text: str) -> tuple[str, float] | None:
    """(video, seconds) of '1j20qq1JyX4,0902'; None if it is no such text."""
    video, comma, timestamp = text.rpartition(",")
    seconds = parse_number(timestamp)
    if comma and video and seconds is not None and abs(seconds) < _LAST_SECOND:
        return video, seconds
    return None
