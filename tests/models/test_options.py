"""Options of the detectors, on a small SlowFast unless said otherwise.

Those that express PySlowFast's detectors (`slow_sampling`, `lateral_norm`,
`nonlocal_mode`, `res5_dilation`, ...) are checked against its outputs in
tests/checkpoints.
"""

import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax import config as ava_config
from ava_jax.errors import UserError
from ava_jax.models import (
    action_loss,
    build_detector,
    init_variables,
    trainable,
)
from ava_jax.models.detector import variable_shapes
from ava_jax.models.resnet3d import DEPTHS
from ava_jax.models.slowfast import slow_frames

pytestmark = pytest.mark.usefixtures("quick_compilation")


def small_config(**changes):
    """Bottlenecks 1, 1, 1, 1; 8 channels; slow path of 2 frames."""
    config = ava_config.default().model
    config.depth, config.width, config.num_classes = 14, 16, 7
    config.slow_stride, config.dropout = 2, 0.0
    config.update(changes)
    return config


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((2, 4, 64, 80, 3)).astype(np.float32)
    boxes = np.array([[[4, 8, 40, 60], [0, 0, 79, 63]]] * 2, np.float32)
    labels = (rng.random((2, 2, 7)) < 0.5).astype(np.float32)
    labels[..., 1] = 1
    return clips, boxes, labels


@pytest.fixture(scope="module")
def variables():
    """Of `small_config()`."""
    return random_variables(small_config())


def random_variables(config):
    """Of a scale that keeps the maps' scale."""
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            fan_in = np.prod(leaf.shape[:-1])
            return rng.normal(0, (2 / fan_in) ** 0.5, leaf.shape).astype(np.float32)
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1, leaf.shape).astype(np.float32)
        return rng.normal(0, 0.1, leaf.shape).astype(np.float32)

    return jax.tree.map_with_path(draw, variable_shapes(config))


def step(config, variables, inputs):
    """Loss, gradients by path, and new statistics of a training step."""
    clips, boxes, labels = inputs
    detector = build_detector(config)

    @jax.jit
    def run(variables, clips):
        def loss(params):
            logits, new = detector.apply(
                variables | {"params": params},
                clips,
                boxes,
                True,
                mutable=["batch_stats"],
            )
            return action_loss(logits, labels, np.ones((2, 2), bool)), new

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    (loss, new), gradients = run(variables, clips)
    flat = flax.traverse_util.flatten_dict(gradients, sep="/")
    return loss, flat, new["batch_stats"]


@pytest.fixture(scope="module")
def plain_step(variables, inputs):
    """The step of `small_config()`."""
    with jax.default_matmul_precision("highest"):
        return step(small_config(), variables, inputs)


def test_recomputed_stages_change_nothing(plain_step, variables, inputs):
    loss, gradients, statistics = plain_step
    again = step(small_config(remat=(2, 3, 4, 5)), variables, inputs)
    # The same operations; the compiler may order sums differently.
    np.testing.assert_allclose(again[0], loss, rtol=1e-6)
    total = np.sqrt(sum(np.square(g).sum() for g in gradients.values()))
    for path, gradient in gradients.items():
        np.testing.assert_allclose(
            again[1][path], gradient, rtol=0, atol=1e-5 * total, err_msg=path
        )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        again[2],
        statistics,
    )


def test_recomputed_stages_are_marked_in_the_program(variables, inputs):
    def recomputations(config):
        program = jax.make_jaxpr(
            lambda v: build_detector(config).apply(v, *inputs[:2], False)
        )(variables)
        return str(program).count("remat2[")

    assert recomputations(small_config()) == 0
    assert recomputations(small_config(remat=(3, 4))) == 2 * 2  # of both pathways


def test_bfloat16_computes_close_to_float32(variables, inputs):
    clips, boxes, _ = inputs

    def logits(dtype):
        detector = build_detector(small_config(dtype=dtype))
        return jax.jit(detector.apply)(variables, clips, boxes)

    exact, rounded = logits("float32"), logits("bfloat16")
    assert rounded.dtype == jnp.float32
    # 8 bits of mantissa, through 13 layers: 1 % of the spread was found.
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.02 * np.std(exact))
    assert not np.array_equal(rounded, exact)


def test_bfloat16_training_keeps_float32_where_it_matters(
    plain_step, variables, inputs
):
    loss, gradients, statistics = step(
        small_config(dtype="bfloat16"), variables, inputs
    )
    assert loss.dtype == jnp.float32
    leaves = [*gradients.values(), *jax.tree.leaves(statistics)]
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    exact_loss, exact, _ = plain_step
    np.testing.assert_allclose(loss, exact_loss, rtol=0.02)
    a = np.concatenate([g.ravel() for g in gradients.values()])
    b = np.concatenate([exact[path].ravel() for path in gradients])
    # Four boxes and statistics of two clips: the direction is all but the same.
    assert a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) > 0.9


