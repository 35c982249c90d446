"""VideoMAE's transformer against MMAction2 1.2.0, and its options on a small one."""

import functools

import flax.traverse_util
import from_config
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference_1x
import reference_data
import training_step
from golden_checks import check_results, check_taps

from ava_jax import config as ava_config
from ava_jax.checkpoints.pytorch import key_names
from ava_jax.checkpoints.pytorch.converter import convert_state_dict
from ava_jax.errors import UserError
from ava_jax.models import (
    action_scores,
    build_detector,
    init_variables,
    trainable,
    vit,
)
from ava_jax.models.detector import variable_shapes
from ava_jax.models.roi_align import extend_boxes
from configs import videomae

BASE, LARGE, *_ = videomae.VARIANTS


# ----------------------------------------------------------- against MMAction2
def mmaction2_variables(name):
    state = reference_1x.state_dict(name)
    return convert_state_dict(state, videomae.get_config(name).model)[0]


@pytest.fixture(scope="module")
def base_variables():
    return mmaction2_variables(BASE)


@pytest.mark.parametrize("name", [BASE, LARGE])
def test_keys_shapes_and_number_of_parameters(name):
    shapes = flax.traverse_util.flatten_dict(
        variable_shapes(videomae.get_config(name).model)
    )
    found = {
        key_names.to_key(path): key_names.to_torch_layout(
            np.broadcast_to(0, leaf.shape)
        ).shape
        for path, leaf in shapes.items()
    }
    assert found == {key: tuple(s) for key, s, _ in reference_1x.spec(name)}
    parameters = sum(leaf.size for path, leaf in shapes.items() if path[0] == "params")
    assert parameters == reference_1x.summary()[name]["parameters"]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [(BASE, ""), (BASE, "odd_"), (BASE, "native224_"), (BASE, "full_"), (LARGE, "")],
)
def test_detector_equals_mmaction2(name, prefix, base_variables):
    config = videomae.get_config(name).model
    expected, meta = reference_1x.golden(prefix + name)
    variables = base_variables if name == BASE else mmaction2_variables(name)
    apply = jax.jit(
        lambda *inputs: build_detector(config).apply(
            *inputs, capture_intermediates=True
        )
    )

    logits, taps = apply(
        variables, reference_data.clips(meta), expected["proposals"][None]
    )

    check_taps(expected, taps["intermediates"])
    # 1.8e-6 was found at 112 x 144, as far as the original's own float32.
    np.testing.assert_allclose(logits[0], expected["cls_score_f64"], rtol=0, atol=5e-6)
    scores = np.asarray(action_scores(logits[0]))
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=1e-6)
    check_results(expected, meta, scores)


def test_drop_path_equals_mmaction2(monkeypatch, base_variables):
    """The backbone in training, with the original's draws."""
    with np.load(reference_1x.ROOT / "goldens/droppath_vit-base.npz") as file:
        expected = dict(file)
    config = videomae.get_config(BASE).model
    backbone = build_detector(config).backbone
    draws = iter(expected["draws"])
    monkeypatch.setattr(vit, "drop_path_draws", lambda key, clips: next(draws))
    clips = reference_data.clips({"input_seed": 7, "input_shape": [2, 3, 16, 112, 144]})

    @jax.jit
    def apply(variables, clips):
        _, taps = backbone.apply(
            {kind: tree["backbone"] for kind, tree in variables.items()},
            clips,
            True,
            rngs={"dropout": jax.random.key(0)},
            mutable=["intermediates", "batch_stats"],
            capture_intermediates=True,
        )
        return {"backbone": taps["intermediates"]}

    check_taps(expected, apply(base_variables, clips))
    assert next(draws, None) is None
    np.testing.assert_allclose(
        np.linspace(0, config.drop_path, 12), expected["rates"], rtol=1e-6
    )


@pytest.mark.slow
def test_two_adamw_steps_equal_mmaction2(base_variables):
    """Gradients, rates by layer, decay, clipping and both moments."""
    arrays, numbers = reference_1x.training_golden(BASE)
    config = videomae.get_config(BASE)
    config.model.dropout = config.model.drop_path = 0.0
    adamw = from_config.make_optimizer(config, np.full(2, config.optim.lr))
    variables = base_variables
    state = adamw.init(variables["params"])
    for i in range(2):
        found = _step(config.model, variables, arrays, numbers, i)
        if i == 0:
            _check_clipped_update(config, variables["params"], found, numbers)
        updates, state = jax.jit(adamw.update)(found, state, variables["params"])
        params = optax.apply_updates(variables["params"], updates)
        variables = variables | {"params": params}
        _check_update(updates, params, arrays, numbers, i)


