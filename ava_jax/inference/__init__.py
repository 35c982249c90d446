"""From a stream of frames to the actions of everyone at its key frames."""