@pytest.mark.parametrize("frozen_stages", [0, 2, 4])
def test_frozen_stages(frozen_stages, variables, inputs):
    config = small_config(frozen_stages=frozen_stages)
    _, gradients, statistics = step(config, variables, inputs)
    expected = {"conv1", "conv1_lateral"} if frozen_stages >= 0 else set()
    for i in range(1, frozen_stages + 1):
        expected |= {f"layer{i}", f"layer{i}_lateral"}
    mask = flax.traverse_util.flatten_dict(
        trainable(config, variables["params"]), sep="/"
    )
    old = flax.traverse_util.flatten_dict(variables["batch_stats"], sep="/")
    new = flax.traverse_util.flatten_dict(statistics, sep="/")
    for path, gradient in gradients.items():
        frozen = "backbone" in path and path.split("/")[2] in expected
        assert mask[path] == (not frozen), path
        assert gradient.any() == (not frozen), path
    for path, value in new.items():
        kept = path.split("/")[2] in expected
        assert np.array_equal(value, old[path]) == kept, path


def test_frozen_statistics_still_train_scales(variables, inputs):
    _, gradients, statistics = step(small_config(bn="frozen"), variables, inputs)
    assert all(gradient.any() for gradient in gradients.values())
    jax.tree.map(
        np.testing.assert_array_equal, statistics, dict(variables["batch_stats"])
    )


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (4, 5)),
        ({"res5_dilation": 2}, (4, 5)),
        ({"res5_stride": 2}, (2, 3)),
    ],
)
def test_size_of_the_map(changes, size, variables, inputs):
    detector = build_detector(small_config(**changes))
    _, taps = jax.eval_shape(
        lambda: detector.apply(variables, *inputs[:2], capture_intermediates=True)
    )
    pooled = taps["intermediates"]["roi_head"]["pooled_map"][0]
    assert pooled.shape == (2, *size, 16 * 8 * 4 + 2 * 8 * 4)


def test_stride_32_looks_at_the_same_pixels(inputs):
    """Boxes are scaled by the map's stride: a map that is constant apart from
    one corner is only noticed by the box over it."""
    config = small_config(backbone="slowonly", res5_stride=2)
    detector = build_detector(config)
    variables = init_variables(config, jax.random.key(0))
    clips = np.zeros((1, 2, 256, 256, 3), np.float32)
    clips[:, :, 160:, 160:] = 5
    boxes = np.array([[[0, 0, 60, 60], [190, 190, 250, 250]]], np.float32)
    _, taps = jax.jit(
        lambda v: detector.apply(v, clips, boxes, capture_intermediates=True)
    )(variables)
    features = taps["intermediates"]["roi_head"]["roi_feats"][0][0]
    assert features.shape[1:3] == (8, 8)
    # Without biases (a fresh network has none) black pixels give zeros.
    assert np.abs(features[1]).max() > 100 * np.abs(features[0]).max()


def test_clips_and_boxes_beyond_the_batch_do_not_matter(variables, inputs):
    """In inference a box's scores depend on its clip and itself alone."""
    clips, boxes, _ = inputs
    apply = jax.jit(build_detector(small_config()).apply)
    together = apply(variables, clips, boxes)
    alone = apply(variables, clips[1:], boxes[1:, :1])
    # Logits up to 14, summed in another order.
    np.testing.assert_allclose(alone[0], together[1, :1], rtol=0, atol=2e-5)


def test_dropout_is_on_in_training_only(variables, inputs):
    clips, boxes, _ = inputs
    detector = build_detector(small_config(dropout=0.5, bn="frozen"))

    @functools.partial(jax.jit, static_argnums=0)
    def logits(train, seed):
        rngs = {"dropout": jax.random.key(seed)}
        return detector.apply(variables, clips, boxes, train, rngs=rngs)

    np.testing.assert_array_equal(logits(False, 0), logits(False, 1))
    assert not np.allclose(logits(True, 0), logits(True, 1))
    np.testing.assert_array_equal(logits(True, 0), logits(True, 0))


@pytest.mark.parametrize("depth", DEPTHS)
def test_depths(depth):
    """Number of convolutions: the depth, less the linear layer, and shortcuts."""
    config = small_config(backbone="slowonly", depth=depth, width=8)
    shapes = variable_shapes(config)["params"]["backbone"]
    paths = flax.traverse_util.flatten_dict(shapes, sep="/")
    kernels = [path for path in paths if path.endswith("kernel")]
    shortcuts = [path for path in kernels if "downsample" in path]
    assert len(kernels) - len(shortcuts) == depth - 1
    assert len(shortcuts) == (3 if DEPTHS[depth][0] == "basic" else 4)