def _step(config, variables, arrays, numbers, i):
    """The gradients of a step, after a look at it."""
    meta, prefix = numbers["meta"], f"step{i}/"
    shape = {"input_shape": meta["input_shape"], "input_seed": meta["input_seeds"][i]}
    clips = reference_data.clips(shape)
    step_arrays = {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith(prefix)
    }
    boxes, labels, mask = training_step.batch(step_arrays, len(clips))
    (loss, (logits, metrics, _)), gradients = training_step.step(
        config, variables, clips, boxes, labels, mask
    )
    # In the first step optax's bias correction, in float32, is 7e-6 too large.
    limit = (5e-6, 2e-5)[i]
    scores = step_arrays["head/cls_score_f64"]
    np.testing.assert_allclose(logits[mask], scores, rtol=0, atol=limit)
    expected = numbers["steps"][i]["log_vars"]
    for key, value in {"loss": loss, **metrics}.items():
        np.testing.assert_allclose(value, expected[key], rtol=5e-6, err_msg=key)
    by_key = training_step.by_key(gradients)
    exact = numbers["f64"][i]
    assert set(by_key) == set(exact["grad_norm"])
    total = np.sqrt(sum(training_step.norm(g) ** 2 for g in by_key.values()))
    np.testing.assert_allclose(total, exact["grad_norm_total"], rtol=5e-6)
    for key, gradient in by_key.items():
        norm = exact["grad_norm"][key]
        np.testing.assert_allclose(training_step.norm(gradient), norm, rtol=1e-5)
        sample = step_arrays[f"grad/{key}"]
        np.testing.assert_allclose(
            gradient.ravel()[:: int(arrays[f"k/{key}"])],
            sample,
            rtol=0,
            atol=1e-4 * np.abs(sample).max(),
            err_msg=key,
        )
    return gradients


def _check_update(updates, params, arrays, numbers, i):
    expected = numbers["f64"][i]
    for key, update in training_step.by_key(updates).items():
        norm = expected["update_norm"][key]
        np.testing.assert_allclose(training_step.norm(update), norm, rtol=2e-5)
    for key, value in training_step.by_key(params).items():
        norm = expected["param_norm_after"][key]
        np.testing.assert_allclose(training_step.norm(value), norm, rtol=2e-7)
        sample = arrays[f"step{i}/after/{key}"]
        found = value.ravel()[:: int(arrays[f"k/{key}"])]
        np.testing.assert_allclose(found, sample, rtol=1e-6, atol=1e-8, err_msg=key)


def _check_clipped_update(config, params, gradients, numbers):
    """With a norm that binds.

    AdamW all but forgets the scale. The original's norms are differences of
    parameters: up to 6e-3 of rounding.
    """
    config = config.copy_and_resolve_references()
    config.optim.clip_norm = numbers["clipped"]["max_norm"]
    adamw = from_config.make_optimizer(config, np.full(2, config.optim.lr))
    updates, _ = jax.jit(adamw.update)(gradients, adamw.init(params), params)
    for key, update in training_step.by_key(updates).items():
        norm = numbers["clipped"]["update_norm"][key]
        np.testing.assert_allclose(training_step.norm(update), norm, rtol=1e-2)


# -------------------------------------------------------------------- positions
@pytest.mark.parametrize("size", [1, 6, 14, 21, 40])
def test_interpolation_keeps_constants_and_the_table_of_its_own_size(size):
    weights = vit.bicubic(size, 14)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=0, atol=1e-14)
    if size == 14:
        np.testing.assert_array_equal(weights, np.eye(14))


def test_the_table_is_one_over_all_tokens():
    table = vit.position_table(6)
    assert table.shape == (1, 8 * 14 * 14, 6) and table.dtype == np.float32
    angles = 1000 / np.array([1, 1, 10000 ** (1 / 3), 10000 ** (1 / 3)])
    expected = [np.sin(angles[0]), np.cos(angles[1]), *np.sin(angles[2:3])]
    np.testing.assert_allclose(table[0, 1000, :3], expected, rtol=1e-6)


