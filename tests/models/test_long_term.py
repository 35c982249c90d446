"""Feature bank operators against MMAction2's, with its bank."""

import jax
import numpy as np
import pytest
import reference_1x
import reference_data
import training_step
from golden_checks import check_results, check_taps
from test_heads import _check_gradients, _check_statistics, _check_updates, _variables

from ava_jax import config as ava_config
from ava_jax.data.feature_bank import FeatureBank
from ava_jax.errors import UserError
from ava_jax.models import action_scores, build_detector
from ava_jax.models.long_term import COLUMNS, SLOTS

NON_LOCAL = "slowonly-lfb-nl_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb"
MAX = NON_LOCAL.replace("-nl_", "-max_")
LIMIT = 40


def bank():
    """MMAction2's bank, and what it was written of."""
    arrays, _ = reference_1x.golden("lfb_bank")
    rows, features = {}, []
    for key, value in arrays.items():
        if key.startswith("bank/"):
            video, _, second = key.removeprefix("bank/").partition(",")
            rows.setdefault(video, {})[int(second)] = (len(features), 0, len(value))
            features.append(value)
    return FeatureBank("bank", 2048, tuple(features), rows)


def bank_of(meta, boxes, drawn=None):
    """Features and columns of a key frame; `drawn` are rows of its full second."""
    video, _, second = meta["img_key"].partition(",")
    minute = bank().minute(video, float(second), LIMIT)
    columns = minute.columns(boxes, np.random.default_rng(0))
    if drawn is not None:
        (full,) = np.flatnonzero(minute.counts > SLOTS)
        first = minute.counts[:full].sum()
        columns = columns.reshape(boxes, -1, SLOTS)
        columns[:, full] = first + drawn[:, 0]
        columns = columns.reshape(boxes, COLUMNS)
    return minute.padded()[None], columns[None]


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(NON_LOCAL, marks=pytest.mark.long),
        f"crowd_{NON_LOCAL}",
        pytest.param(f"crowd_{MAX}", marks=pytest.mark.long),
        f"avg_{MAX}",
    ],
)
def test_detector_equals_mmaction2(file):
    name = file.removeprefix("crowd_").removeprefix("avg_")
    config = reference_1x.model_config(name)
    if file.startswith("avg_"):
        config.shared_head = "fbo_avg"
    expected, meta = reference_1x.golden(file)
    long_term = bank_of(meta, len(expected["proposals"]), expected.get("lt_index"))
    apply = jax.jit(
        lambda variables, *inputs, bank: build_detector(config).apply(
            variables, *inputs, bank=bank, capture_intermediates=True
        )
    )
    clips = reference_data.clips(meta)
    boxes = expected["proposals"][None]
    logits, taps = apply(_variables(name, config), clips, boxes, bank=long_term)
    logits, taps = np.asarray(logits[0]), taps["intermediates"]
    check_taps({k: v for k, v in expected.items() if "shared_head.fbo" not in k}, taps)
    # float32 sums in two orders, 50 layers deep.
    np.testing.assert_allclose(logits, expected["cls_score_f64"], rtol=0, atol=2e-5)
    scores = np.asarray(action_scores(logits))
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=5e-6)
    check_results(expected, meta, scores)


@pytest.mark.slow
def test_training_step_equals_mmaction2():
    name, config = NON_LOCAL, ava_config.default()
    config.model = reference_1x.model_config(name)
    config.model.dropout = 0.0
    arrays, numbers = reference_1x.step_golden(name)
    optim = numbers["optim_wrapper"]["optimizer"]
    config.optim.lr, config.optim.weight_decay = optim["lr"], optim["weight_decay"]
    variables = _variables(name, config.model)
    meta = numbers["meta"]
    clips = reference_data.clips(meta | {"seed": meta["input_seeds"][0]})
    boxes, labels, mask = training_step.batch(arrays, len(clips))
    banks = [bank_of({"img_key": key}, boxes.shape[1]) for key in meta["img_keys"]]
    long_term = tuple(np.concatenate(parts) for parts in zip(*banks, strict=True))
    (loss, (logits, metrics, statistics)), gradients = training_step.step(
        config.model, variables, clips, boxes, labels, mask, long_term
    )
    expected, exact = numbers["steps"][0], numbers["f64"][0]
    np.testing.assert_allclose(
        logits[mask], arrays["head/cls_score_f64"], rtol=0, atol=1e-5
    )
    for key, value in {"loss": loss, **metrics}.items():
        np.testing.assert_allclose(
            value, exact["log_vars"][key], rtol=1e-6, err_msg=key
        )
    _check_gradients(training_step.by_key(gradients), arrays, exact)
    _check_statistics(statistics, arrays, expected)
    _check_updates(config, variables["params"], gradients, numbers)


def test_without_a_bank_it_is_refused():
    config = ava_config.default().model
    config.backbone, config.depth, config.width = "slowonly", 10, 8
    config.shared_head = "fbo_max"
    clips, boxes = np.zeros((1, 16, 64, 64, 3)), np.zeros((1, 1, 4))
    with pytest.raises(UserError, match="needs the long-term features"):
        jax.eval_shape(build_detector(config).init, jax.random.key(0), clips, boxes)


def test_every_box_draws_where_a_second_has_too_many():
    minute = bank().minute("lfb_video_b", 1010, LIMIT)
    full = np.flatnonzero(minute.counts > SLOTS)
    draws = minute.columns(200, np.random.default_rng(0)).reshape(200, -1, SLOTS)
    first = minute.counts[: full[0]].sum()
    rows = draws[:, full[0]] - first
    assert all(len(set(row)) == SLOTS for row in rows.tolist())
    # Each of 7 is drawn 5 times in 7: 143 of 200, deviation 6.4.
    assert np.abs(np.bincount(rows.ravel(), minlength=7) - 1000 / 7).max() < 26
    # A second with fewer has all, and then none.
    some = np.flatnonzero(minute.counts == 4)[0]
    before = minute.counts[:some].sum()
    assert draws[0, some].tolist() == [*range(before, before + 4), LIMIT]
    # The minute begins 30 seconds before, and its end is not in it.
    assert np.flatnonzero(bank().minute("lfb_video_a", 932, LIMIT).counts)[0] == 0
    assert bank().minute("lfb_video_a", 932, LIMIT).counts.sum() == 2 + 5 + 1 + 3
