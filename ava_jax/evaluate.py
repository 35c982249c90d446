"""Evaluation: scores a split and writes detections, metrics and report."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np
from absl import logging
from jax.sharding import Mesh

from ava_jax import annotations, files, scoring
from ava_jax import config as ava_config
from ava_jax.annotations import tracks
from ava_jax.checkpoints.load import load_to_evaluate
from ava_jax.data import dataset, feature_bank, pipeline, subsampling
from ava_jax.data.dataset import check_data
from ava_jax.data.split import Split
from ava_jax.errors import UserError
from ava_jax.inference.eval_step import make_eval_step
from ava_jax.metrics.error_analysis import Findings
from ava_jax.metrics.protocols import PROTOCOLS
from ava_jax.models import build_detector, check_clips
from ava_jax.models.long_term import bank_of
from ava_jax.models.preprocessing import Normalization
from ava_jax.prepare import sources
from ava_jax.report.contact_sheet import KeyFrame
from ava_jax.report.evaluation import write_report
from ava_jax.report.page import share
from ava_jax.report.tables import headline
from ava_jax.runtime import multihost, sharding
from ava_jax.workdir import Workdir

# Key frames in the report's contact sheet.
_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Results:
    """The scores of a split.

    Attributes:
      split: the key frames that were scored.
      scores: (P, num_classes) float32, of the split's proposals.
      detections: a row for every action of a box with a score above the threshold.
      metrics: the contents of `metrics.json`, with `stride_seconds` if only some key
        frames were scored.
    """

    split: Split
    scores: np.ndarray
    detections: annotations.BoxTable
    metrics: dict[str, Any]

    def __repr__(self) -> str:
        return f"Results({self.split}, mAP {share(self.metrics['mAP'])})"


class Evaluator:
    """Scores the validation split.

    With several hosts, each scores its rows of every batch, and all hosts receive all
    scores, and so have the same results.
    """

    def __init__(
        self, config: ml_collections.ConfigDict, mesh: Mesh, module: nn.Module
    ):
        """Reads the annotations.

        Args:
          config: the whole configuration.
          mesh: the devices.
          module: the detector.

        Raises:
          UserError: there is no such protocol; or see `dataset.load_split`,
            `check_data` and `subsampling.subsample`.
        """
        if config.eval.protocol not in PROTOCOLS:
            raise UserError(
                f"config.eval.protocol is {config.eval.protocol!r}, expected one of "
                f"{', '.join(PROTOCOLS)}; docs/evaluation.md says which is which"
            )
        self.split = dataset.load_split(config.data, "val", config.model.num_classes)
        check_data("validation", self.split)
        feature_bank.check_width(self.split.bank, config.model)
        self._subsample = subsampling.subsample(self.split, config.eval.stride_seconds)
        labels = pathlib.Path(config.data.root, config.data.labels)
        self._groups = annotations.read_action_groups(labels)
        self._data, self._eval, self._name = config.data, config.eval, config.name
        self._classes = config.model.num_classes
        self._mesh = mesh
        self._eval_step = make_eval_step(
            module,
            Normalization.from_config(config.data),
            mesh,
            multilabel=config.model.multilabel,
            flip=config.eval.flip,
            with_bank=self.split.bank is not None,
        )
        self._rows = sharding.rows_of_this_host(config.eval.batch, "config.eval.batch")

    def evaluate(self, variables: dict[str, Any]) -> Results:
        """Scores all key frames."""
        return self._results(self.split, self._scores(self.split, variables))

    def estimate(self, variables: dict[str, Any]) -> Results:
        """Scores only the key frames that `eval.stride_seconds` selects."""
        split = self._subsample.split
        return self._results(split, self._scores(split, variables))

    def subsample(self, results: Results) -> Results:
        """Reduces results of all key frames to those that `estimate` would return."""
        if self._subsample.split is self.split:
            return results
        return self._results(
            self._subsample.split, results.scores[self._subsample.rows]
        )

    def write(
        self,
        results: Results,
        workdir: Workdir,
        history: Sequence[dict[str, float]],
        checkpoint: str,
    ) -> None:
        """Writes detections, report and metrics into the working directory.

        The first host writes, `metrics.json` last; the others wait.

        Args:
          results: of all key frames.
          workdir: where to write.
          history: of the training, for its curves.
          checkpoint: what was evaluated, for the head of the report.
        """
        if jax.process_index() == 0:
            self._write(results, workdir, history, checkpoint)
        multihost.barrier("results")

    def _write(self, results, workdir, history, checkpoint) -> None:
        annotations.write_detections(workdir / "detections_val.csv", results.detections)
        write_report(
            workdir / "report",
            results.metrics,
            self._findings(results),
            self.examples(results, _SHOWN),
            history,
            self._frame_at,
            {
                "run": str(workdir.path),
                "configuration": self._name,
                "checkpoint": checkpoint,
            },
        )
        files.write_json(workdir / "metrics.json", results.metrics)

    def _findings(self, results: Results) -> Findings:
        return scoring.analyse_tables(
            results.split.ground_truth,
            results.detections,
            {int(i): name for i, name in results.metrics["class_names"].items()},
            exclusions=results.split.excluded,
            protocol=self._eval.protocol,
        )

    def _frame_at(self, video: str, second: float) -> np.ndarray:
        split = self.split
        here = split.video == split.frames.videos.index(video)
        k = np.flatnonzero(here & (abs(split.second - second) < 1e-5))[0]
        return split.frames.read(split.video[k], split.centre[k])

    def examples(self, results: Results, count: int) -> list[KeyFrame]:
        """`count` key frames, evenly spaced over the split."""
        total = len(results.split)
        count = min(count, total)
        shown = [i * total // count for i in range(count)]
        return [_example(results.split, results.scores, k) for k in shown]

    def _scores(self, split: Split, variables: dict[str, Any]) -> np.ndarray:
        """(P, num_classes) float32: the mean over the sides of `eval.short_sides`.

        Means of scores, not of logits, are what published results with several
        scales and flips are of (Wu et al., Long-Term Feature Banks; its code's
        `combine_ava_multi_crops`).
        """
        sides = self._eval.short_sides or (self._data.test_short_side,)
        scores = [self._scores_at(side, split, variables) for side in sides]
        return sum(scores) / len(sides)

    def _scores_at(self, short_side, split, variables) -> np.ndarray:
        shape = (len(split.proposal_boxes), self._classes)
        scores = np.full(shape, np.nan, np.float32)
        for first_box, counts, batch in self._batches(short_side, split, variables):
            for first, count, row in zip(first_box, counts, batch, strict=True):
                scores[first : first + count] = row[:count]
        return scores

    def _batches(
        self, short_side, split, variables
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each batch: first boxes, numbers of boxes, scores."""
        before = None
        batches = pipeline.eval_batches(
            split,
            self._data,
            batch=self._eval.batch,
            short_side=short_side,
            rows=self._rows,
        )
        for batch in batches:
            arrays = {k: v for k, v in batch.items() if k not in ("first_box", "count")}
            arrays = sharding.to_devices(arrays, self._mesh)
            bank = () if self.split.bank is None else (bank_of(arrays),)
            scores = self._eval_step(variables, arrays["clip"], arrays["boxes"], *bank)
            # Fetch the scores of the previous batch while this one is computed.
            if before:
                yield *before[:2], sharding.to_host(before[2])
            before = batch["first_box"], batch["count"], scores
        if before:
            yield *before[:2], sharding.to_host(before[2])

    def _results(self, split: Split, scores: np.ndarray) -> Results:
        detections = self._detections(split, scores)
        # Only actions that the detector has a class for.
        learned = set(split.class_ids[1:].tolist())
        metrics = scoring.score_tables(
            split.ground_truth,
            detections,
            {i: name for i, name in split.labels.items() if i in learned},
            groups=self._groups,
            exclusions=split.excluded,
            protocol=self._eval.protocol,
        )
        if split is not self.split:
            metrics["stride_seconds"] = self._eval.stride_seconds
        elif self._data.frame_numbers:
            metrics["tubes"] = self._tubes(split, scores, learned)
        return Results(split, scores, detections, metrics)

    def _tubes(self, split: Split, scores: np.ndarray, learned) -> dict[str, Any]:
        """Frame-mAP and video-mAP of each box's best action, as MultiSports has it."""
        names = {i: name for i, name in split.labels.items() if i in learned}
        truth = annotations.tracks_of_table(
            split.ground_truth, tracks.scored_actions(names)
        )
        best = scores[:, 1:].argmax(1) + 1
        proposal = np.arange(len(scores))
        detections = self._table(split, proposal, best, scores[proposal, best])
        return scoring.score_tubes(truth, detections)

    def _detections(self, split, scores: np.ndarray) -> annotations.BoxTable:
        """Detections ordered by key frame, box and class."""
        threshold = self._eval.action_threshold
        if np.isnan(scores).any():
            raise UserError(
                f"{np.isnan(scores).any(axis=1).sum()} of {len(scores)} boxes have NaN "
                "for a score: the weights are not finite. Take an earlier checkpoint, "
                "or the source of --config.init_from again."
            )
        proposal, index = np.nonzero(scores[:, 1:] > threshold)
        return self._table(split, proposal, index + 1, scores[proposal, index + 1])

    def _table(self, split, proposal, index, score) -> annotations.BoxTable:
        """Detections: numbers of proposals and of classes, and scores."""
        boxes_per_key_frame = np.diff(split.proposal_starts)
        key_frame = np.repeat(np.arange(len(split)), boxes_per_key_frame)[proposal]
        return annotations.BoxTable.from_columns(
            split.frames.videos,
            split.video[key_frame],
            split.second[key_frame],
            split.proposal_boxes[proposal],
            label=split.class_ids[index],
            score=score,
        )


