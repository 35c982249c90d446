"""Outputs of a detector against those that MMAction2 stored."""

import flax.traverse_util
import numpy as np

# Names of taps that are not module paths here.
TAP_PATHS = {
    "pooled_map": "roi_head.pooled_map",
    "roi_feats": "roi_head.roi_feats",
    "head_vector": "roi_head.bbox_head.head_vector",
    "fc_cls.1": "roi_head.bbox_head.fc_cls.hidden",
    "cls_score": "roi_head.bbox_head.fc_cls",
    **{
        name: f"roi_head.{name}"
        for name in ("shared_head", "shared_head.conv1", "shared_head.conv2")
    },
}


def check_taps(expected, taps):
    """Every stored intermediate result: its shape, statistics and a sample."""
    taps = flax.traverse_util.flatten_dict(taps, sep=".")
    names = {key.split("/")[1] for key in expected if key.startswith("taps/")}
    assert names, "the fixture has no taps"
    for name in sorted(names):
        path = TAP_PATHS.get(name, name)
        value = taps.get(path, taps.get(f"{path}.__call__"))
        assert value is not None, f"no tap {name} among {sorted(taps)}"
        tap = {k: expected[f"taps/{name}/{k}"] for k in ("shape", "stats", "sample")}
        value = _torch_layout(name, np.asarray(value[0]))
        assert value.shape == tuple(tap["shape"]), name
        sample = value.ravel()[:: int(expected[f"taps/{name}/k"])]
        # Relative to the map's largest value: rounding of 50 layers of sums.
        largest = tap["stats"][2]
        np.testing.assert_allclose(
            sample, tap["sample"], rtol=0, atol=5e-6 * largest, err_msg=name
        )
        found = value.astype(np.float64)
        stats = found.mean(), found.std(), np.abs(found).max()
        np.testing.assert_allclose(
            stats, tap["stats"], rtol=0, atol=5e-6 * largest, err_msg=name
        )


def _torch_layout(name, value):
    """As MMAction2 lays the tap out: channels first, one clip."""
    if name in ("cls_score", "fc_cls.1"):
        return value[0]
    if name == "head_vector":
        return value[0][:, :, None, None, None]
    if name == "roi_feats":
        return np.moveaxis(value[0], -1, 1)[:, :, None]
    if name == "shared_head":
        value = value[0][:, None]
    if name == "pooled_map":
        return np.moveaxis(value, -1, 1)[:, :, None]
    if value.ndim == 3:  # tokens
        return value
    return np.moveaxis(value, -1, 1)


def check_results(expected, meta, scores):
    """The rows of MMAction2's result, at both of the stored thresholds."""
    height, width = meta["img_shape"]
    boxes = expected["proposals"] / np.array([width, height] * 2, np.float32)
    for prefix, threshold in (("", "action_thr"), ("alt_", "alt_thr")):
        if threshold not in expected:
            threshold = "thr"  # of 1.x
        rows = _result(scores, boxes, expected[threshold])
        result = expected[f"{prefix}result"]
        counts = np.bincount(result[:, 0].astype(int), minlength=scores.shape[1] - 1)
        np.testing.assert_array_equal(counts, expected[f"{prefix}result_counts"])
        np.testing.assert_array_equal(rows[:, :5], result[:, :5])
        np.testing.assert_allclose(rows[:, 5], result[:, 5], rtol=0, atol=5e-6)


def _result(scores, boxes, threshold):
    """Rows (class - 1, x1, y1, x2, y2, score) of the scores above `threshold`."""
    classes, persons = np.nonzero((scores[:, 1:] > threshold).T)
    return np.column_stack([classes, boxes[persons], scores[persons, classes + 1]])
