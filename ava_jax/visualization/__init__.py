"""Drawing actions on videos, and the files that a video's results go to."""
