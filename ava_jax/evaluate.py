"""Scores a split: detections, their CSV, the mAP, the report."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import jax
import ml_collections
import numpy as np
from absl import logging
from jax.sharding import Mesh

from ava_jax import parallel, scoring, steps
from ava_jax.checkpoints import store
from ava_jax.data import annotations, dataset, pipeline, sources
from ava_jax.models import build_detector, init_variables
from ava_jax.report.contact_sheet import KeyFrame
from ava_jax.report.evaluation import write_report
from ava_jax.workdir import Workdir, write_json

# Key-frames in the report's contact sheet.
_SHOWN = 12


class Evaluator:
    """Scores the validation split, as often as asked."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        mesh: Mesh,
        score_step: Callable[[Any, jax.Array, jax.Array], jax.Array],
    ):
        """Reads the annotations.

        Args:
          config: the whole configuration.
          mesh: of the devices.
          score_step: from `steps.make_score_step`.

        Raises:
          UserError: see `dataset.load_split`.
        """
        self.split = dataset.load_split(config, "val")
        self._config = config
        self._mesh = mesh
        self._score_step = score_step
        self._rows = parallel.rows_of_this_host(config.eval.batch, "config.eval.batch")

    def scores(self, variables: dict[str, Any]) -> np.ndarray:
        """(P, num_classes) float32: a score for each of the split's proposals."""
        split = self.split
        shape = (len(split.proposal_boxes), self._config.model.num_classes)
        scores = np.full(shape, np.nan, np.float32)
        for batch in pipeline.eval_batches(split, self._config, rows=self._rows):
            rows = {name: batch[name] for name in ("clip", "boxes")}
            arrays = parallel.to_devices(rows, self._mesh)
            out = self._score_step(variables, arrays["clip"], arrays["boxes"])
            for first, count, row in zip(
                batch["first_box"], batch["count"], np.asarray(out), strict=True
            ):
                scores[first : first + count] = row[:count]
        return scores

    def metrics(self, scores: np.ndarray) -> dict[str, Any]:
        """The contents of `metrics.json` for these scores."""
        return measure(self.split, self.detections(scores), self._config)

    def detections(self, scores: np.ndarray) -> annotations.BoxTable:
        """A row for every action of every box above the threshold, by key-frame."""
        split, threshold = self.split, self._config.eval.action_threshold
        proposal, index = np.nonzero(scores[:, 1:] > threshold)
        boxes_per_key_frame = np.diff(split.proposal_starts)
        key_frame = np.repeat(np.arange(len(split)), boxes_per_key_frame)[proposal]
        return annotations.BoxTable.from_columns(
            split.folders.videos,
            split.video[key_frame],
            split.second[key_frame],
            split.proposal_boxes[proposal],
            label=split.class_ids[index + 1],
            score=scores[proposal, index + 1],
        )

    def write(
        self, scores: np.ndarray, workdir: Workdir, history: Sequence[dict[str, float]]
    ) -> dict[str, Any]:
        """Writes detections, metrics and report into the working directory.

        Args:
          scores: from `scores`.
          workdir: where to write.
          history: of the training, for its curves.

        Returns:
          The contents of `metrics.json`, which is written last.
        """
        metrics = self.metrics(scores)
        annotations.write_detections(
            workdir / "detections_val.csv", self.detections(scores)
        )
        write_report(workdir / "report", metrics, self._examples(scores), history)
        write_json(workdir / "metrics.json", metrics)
        return metrics

    def _examples(self, scores: np.ndarray) -> list[KeyFrame]:
        count = min(_SHOWN, len(self.split))
        shown = [i * len(self.split) // count for i in range(count)]
        return [_example(self.split, scores, k) for k in shown]


def measure(
    split: dataset.Split,
    detections: annotations.BoxTable,
    config: ml_collections.ConfigDict,
) -> dict[str, Any]:
    """MAP and AP of every learned action that the label map names."""
    learned = set(split.class_ids[1:].tolist())
    names = {i: name for i, name in split.labels.items() if i in learned}
    return scoring.score_tables(
        split.ground_truth,
        detections,
        names,
        exclusions=split.excluded,
        protocol=config.eval.protocol,
    )


def _example(split: dataset.Split, scores: np.ndarray, k: int) -> KeyFrame:
    video = split.folders.videos[split.video[k]]
    truth = slice(*split.truth_starts[k : k + 2])
    proposals = slice(*split.proposal_starts[k : k + 2])
    names = [split.labels.get(int(i), str(i)) for i in split.class_ids]

    def ranked(row):
        classes = np.argsort(-row[1:], kind="stable") + 1
        return [(names[c], float(row[c])) for c in classes]

    return KeyFrame(
        title=f"{video}, second {split.second[k]:g}",
        image=_read_frame(split.folders, split.video[k], split.centre[k]),
        true_boxes=split.truth_boxes[truth],
        true_actions=[
            [names[c] for c in np.flatnonzero(row)]
            for row in split.truth_classes[truth]
        ],
        boxes=split.proposal_boxes[proposals],
        actions=[ranked(row) for row in scores[proposals]],
    )


def _read_frame(folders, video: int, index: int) -> np.ndarray:
    name = f"{folders.prefix}{index:0{folders.digits}}{folders.suffix}"
    path = pathlib.Path(folders.root, folders.videos[video], name)
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def class_lines(metrics: dict[str, Any]) -> str:
    """'stand 0.91, walk 0.88, ...' of a `metrics.json`."""
    names = metrics["class_names"]
    values = metrics["per_class"].items()
    return ", ".join(f"{names[i]} {ap:.3f}" for i, ap in values if ap is not None)


def evaluate(config: ml_collections.ConfigDict, workdir: Workdir) -> dict[str, Any]:
    """Scores the validation split with weights that are there already.

    Args:
      config: the whole configuration; `init_from` names the weights, or else they
        are the newest of the working directory.
      workdir: where results are written.

    Returns:
      The contents of `metrics.json`.

    Raises:
      UserError: data, weights or configuration are not usable.
    """
    config = sources.prepare(config, workdir.path)
    mesh = parallel.make_mesh()
    module = build_detector(config.model)
    variables = init_variables(config.model, jax.random.key(config.seed))
    variables = jax.device_put(variables, parallel.replicated(mesh))
    variables = store.load_variables(config.init_from or workdir.path, variables)
    evaluator = Evaluator(config, mesh, steps.make_score_step(module, config, mesh))
    scores = evaluator.scores(variables)
    metrics = evaluator.write(scores, workdir, workdir.history())
    logging.info(
        "mAP %.4f (%s)\nLook at %s",
        *(metrics["mAP"], class_lines(metrics), workdir / "report/index.html"),
    )
    return metrics
