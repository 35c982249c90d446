"""Losses and logged values against their definitions; fixtures are elsewhere."""

import jax
import numpy as np
import pytest

from ava_jax.models import action_loss, action_metrics, action_scores


@pytest.fixture
def batch(rng):
    """Logits, labels, mask of (2, 5) boxes, 7 classes; some without labels."""
    logits = 3 * rng.standard_normal((2, 5, 7)).astype(np.float32)
    labels = (rng.random((2, 5, 7)) < 0.4).astype(np.float32)
    labels[0, 1] = 0
    labels[1, 0] = np.eye(7)[0]  # only the reserved class
    labels[..., 1][labels.sum(-1) == 0] = 0
    mask = np.array([[1, 1, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    return logits, labels, mask


def _labelled(labels, mask):
    return mask & (labels[..., 1:].sum(-1) > 0)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


@pytest.mark.parametrize(("alpha", "gamma"), [(1, 0), (3, 1), (0.5, 2), (1, 0.5)])
def test_binary_and_focal_loss(batch, alpha, gamma):
    logits, labels, mask = batch
    chosen = _labelled(labels, mask)
    p, z = _sigmoid(logits[chosen][:, 1:]), labels[chosen][:, 1:]
    bce = -(z * np.log(p) + (1 - z) * np.log(1 - p))
    expected = (alpha * (1 - np.exp(-bce)) ** gamma * bce).mean()
    found = action_loss(*batch, focal_alpha=alpha, focal_gamma=gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("background_class", [True, False])
def test_softmax_loss(batch, background_class):
    logits, labels, mask = batch
    chosen = _labelled(labels, mask)
    x, z = logits[chosen][:, 1:].astype(np.float64), labels[chosen][:, 1:]
    log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
    # Without a class 0, a box with two labels counts twice.
    total = z.sum(-1, keepdims=True) if background_class else 1
    expected = -(z / total * log_p).sum(-1).mean()
    found = action_loss(*batch, multilabel=False, background_class=background_class)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0, 2])
def test_class_weights(batch, gamma):
    logits, labels, mask = batch
    weights = np.array([0.5, 1, 4, 1, 2, 3], np.float32)
    chosen = _labelled(labels, mask)
    p, z = _sigmoid(logits[chosen][:, 1:]), labels[chosen][:, 1:]
    bce = -(z * np.log(p) + (1 - z) * np.log(1 - p))
    # Where a box has the action, as torch's pos_weight.
    losses = (1 - np.exp(-bce)) ** gamma * bce * np.where(z > 0, weights, 1)
    found = action_loss(*batch, focal_gamma=gamma, class_weights=weights)
    np.testing.assert_allclose(found, losses.mean(), rtol=1e-6)


def test_class_weights_of_one(batch):
    for options in ({}, {"multilabel": False}, {"focal_gamma": 2.0}):
        found = action_loss(*batch, class_weights=np.ones(6), **options)
        np.testing.assert_allclose(found, action_loss(*batch, **options), rtol=1e-6)


def test_class_weights_with_softmax(batch):
    """A box with one action counts as much as the action, as in torch."""
    logits, labels, mask = batch
    labels = np.eye(7, dtype=np.float32)[labels[..., 1:].argmax(-1) + 1]
    weights = np.array([0.5, 1, 4, 1, 2, 3])
    x, z = logits[mask][:, 1:].astype(np.float64), labels[mask][:, 1:]
    log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
    expected = -(weights * z * log_p).sum(-1).mean()
    found = action_loss(logits, labels, mask, multilabel=False, class_weights=weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gradient_is_that_of_labelled_boxes_and_real_classes(batch):
    logits, labels, mask = batch
    gradient = np.asarray(jax.grad(action_loss)(logits, labels, mask))
    chosen = _labelled(labels, mask)
    assert not gradient[~chosen].any()
    assert not gradient[..., 0].any()
    assert gradient[chosen][:, 1:].all()


@pytest.mark.parametrize("gamma", [0, 0.5, 1])
def test_saturated_logits_give_finite_values(gamma):
    logits = np.array([[[0, 2000, -2000, 2000]]], np.float32)
    labels = np.array([[[0, 1, 0, 0]]], np.float32)
    loss, gradient = jax.value_and_grad(action_loss)(
        logits, labels, np.ones((1, 1), bool), focal_gamma=gamma
    )
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


def test_no_labelled_box_gives_zero(batch):
    logits, labels, _ = batch
    mask = np.zeros((2, 5), bool)
    loss, gradient = jax.value_and_grad(action_loss)(logits, labels, mask)
    assert loss == 0
    assert not gradient.any()
    assert not any(action_metrics(logits, labels, mask).values())


@pytest.mark.parametrize("multilabel", [True, False])
def test_metrics(batch, multilabel):
    logits, labels, mask = batch
    chosen = _labelled(labels, mask)
    x, z = logits[chosen][:, 1:], labels[chosen][:, 1:] > 0
    order = np.argsort(-x, axis=-1)
    best = x == x.max(-1, keepdims=True)
    predictions = {"thr=0.5": x > 0 if multilabel else best}
    for k in (3, 5):
        predictions[f"top{k}"] = np.zeros_like(z)
        np.put_along_axis(predictions[f"top{k}"], order[:, :k], True, axis=-1)
    found = action_metrics(*batch, multilabel=multilabel)
    assert len(found) == 2 * len(predictions)
    for name, y in predictions.items():
        hits = (y & z).sum(-1)
        recall, precision = hits / z.sum(-1), hits / (y.sum(-1) + 1e-6)
        np.testing.assert_allclose(found[f"recall@{name}"], recall.mean(), rtol=1e-6)
        np.testing.assert_allclose(found[f"prec@{name}"], precision.mean(), rtol=1e-6)


def test_few_classes_have_no_top_five(batch):
    logits, labels, mask = batch
    found = action_metrics(logits[..., :5], labels[..., :5], mask)
    assert set(found) == {
        "recall@thr=0.5",
        "prec@thr=0.5",
        "recall@top3",
        "prec@top3",
    }


def test_scores(batch):
    logits = batch[0]
    np.testing.assert_allclose(action_scores(logits), _sigmoid(logits), rtol=1e-6)
    single = np.asarray(action_scores(logits, multilabel=False))
    assert not single[..., 0].any()
    np.testing.assert_allclose(single.sum(-1), 1, rtol=1e-6)
    ratio = single[..., 2] / single[..., 1]
    np.testing.assert_allclose(
        ratio, np.exp(logits[..., 2] - logits[..., 1]), rtol=2e-6
    )
