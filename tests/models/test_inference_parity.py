"""Every intermediate result and score of MMAction2's 14 detectors."""

import flax.traverse_util
import jax
import numpy as np
import pytest
import reference_data

from ava_jax.checkpoints.pytorch.converter import convert_state_dict
from ava_jax.models import action_scores, build_detector

STORED = [n for n in reference_data.CONFIGS if n not in reference_data.SAME_NETWORK]
ODD = [
    "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb",
    "slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1"
    "_cosine_10e_ava22_rgb",
]
# Names of taps that are not module paths here.
TAP_PATHS = {
    "pooled_map": "roi_head.pooled_map",
    "roi_feats": "roi_head.roi_feats",
    "head_vector": "roi_head.bbox_head.head_vector",
    "cls_score": "roi_head.bbox_head.fc_cls",
}


@pytest.mark.parametrize(
    "file", [*STORED, *(f"odd_{name}" for name in ODD)], ids=lambda file: file
)
def test_detector_equals_mmaction2(file):
    name = file.removeprefix("odd_")
    config = reference_data.config(name).model
    expected, meta = reference_data.golden(file)
    detector = build_detector(config)
    weights = reference_data.mmaction2_state_dict(name)
    variables, _ = convert_state_dict(weights, config)
    boxes = expected["proposals"][None]

    @jax.jit
    def apply(variables, clips, boxes):
        logits, taps = detector.apply(
            variables, clips, boxes, capture_intermediates=True
        )
        return logits[0], taps["intermediates"]

    logits, taps = apply(variables, reference_data.clips(meta), boxes)

    _check_taps(expected, taps)
    # As the fixture's README: float32 sums in two orders, 50 layers deep.
    np.testing.assert_allclose(logits, expected["cls_score_f64"], rtol=0, atol=2e-5)
    scores = np.asarray(action_scores(logits))
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=5e-6)
    height, width = meta["img_shape"]
    size = np.array([width, height, width, height], np.float32)
    for prefix, threshold in (("", "action_thr"), ("alt_", "alt_thr")):
        rows = _result(scores, expected["proposals"] / size, expected[threshold])
        result = expected[f"{prefix}result"]
        counts = np.bincount(result[:, 0].astype(int), minlength=config.num_classes - 1)
        np.testing.assert_array_equal(counts, expected[f"{prefix}result_counts"])
        np.testing.assert_array_equal(rows[:, :5], result[:, :5])
        np.testing.assert_allclose(rows[:, 5], result[:, 5], rtol=0, atol=5e-6)


@pytest.mark.parametrize("name", sorted(reference_data.SAME_NETWORK))
def test_configs_of_one_network_build_it(name):
    same = reference_data.SAME_NETWORK[name]
    assert build_detector(reference_data.config(name).model) == build_detector(
        reference_data.config(same).model
    )


def _check_taps(expected, taps):
    taps = flax.traverse_util.flatten_dict(taps, sep=".")
    names = {key.split("/")[1] for key in expected if key.startswith("taps/")}
    assert names, "the fixture has no taps"
    for name in sorted(names):
        path = TAP_PATHS.get(name, name)
        value = taps.get(path, taps.get(f"{path}.__call__"))
        assert value is not None, f"no tap {name} among {sorted(taps)}"
        value = _torch_layout(name, np.asarray(value[0]))
        tap = {k: expected[f"taps/{name}/{k}"] for k in ("shape", "stats", "sample")}
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
    if name == "cls_score":
        return value[0]
    if name == "head_vector":
        return value[0][:, :, None, None, None]
    if name == "roi_feats":
        return np.moveaxis(value[0], -1, 1)[:, :, None]
    if name == "pooled_map":
        return np.moveaxis(value, -1, 1)[:, :, None]
    return np.moveaxis(value, -1, 1)


def _result(scores, boxes, threshold):
    """Rows (class - 1, x1, y1, x2, y2, score) of the scores above `threshold`."""
    classes, persons = np.nonzero((scores[:, 1:] > threshold).T)
    return np.column_stack([classes, boxes[persons], scores[persons, classes + 1]])