# ----------------------------------------------------------- a small transformer
@pytest.fixture(autouse=True)
def quickly(request, quick_compilation):
    """Not for MMAction2's networks, which run for longer than they compile."""
    if "mmaction2" in request.node.name:
        jax.config.update("jax_disable_most_optimizations", False)
        yield
        jax.config.update("jax_disable_most_optimizations", True)
    else:
        yield


def small_config(**changes):
    config = ava_config.default().model
    config.backbone, config.vit_size = "vit", "mini"
    config.num_classes, config.dropout = 7, 0.0
    config.update(changes)
    return config


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((2, 16, 32, 48, 3)).astype(np.float32)
    boxes = np.array([[[4, 8, 40, 30], [0, 0, 47, 31]]] * 2, np.float32)
    return clips, boxes


@pytest.fixture(scope="module")
def variables():
    return init_variables(small_config(), jax.random.key(0))


def gradients(config, variables, inputs):
    """Of a sum of squares, by path, and the new statistics."""

    @jax.jit
    def compute(params):
        def loss(params):
            logits, new = build_detector(config).apply(
                variables | {"params": params},
                *inputs,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(3)},
            )
            return jnp.square(logits).sum(), new["batch_stats"]

        return jax.grad(loss, has_aux=True)(params)

    found, statistics = compute(variables["params"])
    return flax.traverse_util.flatten_dict(found, sep="/"), statistics


def test_recomputed_blocks_change_nothing_even_with_drop_path(variables, inputs):
    expected, _ = gradients(small_config(drop_path=0.5), variables, inputs)
    config = small_config(drop_path=0.5, remat=(2, 3, 4, 5))
    found, _ = gradients(config, variables, inputs)
    for path, value in expected.items():
        scale = np.abs(value).max()
        # The same operations; the compiler may order sums differently.
        np.testing.assert_allclose(found[path], value, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize(("remat", "count"), [((2,), 1), ((2, 4), 2)])
def test_recomputed_blocks_are_marked_in_the_program(remat, count, variables, inputs):
    def marks(remat):
        detector = build_detector(small_config(remat=remat))
        program = jax.make_jaxpr(lambda v: detector.apply(v, *inputs))(variables)
        return str(program).count("remat2[")

    # Attention is always recomputed on a CPU.
    assert marks(remat) - marks(()) == count


def test_clips_are_filled_up_to_whole_patches(variables, inputs):
    clips, boxes = inputs
    cut = clips[:, :, :30, :41]
    filled = np.pad(cut, ((0, 0), (0, 0), (0, 2), (0, 7), (0, 0)))
    padding, plain = (
        build_detector(small_config(vit_pad=pad)) for pad in (True, False)
    )
    expected = plain.apply(variables, filled, boxes)
    np.testing.assert_array_equal(padding.apply(variables, cut, boxes), expected)
    assert np.abs(plain.apply(variables, cut, boxes) - expected).max() > 1e-3


def test_boxes_are_extended_but_in_training(variables, inputs):
    clips, boxes = inputs
    detector = build_detector(small_config(roi_extension=(0.2, 0.1)))
    plain = build_detector(small_config())
    larger = extend_boxes(jnp.asarray(boxes), (0.2, 0.1), 32, 48)
    expected = plain.apply(variables, clips, larger)
    np.testing.assert_array_equal(detector.apply(variables, clips, boxes), expected)
    assert np.abs(plain.apply(variables, clips, boxes) - expected).max() > 1e-3
    trained, wanted = (
        d.apply(variables, *inputs, train=True, mutable=["batch_stats"])[0]
        for d in (detector, plain)
    )
    np.testing.assert_array_equal(trained, wanted)


def test_the_position_table_is_not_trained(variables, inputs):
    found, statistics = gradients(small_config(), variables, inputs)
    assert not [path for path in found if "pos_embed" in path]
    jax.tree.map(np.testing.assert_array_equal, statistics, variables["batch_stats"])


@pytest.mark.parametrize("frozen_stages", [0, 2, 4])
def test_frozen_stages(frozen_stages, variables, inputs):
    config = small_config(frozen_stages=frozen_stages)
    found, _ = gradients(config, variables, inputs)
    mask = flax.traverse_util.flatten_dict(
        trainable(config, variables["params"]), sep="/"
    )
    # Of four blocks, each is a stage.
    frozen = ("backbone/patch_embed/",)
    frozen += tuple(f"backbone/blocks/{i}/" for i in range(frozen_stages))
    for path, gradient in found.items():
        assert mask[path] == (not path.startswith(frozen)), path
        assert bool(np.any(gradient)) == mask[path], path


def test_bfloat16_computes_close_to_float32(variables, inputs):
    def logits(dtype):
        return jax.jit(build_detector(small_config(dtype=dtype)).apply)(
            variables, *inputs
        )

    exact, rounded = logits("float32"), logits("bfloat16")
    assert rounded.dtype == jnp.float32
    # 8 bits of mantissa, four blocks.
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.03 * np.std(exact))
    assert not np.array_equal(rounded, exact)


