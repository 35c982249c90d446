"""MultiSports' metric as MMAction2 1.x computes it: box by box, in plain Python.

A restatement of `mmaction/evaluation/functional/multisports_utils.py` of MMAction2
1.2.0, with the same steps over videos, classes, frames, boxes and tubes, so that its
time stands for the original's; NumPy's sorts are stable here, which the original's are
not. For tests and for `ava-jax bench video-map`.

Detections are rows (video, frame, label, score, x1, y1, x2, y2), ground-truth tubes
(frames, 5) arrays of frame and box by (video, label).
"""

import collections

import numpy as np

THRESHOLDS = {
    "0.2": [0.2],
    "0.5": [0.5],
    "0.05:0.45": [0.05 + 0.05 * i for i in range(9)],
    "0.10:0.90": [0.1 + 0.1 * i for i in range(9)],
    "0.50:0.95": [0.5 + 0.05 * i for i in range(10)],
}


def evaluate(truth, detections, class_ids, num_frames, labels, own_scores=False):
    """Frame-mAP and video-mAPs.

    Args:
      truth: (video, label) -> list of tubes.
      detections: (N, 8) rows.
      class_ids: the classes to score.
      num_frames: frames of each video.
      labels: number of classes.
      own_scores: link with each box's score, not with that of the last one.

    Returns:
      {"frame": mAP at 0.5, "0.2": video-mAP, ...}, of 1.
    """
    tubes = link(detections, num_frames, labels, own_scores)
    result = {"frame": np.mean(frame_precisions(truth, detections, class_ids))}
    for name, thresholds in THRESHOLDS.items():
        means = [
            np.mean(video_precisions(truth, tubes, class_ids, threshold))
            for threshold in thresholds
        ]
        result[name] = np.mean(means)
    return result


def link(detections, num_frames, labels, own_scores=False):
    """Label -> list of (video, mean score, (frames, 6) float32 tube)."""
    by_video = collections.defaultdict(list)
    for row in detections:
        by_video[int(row[0])].append(row)
    tubes = {label: [] for label in range(labels)}
    for video in sorted(by_video):
        boxes = {}
        for frame in range(1, num_frames[video] + 1):
            for label in range(labels):
                boxes[frame, label] = np.empty((0, 5))
        for row in by_video[video]:
            key = int(row[1]), int(row[2])
            score = row[3] if own_scores else detections[-1][3]
            box = np.array([*row[4:], score])[None]
            boxes[key] = np.concatenate([boxes[key], box])
        for label in range(labels):
            of_label = [boxes[f, label] for f in range(1, num_frames[video] + 1)]
            tubes[label] += [(video, *tube) for tube in _link_class(of_label)]
    return tubes


def _link_class(boxes_of_frames):
    live, ended = [], []
    for frame, boxes in enumerate(boxes_of_frames, 1):
        boxes = suppress(boxes)
        order = np.argsort(-np.array([_mean_score(t) for t in live]), kind="stable")
        live = [live[i] for i in order]
        lost = []
        for i, tube in enumerate(live):
            near = np.flatnonzero(iou(boxes[:, :4], tube[-1][1][:4]) >= 0.5)
            if near.size:
                best = near[np.argmax(boxes[near, -1])]
                tube.append((frame, boxes[best]))
                boxes = np.delete(boxes, best, axis=0)
            else:
                lost.append(i)
        ended += [live.pop(i) for i in reversed(lost)]
        live += [[(frame, box)] for box in boxes]
    for tube in ended + live:
        score = _mean_score(tube)
        if score >= 0.005 and len(tube) >= 15:
            rows = np.zeros((len(tube), 6), np.float32)
            for row, (frame, box) in zip(rows, tube, strict=True):
                row[0] = frame
                row[1:] += box
            yield score, rows


def _mean_score(tube):
    return np.mean(np.array([box[-1] for _, box in tube]))