@pytest.mark.parametrize("depth", [10, 18])
def test_basic_blocks_run_and_look_at_neighbouring_frames_from_res4_on(depth):
    config = small_config(backbone="slowonly", depth=depth)
    shapes = variable_shapes(config)["params"]["backbone"]
    kernels = [
        shapes[f"layer{i}"]["0"][conv]["conv"]["kernel"].shape[:3]
        for i in range(1, 5)
        for conv in ("conv1", "conv2")
    ]
    assert kernels == [(1, 3, 3)] * 4 + [(3, 3, 3)] * 4
    logits = jax.jit(build_detector(config).apply)(
        random_variables(config),
        np.ones((1, 2, 32, 32, 3), np.float32),
        np.array([[[0, 0, 30, 30]]], np.float32),
    )
    assert np.isfinite(logits).all()


def test_temporal_blocks_limit_temporal_kernels():
    config = small_config(depth=50, temporal_blocks=(3, 4, 2, 3))
    backbone = variable_shapes(config)["params"]["backbone"]
    for pathway in ("slow_path", "fast_path"):
        times = [
            backbone[pathway]["layer3"][str(i)]["conv1"]["conv"]["kernel"].shape[0]
            for i in range(6)
        ]
        assert times == [3, 3, 1, 1, 1, 1]


def test_fresh_variables():
    config = small_config(backbone="slowonly", nonlocal_blocks=((), (0,), (), ()))
    variables = init_variables(config, jax.random.key(0))
    flat = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    for path, value in flat.items():
        last = path.rsplit("/", 1)[-1]
        if path.startswith("roi_head"):
            bound = flat["roi_head/bbox_head/fc_cls/kernel"].shape[0] ** -0.5
            assert 0 < np.abs(value).max() <= bound
        elif last == "bias":
            assert not value.any(), path
        elif last == "scale":
            zero = "conv3" in path or "conv_out" in path
            np.testing.assert_array_equal(value, 0 if zero else 1, err_msg=path)
        else:
            small = any(f"/{name}/" in path for name in ("theta", "phi", "g"))
            fan_out = np.prod(value.shape) / value.shape[-2]
            std = 0.01 if small else np.sqrt(2 / fan_out)
            # Five standard errors of a standard deviation.
            tolerance = 5 / np.sqrt(2 * value.size)
            np.testing.assert_allclose(value.std(), std, rtol=tolerance, err_msg=path)


@pytest.mark.parametrize(
    ("clip_len", "expected"),
    [
        (32, [0, 4, 8, 13, 17, 22, 26, 31]),
        (64, [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]),
        (4, [0]),
    ],
)
def test_evenly_spaced_slow_frames(clip_len, expected):
    assert slow_frames(clip_len, 4, "linspace").tolist() == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backbone", "slow"),
        ("depth", 51),
        ("slow_sampling", "even"),
        ("nonlocal_mode", "gaussian"),
        ("temporal_pool", "mean"),
        ("dtype", "float16"),
        ("bn", "sync"),
        ("res5_stride", 3),
        ("res5_dilation", 0),
        ("num_classes", 1),
        ("frozen_stages", 5),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("remat", (1,)),
        ("temporal_blocks", (1, 2)),
        ("nonlocal_blocks", ((), (0,))),
        ("nonlocal_blocks", ((), (1,), (), ())),
        ("nonlocal_pool", (2, 2)),
        ("lateral_kernel", 4),
        ("fast_ratio", 3),
        ("width", 0),
        ("slow_stride", 0),
        ("roi_resolution", 0),
    ],
)
def test_unusable_options_are_named(field, value):
    with pytest.raises(UserError, match=rf"config\.model\.{field} is "):
        build_detector(small_config(**{field: value}))


def test_indivisible_clip_length_names_the_stride(variables, inputs):
    clips, boxes, _ = inputs
    detector = build_detector(small_config())
    with pytest.raises(UserError, match=r"3 frames.*config\.model\.slow_stride = 2"):
        jax.eval_shape(detector.apply, variables, clips[:, :3], boxes)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_boxes_that_are_not_finite_are_named(bad, variables, inputs):
    clips, boxes, _ = inputs
    boxes = boxes.copy()
    boxes[1, 0, 2] = bad
    with pytest.raises(UserError, match=r"boxes\[1, 0\]"):
        build_detector(small_config()).apply(variables, clips, boxes)


@pytest.mark.parametrize(
    ("clip_shape", "box_shape"),
    [((4, 64, 80, 3), (2, 2, 4)), ((2, 4, 64, 80, 1), (2, 2, 4))]
    + [((2, 4, 64, 80, 3), shape) for shape in [(2, 4), (1, 2, 4), (2, 2, 5)]],
)
def test_shapes_that_do_not_fit_are_named(clip_shape, box_shape, variables):
    with pytest.raises(UserError, match="The detector takes"):
        build_detector(small_config()).apply(
            variables, np.zeros(clip_shape), np.zeros(box_shape)
        )
