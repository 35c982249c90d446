"""Every intermediate result and score of MMAction2's 14 detectors."""

import jax
import numpy as np
import pytest
import reference_data
from golden_checks import check_results, check_taps

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

    check_taps(expected, taps)
    # As the fixture's README: float32 sums in two orders, 50 layers deep.
    np.testing.assert_allclose(logits, expected["cls_score_f64"], rtol=0, atol=2e-5)
    scores = np.asarray(action_scores(logits))
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=5e-6)
    check_results(expected, meta, scores)


@pytest.mark.parametrize("name", sorted(reference_data.SAME_NETWORK))
def test_configs_of_one_network_build_it(name):
    same = reference_data.SAME_NETWORK[name]
    assert build_detector(reference_data.config(name).model) == build_detector(
        reference_data.config(same).model
    )