def suppress(boxes):
    """(N, 5) boxes after soft suppression; the best 10."""
    if not len(boxes):
        return boxes
    x1, y1, x2, y2, scores = boxes.T
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    weight = np.ones_like(scores)
    order = np.argsort(scores, kind="stable")[::-1]
    while order.size:
        best, rest = order[0], order[1:]
        width = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + 1
        height = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + 1
        shared = np.maximum(0, width) * np.maximum(0, height)
        overlap = shared / (area[rest] + area[best] - shared)
        weight[rest[overlap > 0.6]] = 1 - overlap[overlap > 0.6]
        order = rest[overlap <= 0.6]
    boxes = np.column_stack([boxes[:, :4], scores * weight])
    return boxes[np.argsort(boxes[:, -1], kind="stable")[::-1]][:10]


def iou(boxes, box):
    """IoU of (N, 4) boxes with others, or with one."""
    boxes, box = np.atleast_2d(boxes), np.atleast_2d(box)
    width = np.minimum(boxes[:, 2], box[:, 2]) - np.maximum(boxes[:, 0], box[:, 0])
    height = np.minimum(boxes[:, 3], box[:, 3]) - np.maximum(boxes[:, 1], box[:, 1])
    shared = np.maximum(0, width) * np.maximum(0, height)
    areas = [(x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (boxes, box)]
    return shared / (areas[0] + areas[1] - shared)


def tube_iou(a, b):
    """Overlap of two tubes."""
    first, last = max(a[0, 0], b[0, 0]), min(a[-1, 0], b[-1, 0])
    if last < first:
        return 0.0
    union = max(a[-1, 0], b[-1, 0]) - min(a[0, 0], b[0, 0])
    parts = []
    for tube in (a, b):
        start = np.flatnonzero(tube[:, 0] == first)[0]
        end = np.flatnonzero(tube[:, 0] == last)[0]
        parts.append(tube[start : end + 1, 1:5])
    return np.mean(iou(*parts)) * ((last - first) / union)


def frame_precisions(truth, detections, class_ids, threshold=0.5):
    """AP of the classes that have ground truth."""
    result = []
    for label in class_ids:
        rows = detections[detections[:, 2] == label]
        boxes = collections.defaultdict(list)
        for (video, of), tubes in truth.items():
            for tube in tubes if of == label else ():
                for row in tube:
                    boxes[video, int(row[0])].append(row[1:5].tolist())
        boxes = {key: np.array(value) for key, value in boxes.items()}
        ranked = [
            ((int(row[0]), int(row[1])), row[4:8])
            for row in rows[np.argsort(-rows[:, 3], kind="stable")]
        ]
        if boxes:
            result.append(_precision(boxes, ranked, iou, threshold))
    return result


def video_precisions(truth, tubes, class_ids, threshold):
    """AP of the classes that have ground truth."""
    result = []
    for label in class_ids:
        of_label = {
            video: found
            for (video, of), found in truth.items()
            if of == label and found
        }
        scores = np.array([score for _, score, _ in tubes[label]])
        order = np.argsort(-scores, kind="stable")
        ranked = [(tubes[label][i][0], tubes[label][i][2]) for i in order]

        def overlaps(true, tube):
            return np.array([tube_iou(other, tube) for other in true])

        if of_label:
            result.append(_precision(of_label, ranked, overlaps, threshold))
    return result


def _precision(truth, ranked, overlaps, threshold):
    """Area under the envelope of precision over recall.

    Args:
      truth: key -> what is true there.
      ranked: (key, what was detected), best first.
      overlaps: function of a value of `truth` and of something detected.
      threshold: overlap of a true detection.
    """
    total = sum(map(len, truth.values()))
    taken = {key: np.zeros(len(true), bool) for key, true in truth.items()}
    precision, recall, found = [0.0], [0.0], 0
    for rank, (key, detected) in enumerate(ranked, 1):
        if key in truth:
            overlap = overlaps(truth[key], detected)
            best = np.argmax(overlap)
            if overlap[best] >= threshold and not taken[key][best]:
                taken[key][best] = True
                found += 1
        precision.append(found / rank)
        recall.append(found / total)
    precision, recall = np.array([*precision, 0.0]), np.array([*recall, 1.0])
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = np.maximum(precision[i], precision[i + 1])
    rises = np.flatnonzero(np.diff(recall)) + 1
    return np.sum((recall[rises] - recall[rises - 1]) * precision[rises])
