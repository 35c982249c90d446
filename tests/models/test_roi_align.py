"""RoIAlign against the original operation and against its definition."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_data

from ava_jax.models.roi_align import extend_boxes, global_context, roi_align

# Name -> folder and file, options, tolerance: sums of float32 products of
# features of size 1, at most as far off as the original from double precision.
FIXTURES = {
    "aligned": ("goldens", "roi_align", {"resolution": 8, "aligned": True}, 1.5e-6),
    "legacy": (
        "pyslowfast",
        "roi_align_legacy",
        {"resolution": 7, "aligned": False},
        3e-6,
    ),
}


@pytest.mark.parametrize("name", FIXTURES)
def test_equals_the_original(name):
    folder, file, options, tolerance = FIXTURES[name]
    arrays, _ = reference_data.golden(file, folder)
    rois = arrays["rois"]
    clip, box = rois[:, 0].astype(int), np.arange(len(rois))
    boxes = np.broadcast_to(rois[:, 1:], (2, len(rois), 4))

    def pool(features):
        # Every box is cut from both maps; take it from its own.
        return jnp.moveaxis(roi_align(features, boxes, **options)[clip, box], -1, 1)

    output, pull_back = jax.vjp(pool, np.moveaxis(arrays["feats"], 1, -1))
    np.testing.assert_allclose(output, arrays["output_f64"], rtol=0, atol=tolerance)
    (gradient,) = pull_back(jnp.asarray(arrays["grad_output"]))
    np.testing.assert_allclose(
        np.moveaxis(gradient, -1, 1), arrays["grad_feats"], rtol=0, atol=tolerance
    )


def coordinate():
    """Pixels, many on the edges where the definition jumps."""
    return st.one_of(
        st.floats(-400, 700, width=32),
        st.integers(-3, 20).map(lambda i: 8.0 * i),
        st.sampled_from([-1e5, -5000.0, 3000.0, 1e5]),
    )


@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(
    box=hnp.arrays(np.float32, 4, elements=coordinate()),
    # Each is a program of its own to compile.
    size=st.sampled_from([(1, 1), (1, 9), (2, 3), (4, 7), (8, 2), (9, 9)]),
    aligned=st.booleans(),
)
def test_equals_its_definition(box, size, aligned):
    rng = np.random.default_rng(size[0] * 10 + size[1])
    features = rng.standard_normal((*size, 3)).astype(np.float32)
    found = roi_align(features[None], box[None, None], 4, 16, aligned)[0, 0]
    expected = _definition(features, box, 4, 16, aligned)
    # Coordinates of boxes thousands of cells wide have errors of 1e-3 cells, and
    # so do the weights.
    span = np.abs(box).max() / 16
    np.testing.assert_allclose(found, expected, rtol=0, atol=4e-6 * max(1, span))


def _definition(features, box, resolution, stride, aligned):
    """Loops over bins and sample points, in the original's float32."""
    f32 = np.float32
    span = np.abs(box).max() / stride
    x1, y1, x2, y2 = box * f32(1 / stride) - f32(0.5 if aligned else 0)
    sizes = [f32(y2 - y1), f32(x2 - x1)]
    if not aligned:
        sizes = [max(size, f32(1)) for size in sizes]
    bins = [f32(size / f32(resolution)) for size in sizes]
    samples = [max(int(np.ceil(bin_size)), 0) for bin_size in bins]
    axes = []
    for axis, start in enumerate((y1, x1)):
        weights = np.zeros((resolution, features.shape[axis]))
        for p in range(resolution):
            k = np.arange(samples[axis], dtype=f32)
            points = start + f32(p) * bins[axis]
            points = points + (k + f32(0.5)) * bins[axis] / f32(max(samples[axis], 1))
            for point in points:
                edges = np.array([-1, features.shape[axis]])
                # So far out that rounding alone puts the sample in or out.
                if span > 64 and np.abs(point - edges).min() < 2e-6 * span:
                    hypothesis.reject()
                _add_sample(weights[p], point)
            weights[p] /= max(samples[axis], 1)
        axes.append(weights)
    return np.einsum("ph,qw,hwc->pqc", *axes, features.astype(np.float64))


def _add_sample(weights, point):
    cells = len(weights)
    if point < -1 or point > cells:
        return
    point = min(max(point, 0), cells - 1)
    low = int(point)
    weights[low] += 1 - (point - low)
    if low + 1 < cells:
        weights[low + 1] += point - low


@pytest.mark.parametrize(
    "box",
    [
        [50, 20, 20, 60],  # inverted
        [20, 20, 20, 60],  # no width
        [20, 20, 20, 20],
        [0, 0, 0, 0],
        [np.nan, 0, 50, 50],
        [-np.inf, 0, np.inf, 50],
    ],
)
def test_boxes_without_area_have_no_features_and_no_gradient(box):
    features = np.ones((1, 6, 8, 2), np.float32)
    boxes = np.array([[box]], np.float32)
    value, gradient = jax.value_and_grad(lambda f: roi_align(f, boxes).sum())(features)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(features))


def test_boxes_get_no_gradient():
    features = np.random.default_rng(0).random((1, 6, 8, 2), np.float32)
    boxes = np.array([[[10.0, 10, 70, 60]]], np.float32)
    gradient = jax.grad(lambda b: roi_align(features, b).sum())(boxes)
    np.testing.assert_array_equal(gradient, np.zeros_like(boxes))


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (11, 20)])
def test_context_is_the_adaptive_average_pool(size):
    features = np.random.default_rng(0).random((2, *size, 3), np.float32)
    expected = np.zeros((2, 8, 8, 3))
    for p, q in np.ndindex(8, 8):
        rows = slice(p * size[0] // 8, -(-(p + 1) * size[0] // 8))
        columns = slice(q * size[1] // 8, -(-(q + 1) * size[1] // 8))
        expected[:, p, q] = features[:, rows, columns].mean((1, 2))
    np.testing.assert_allclose(global_context(features, 8), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 20, 29, 59), (9, 19, 30, 60)),
        ((0, 0, 9, 19), (0, 0, 9.5, 19.5)),
        # The picture's last pixels are 99 and 79.
        ((90, 60, 99, 79), (89.5, 59.5, 99, 79)),
        ((-20, 60, 130, 90), (0, 59.225, 99, 79)),
    ],
)
def test_extended_boxes_stay_in_the_picture(box, expected):
    found = extend_boxes(jnp.array([[box]], jnp.float32), (0.1, 0.05), 80, 100)
    np.testing.assert_allclose(found, [[expected]], rtol=1e-6)