def _example(split: Split, scores: np.ndarray, k: int) -> KeyFrame:
    video = split.frames.videos[split.video[k]]
    truth = slice(*split.truth_starts[k : k + 2])
    proposals = slice(*split.proposal_starts[k : k + 2])
    names = [split.labels.get(int(i), str(i)) for i in split.class_ids]

    def ranked(row):
        classes = np.argsort(-row[1:], kind="stable") + 1
        return [(names[c], float(row[c])) for c in classes]

    return KeyFrame(
        title=f"{video}, second {split.second[k]:g}",
        image=split.frames.read(split.video[k], split.centre[k]),
        true_boxes=split.truth_boxes[truth],
        true_actions=[
            [names[c] for c in np.flatnonzero(row)]
            for row in split.truth_classes[truth]
        ],
        boxes=split.proposal_boxes[proposals],
        actions=[ranked(row) for row in scores[proposals]],
    )


def evaluate(config: ml_collections.ConfigDict, workdir: Workdir) -> dict[str, Any]:
    """Scores the validation split with existing weights.

    Args:
      config: the whole configuration; the weights are the checkpoint `checkpoint` of
        the working directory or, if nothing was trained there, of `init_from`: a path
        or the name of a published detector.
      workdir: where results are written.

    Returns:
      The contents of `metrics.json`.

    Raises:
      UserError: data, weights or configuration are not usable.
    """
    ava_config.check(config)
    sides = (config.data.test_short_side, *config.eval.short_sides)
    check_clips(config.model, config.data.clip_len, *sides)
    feature_bank.check_config(config.data.feature_bank, config.model)
    mesh = sharding.make_mesh(config.devices)
    variables, checkpoint = load_to_evaluate(
        config.init_from, config.checkpoint, config.model, workdir.path, mesh
    )
    with multihost.main_process_first("data set"):
        config = config.copy_and_resolve_references()
        config.data.root = sources.prepare(config.data, workdir.path)
    logging.info("Weights: %s.", checkpoint)
    evaluator = Evaluator(config, mesh, build_detector(config.model))
    results = evaluator.evaluate(variables)
    evaluator.write(results, workdir, workdir.history(), checkpoint)
    logging.info(
        "%s\nLook at %s", headline(results.metrics), workdir / "report/index.html"
    )
    return results.metrics
