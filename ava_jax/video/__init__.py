"""Videos: reading them as streams, and the clips around their key frames."""
