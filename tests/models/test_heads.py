"""The heads of MMAction2 1.x's ResNets: scores, intermediate results, training."""

import flax.traverse_util
import from_config
import jax
import numpy as np
import optax
import pytest
import reference_1x
import reference_data
import training_step
from golden_checks import check_results, check_taps

from ava_jax import config as ava_config
from ava_jax.checkpoints.pytorch import background_class, key_names
from ava_jax.checkpoints.pytorch.converter import convert_state_dict, to_state_dict
from ava_jax.models import action_scores, build_detector
from ava_jax.models.detector import variable_shapes

_K700 = "slowonly_k700-pre-r50-context"
CONTEXT = f"{_K700}_8xb8-8x8x1-10e_ava-kinetics-rgb"
CONTEXT_MAX = f"{_K700}-temporal-max_8xb8-8x8x1-10e_ava-kinetics-rgb"
MLP = f"{_K700}-temporal-max-nl-head_8xb8-8x8x1-10e_ava-kinetics-rgb"
MLP_FOCAL = f"{_K700}-temporal-max-nl-head_8xb8-8x8x1-focal-10e_ava-kinetics-rgb"
MLP_16X4 = "slowonly_k700-pre-r50_8xb8-16x4x1-10e-tricks_ava-kinetics-rgb"
SLOWONLY_8X8 = "slowonly_k400-pre-r50_8xb8-8x8x1-10e_ava-kinetics-rgb"
ACRN = "slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-cosine-10e_ava21-rgb"
SPORTS = "slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-8e_multisports-rgb"
SPORTS_SLOWFAST = "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-8e_multisports-rgb"
LONG = pytest.mark.long


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(CONTEXT, marks=LONG),
        pytest.param(CONTEXT_MAX, marks=LONG),
        pytest.param(MLP, marks=LONG),
        f"odd_{MLP}",
        pytest.param(MLP_16X4, marks=LONG),
        pytest.param(SLOWONLY_8X8, marks=LONG),
        SPORTS,
        pytest.param(SPORTS_SLOWFAST, marks=LONG),
        pytest.param(ACRN, marks=LONG),
        f"odd_{ACRN}",
    ],
)
def test_detector_equals_mmaction2(file):
    name = file.removeprefix("odd_")
    config = reference_1x.model_config(name)
    expected, meta = reference_1x.golden(file)
    variables = _variables(name, config)
    apply = jax.jit(
        lambda *inputs: build_detector(config).apply(
            *inputs, capture_intermediates=True
        )
    )
    logits, taps = apply(
        variables, reference_data.clips(meta), expected["proposals"][None]
    )
    logits, taps = np.asarray(logits[0]), taps["intermediates"]
    scores = np.asarray(action_scores(logits, multilabel=config.multilabel))
    if not config.background_class:
        # Class 0 is not in the original.
        fc_cls = taps["roi_head"]["bbox_head"]["fc_cls"]
        fc_cls["__call__"] = (fc_cls["__call__"][0][..., 1:],)
        np.testing.assert_array_equal(scores[:, 0], 0)
        logits, scores = logits[:, 1:], scores[:, 1:]
    check_taps(expected, taps)
    # float32 sums in two orders, 50 layers deep.
    np.testing.assert_allclose(logits, expected["cls_score_f64"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=5e-6)
    if "result" in expected:
        check_results(expected, meta, scores)


def _variables(name, config):
    stored = reference_1x.summary()[name]["spec"]
    return convert_state_dict(reference_1x.state_dict(stored), config)[0]


@pytest.mark.parametrize("name", [CONTEXT, MLP, SPORTS, SPORTS_SLOWFAST, ACRN])
def test_keys_shapes_and_number_of_parameters(name):
    config = reference_1x.model_config(name)
    stored = reference_1x.summary()[name]
    shapes = flax.traverse_util.flatten_dict(variable_shapes(config))
    empty = {
        path: np.broadcast_to(np.float32(0), x.shape) for path, x in shapes.items()
    }
    state = to_state_dict(flax.traverse_util.unflatten_dict(empty))
    if not config.background_class:
        state = background_class.without_class(state)
    assert {key: list(x.shape) for key, x in state.items()} == {
        key: shape for key, shape, _ in reference_1x.spec(stored["spec"])
    }
    trained = [
        x.size
        for key, x in state.items()
        if key_names.to_path(key) and key_names.to_path(key)[0] == "params"
    ]
    assert sum(trained) == stored["parameters"]


@pytest.fixture
def step(request):
    """Configuration, arrays and numbers of a stored step, and its inputs."""
    name, config = request.param, ava_config.default()
    config.model = reference_1x.model_config(name)
    config.model.dropout = 0.0
    arrays, numbers = reference_1x.step_golden(name)
    optim = numbers["optim_wrapper"]["optimizer"]
    config.optim.lr, config.optim.weight_decay = optim["lr"], optim["weight_decay"]
    variables = _variables(name, config.model)
    meta = numbers["meta"]
    clips = reference_data.clips(meta | {"seed": meta["input_seeds"][0]})
    boxes, labels, mask = training_step.batch(arrays, len(clips))
    if not config.model.background_class:
        labels = np.pad(labels, ((0, 0), (0, 0), (1, 0)))
    return config, arrays, numbers, (variables, clips, boxes, labels, mask)


@pytest.mark.long
@pytest.mark.parametrize("step", [MLP_FOCAL, SPORTS, ACRN], indirect=True)
def test_double_precision_gradients_equal_mmaction2(step):
    config, _, numbers, inputs = step
    config.model.dtype = "float64"
    with jax.enable_x64(True):
        *inputs, mask = inputs
        inputs = jax.tree.map(np.float64, inputs)
        (loss, _), gradients = training_step.step(config.model, *inputs, mask)
    exact = numbers["f64"][0]
    np.testing.assert_allclose(loss, exact["log_vars"]["loss"], rtol=1e-14)
    for key, gradient in _by_key(gradients, config.model).items():
        norm = exact["grad_norm"][key]
        np.testing.assert_allclose(
            training_step.norm(gradient), norm, rtol=1e-12, err_msg=key
        )


@pytest.mark.slow
@pytest.mark.parametrize("step", [MLP_FOCAL, SPORTS, ACRN], indirect=True)
def test_training_step_equals_mmaction2(step):
    """Loss, gradients, statistics and one step of SGD, clipped and not."""
    config, arrays, numbers, (variables, clips, boxes, labels, mask) = step
    (loss, (logits, metrics, statistics)), gradients = training_step.step(
        config.model, variables, clips, boxes, labels, mask
    )
    expected, exact = numbers["steps"][0], numbers["f64"][0]
    logits = logits[mask][:, 0 if config.model.background_class else 1 :]
    np.testing.assert_allclose(logits, arrays["head/cls_score_f64"], rtol=0, atol=1e-5)
    for key, value in {"loss": loss, **metrics}.items():
        np.testing.assert_allclose(
            value, exact["log_vars"][key], rtol=1e-6, err_msg=key
        )
    _check_gradients(_by_key(gradients, config.model), arrays, exact)
    _check_statistics(statistics, arrays, expected)
    _check_updates(config, variables["params"], gradients, numbers)


def _by_key(tree, model):
    state = training_step.by_key(tree)
    return state if model.background_class else background_class.without_class(state)


def _check_gradients(gradients, arrays, exact):
    assert set(gradients) == set(exact["grad_norm"])
    total = np.sqrt(sum(training_step.norm(g) ** 2 for g in gradients.values()))
    np.testing.assert_allclose(total, exact["grad_norm_total"], rtol=1e-5)
    for key, gradient in gradients.items():
        norm, sample = training_step.norm(gradient), arrays[f"grad/{key}"]
        if key.endswith("lt_feat_conv.conv.bias"):
            # Zero in exact arithmetic: a softmax ignores a constant.
            assert norm < 1e-6 * total, key
            continue
        # As far as the original's own float32; a ReLU or a maximum that flips changes
        # a whole path. The absolute part is for the smallest parameters' rounding.
        np.testing.assert_allclose(
            norm, exact["grad_norm"][key], rtol=2e-3, atol=1e-6 * total, err_msg=key
        )
        scale = max(norm / np.sqrt(gradient.size), np.abs(sample).max())
        found = gradient.ravel()[:: int(arrays[f"k/{key}"])]
        # 4.3e-2 for one of ACRN's, which is exact in double precision.
        np.testing.assert_allclose(
            found, sample, rtol=0, atol=5e-2 * scale, err_msg=key
        )


def _check_statistics(statistics, arrays, expected):
    statistics = training_step.by_key(statistics, "batch_stats")
    for key, value in statistics.items():
        norms = expected[f"{key.rpartition('.')[2]}_norm"]
        np.testing.assert_allclose(
            training_step.norm(value), norms[key], rtol=5e-7, err_msg=key
        )
    stored = {key.removeprefix("bn/"): x for key, x in arrays.items() if "bn/" in key}
    assert stored
    for key, value in stored.items():
        # ACRN's come after 50 layers.
        limit = 5e-7 if key.startswith("roi_head.") else 1e-8
        np.testing.assert_allclose(statistics[key], value, rtol=3e-7, atol=limit)


def _check_updates(config, params, gradients, numbers):
    """Parameters after a step with the configured clipping and with one that binds."""
    configured = numbers["optim_wrapper"]["clip_grad"]["max_norm"]
    for max_norm, expected in (
        (configured, numbers["f64"][0]),
        (numbers["clipped"]["max_norm"], numbers["clipped"]),
    ):
        config.optim.clip_norm = max_norm
        sgd = from_config.make_optimizer(config, np.array([config.optim.lr]))
        updates, _ = sgd.update(gradients, sgd.init(params), params)
        after = _by_key(optax.apply_updates(params, updates), config.model)
        for key, value in after.items():
            norm = expected["param_norm_after"][key]
            np.testing.assert_allclose(
                training_step.norm(value), norm, rtol=1e-5, err_msg=key
            )
        for key, update in _by_key(updates, config.model).items():
            np.testing.assert_allclose(
                training_step.norm(update),
                expected["update_norm"][key],
                rtol=3e-3,
                atol=1e-6,
                err_msg=key,
            )
