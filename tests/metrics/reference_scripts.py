"""The reference evaluators, restated as plain and slow definitions.

Sources: ActivityNet `Evaluation/get_ava_performance.py` and `Evaluation/ava/`, as they
are since AVA-Kinetics; PySlowFast `slowfast/utils/ava_eval_helper.py` and
`ava_evaluation/`; MMAction2 1.x `mmaction/evaluation/functional/ava_utils.py`. Sorts
are theirs, unstable ones included.

Rows are (frame, box, label) of ground truth and (frame, box, label, score) of
detections; results are AP by label, without those that are not averaged.
"""

import collections
import heapq

import numpy as np


def activitynet(truth, detected, class_ids, excluded=(), keyframes=()):
    """The challenge's present script; it has no exclusions, its files lack them."""
    truth = [row for row in truth if row[0] not in excluded]
    listed = {row[0] for row in truth} | (set(keyframes) - set(excluded))
    entries = collections.defaultdict(list)
    for frame, box, label, score in detected:
        if label not in class_ids:
            continue
        heap, entry = entries[frame], (score, label, *box)
        if len(heap) < 50:
            heapq.heappush(heap, entry)
        elif score > heap[0][0]:
            heapq.heapreplace(heap, entry)
    frames = {}
    for frame, heap in entries.items():
        if frame in listed:
            frames[frame] = [
                (tuple(box), label, score)
                for score, label, *box in sorted(heap, key=lambda entry: -entry[0])
            ]
    return _pascal(truth, frames, class_ids, sort_in_frame=False)


def pyslowfast(truth, detected, class_ids, excluded=(), keyframes=()):
    """PySlowFast's copy of an older version."""
    del keyframes  # its reader does not take them
    truth = [row for row in truth if row[0] not in excluded]
    frames = collections.defaultdict(list)
    for frame, box, label, score in detected:
        if label in class_ids and frame not in excluded:
            frames[frame].append((box, label, score))
    return _pascal(truth, frames, class_ids, sort_in_frame=True)


def _pascal(truth, frames, class_ids, sort_in_frame):
    precisions = {}
    for label in class_ids:
        boxes = collections.defaultdict(list)
        for frame, box, action in truth:
            if action == label:
                boxes[frame].append(box)
        total = sum(map(len, boxes.values()))
        if not total:
            continue
        scores, flags = [], []
        for frame, rows in frames.items():
            valid = [r for r in rows if r[0][0] < r[0][2] and r[0][1] < r[0][3]]
            own = [(box, score) for box, action, score in valid if action == label]
            if sort_in_frame:
                order = np.argsort(np.array([score for _, score in own]))[::-1]
                own = [own[i] for i in order]
            scores += [score for _, score in own]
            flags += _match([box for box, _ in own], boxes[frame], iou)
        precisions[label] = _average_precision(np.array(scores), flags, total)
    return precisions


def mmaction2(truth, detected, class_ids, excluded=(), keyframes=()):
    """MMAction2 1.x's evaluator."""
    del keyframes  # its reader does not take them
    truth = [row for row in truth if row[2] in class_ids]
    total = collections.Counter(row[2] for row in truth)
    scores, flags = collections.defaultdict(list), collections.defaultdict(list)
    for frame in dict.fromkeys(row[0] for row in truth if row[0] not in excluded):
        rows = [row for row in detected if row[0] == frame and row[2] in class_ids]
        rows.sort(key=lambda row: -row[3])
        for label in {row[2] for row in rows}:
            boxes = [np.float32(r[1]) for r in truth if r[0] == frame and r[2] == label]
            own = [row for row in rows if row[2] == label]
            scores[label] += [np.float32(row[3]) for row in own]
            flags[label] += _match([np.float32(r[1]) for r in own], boxes, iou)
    return {
        label: _average_precision(np.array(scores[label]), flags[label], total[label])
        for label in scores
        if total[label]
    }


def iou(a, b):
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    areas = [(box[3] - box[1]) * (box[2] - box[0]) for box in (a, b)]
    return height * width / (areas[0] + areas[1] - height * width)


def _match(detected, boxes, overlap):
    """Whether each detection, in this order, is true."""
    flags, taken = [], set()
    for box in detected:
        overlaps = [overlap(box, other) for other in boxes]
        best = int(np.argmax(overlaps)) if boxes else None
        flags.append(bool(boxes) and overlaps[best] >= 0.5 and best not in taken)
        if flags[-1]:
            taken.add(best)
    return flags


def _average_precision(scores, flags, total):
    if not len(scores):
        return 0.0
    order = np.argsort(scores)[::-1]
    found = np.cumsum(np.array(flags)[order])
    precision = found / np.arange(1, len(order) + 1)
    recall = np.concatenate([[0], found / total, [1]])
    precision = np.concatenate([[0], precision, [0]])
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]))


SCRIPTS = {
    "activitynet": activitynet,
    "mmaction2": mmaction2,
    "pyslowfast": pyslowfast,
}
