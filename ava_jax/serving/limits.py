"""What a request may ask of the service."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of the service; docs/serving.md says what a client is told.

    Attributes:
      megabytes: of an upload.
      seconds: of a video.
      pixels: of a frame.
      boxes: of a clip.
      timeout: seconds until a request is given up.
      parallel: requests that are worked on at a time.
      queue: requests that may wait for that.
    """

    megabytes: float = 200.0
    seconds: float = 600.0
    pixels: float = 4096 * 2304
    boxes: int = 200
    timeout: float = 600.0
    parallel: int = 4
    queue: int = 16
