"""Runs the pipeline in this process."""

import json
import pathlib

from ava_jax.batch import pipeline
from ava_jax.batch.inputs import find_videos
from ava_jax.batch.settings import Options, Settings


def predict(given, *beam, **options):
    """Scores videos with `Options(**options)`, and returns what failed."""
    videos = find_videos([str(one) for one in given])
    return pipeline.predict_many(videos, Settings.of(Options(**options)), beam)


def lines_of(out, shard="*"):
    """The JSON lines of all shards, or of some."""
    paths = sorted(pathlib.Path(out).glob(f"people-{shard}.jsonl"))
    return [json.loads(line) for path in paths for line in path.open()]