def test_drop_path_is_on_in_training_only(variables, inputs):
    detector = build_detector(small_config(drop_path=0.5))

    @functools.partial(jax.jit, static_argnums=0)
    def logits(train, seed):
        rngs = {"dropout": jax.random.key(seed)}
        return detector.apply(variables, *inputs, train, rngs=rngs)

    np.testing.assert_array_equal(logits(False, 0), logits(False, 1))
    assert not np.allclose(logits(True, 0), logits(True, 1))
    np.testing.assert_array_equal(logits(True, 0), logits(True, 0))


def test_fresh_variables(variables):
    for path, value in flax.traverse_util.flatten_dict(variables["params"]).items():
        if path[-1] == "scale":
            np.testing.assert_array_equal(value, 1)
        elif path[0] == "backbone" and path[1] == "patch_embed":
            bound = (2 * 16 * 16 * 3) ** -0.5
            assert 0.9 * bound < np.abs(value).max() <= bound, path
        elif path[-1] == "kernel" and path[0] == "backbone":
            np.testing.assert_allclose(value.std(), 0.02, rtol=0.05)
        elif path[0] == "backbone":
            assert not value.any(), path
    table = variables["batch_stats"]["backbone"]["pos_embed"]
    np.testing.assert_array_equal(table, vit.position_table(64))


@pytest.mark.parametrize(
    ("size", "heads"), [("small", 6), ("base", 12), ("large", 16), ("huge", 16)]
)
def test_sizes_are_videomaes(size, heads):
    width, depth = vit.SIZES[size].width, vit.SIZES[size].depth
    backbone = variable_shapes(small_config(vit_size=size))["params"]["backbone"]
    assert vit.SIZES[size].heads == heads and len(backbone["blocks"]) == depth
    assert backbone["norm"]["scale"].shape == (width,)


# ---------------------------------------------------------------------- layers
def test_layers_as_layer_decay_counts_them(variables):
    numbers = vit.layer_numbers(variables["params"])
    backbone = numbers["backbone"]
    assert set(jax.tree.leaves(backbone["patch_embed"])) == {0}
    for i in range(4):
        assert set(jax.tree.leaves(backbone["blocks"][str(i)])) == {i + 1}
    rest = backbone["norm"], numbers["roi_head"]
    assert set(jax.tree.leaves(rest)) == {5}


# -------------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((15, 32, 32), "15 frames cannot be cut into tubelets of 2.*clip_len to 16"),
        ((32, 32, 32), "for clips of 16 frames, and the clip has 32.*clip_len"),
        ((16, 15, 32), "15 x 32 pixels hold no patch.*position table.*data.crop"),
    ],
)
def test_clips_that_the_position_table_does_not_serve(shape, message, variables):
    clips = np.zeros((1, *shape, 3), np.float32)
    detector = build_detector(small_config())
    with pytest.raises(UserError, match=message):
        jax.eval_shape(detector.apply, variables, clips, np.zeros((1, 1, 4)))


@pytest.mark.parametrize(
    ("field", "value"), [("vit_size", "giant"), ("drop_path", 1.0), ("remat", (6,))]
)
def test_unusable_options_are_named(field, value):
    with pytest.raises(UserError, match=rf"config\.model\.{field} is "):
        build_detector(small_config(**{field: value}))
