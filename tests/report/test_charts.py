import cv2
import numpy as np
import pytest

from ava_jax.report import charts

BAR = (86, 180, 233)


def decode(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def metrics_of(aps, other=None, labels=10):
    """Metrics of classes 1, 2, ... with these APs."""
    ids = [str(i + 1) for i in range(len(aps))]
    other = aps if other is None else other

    def result(values):
        known = [v for v in values if v is not None]
        mean = sum(known) / len(known) if known else None
        return {"mAP": mean, "per_class": dict(zip(ids, values, strict=True))}

    return {
        "protocol": "pyslowfast",
        **result(aps),
        "protocols": {"pyslowfast": result(aps), "mmaction2": result(other)},
        "class_names": {i: f"action {i}" for i in ids},
        "counts": {
            "keyframes": 5,
            "excluded_keyframes": 0,
            "ground_truth_boxes": 5,
            "ground_truth_labels": 9,
            "detections": 20,
            "per_class": {i: {"labels": labels, "detections": 20} for i in ids},
        },
    }


def bar_lengths(picture):
    """Lengths in pixels of the bars, from the top."""
    lengths = []
    inside = False
    for row in (picture == np.array(BAR)).all(axis=-1):
        columns = np.nonzero(row)[0]
        if len(columns) and not inside:
            lengths.append(columns[-1] - columns[0] + 1)
        inside = bool(len(columns))
    return lengths


def test_bars_are_as_long_as_the_ap_and_sorted():
    picture = decode(charts.per_class_ap(metrics_of([0.25, 1.0, None, 0.5])))
    lengths = np.array(bar_lengths(picture))
    # Edges are anti-aliased: one pixel either side.
    np.testing.assert_allclose(lengths / lengths[0], [1, 0.5, 0.25], atol=0.004)


@pytest.mark.parametrize("count", [1, 7, 60, 80])
def test_every_class_has_its_bar(count):
    aps = np.linspace(0.1, 0.9, count).tolist()
    picture = decode(charts.per_class_ap(metrics_of(aps)))
    assert len(bar_lengths(picture)) == count


def test_the_other_protocol_is_drawn_only_where_it_differs():
    same = charts.per_class_ap(metrics_of([0.5, 0.8]))
    close = charts.per_class_ap(metrics_of([0.5, 0.8], [0.5 + 1e-5, 0.8]))
    differs = decode(charts.per_class_ap(metrics_of([0.5, 0.8], [0.3, 0.8])))
    assert same == close
    orange = (213, 94, 0)
    assert not (decode(same) == np.array(orange)).all(axis=-1).any()
    assert (differs == np.array(orange)).all(axis=-1).sum() > 100


def test_no_class_has_ground_truth():
    picture = decode(charts.per_class_ap(metrics_of([None] * 7, labels=0)))
    assert bar_lengths(picture) == []


@pytest.mark.parametrize("name", ["$x_1", "a\nb", "<b>&amp;", "très long " * 20, ""])
def test_names_may_hold_anything(name):
    metrics = metrics_of([0.5, 0.4])
    metrics["class_names"]["1"] = name
    picture = decode(charts.per_class_ap(metrics))
    assert len(bar_lengths(picture)) == 2


@pytest.mark.parametrize(
    ("history", "names"),
    [
        ([], []),
        ([{"step": 5}], []),
        ([{"step": 5, "clips/s": 3.0}], []),
        ([{"step": 5, "loss": 1.0}], ["loss"]),
        ([{"step": 5, "loss": None, "lr": 0.1}], ["learning rate"]),
        (
            [{"step": 1, "loss": 1.0, "lr": 0.1, "recall@thr=0.5": 0.2}]
            + [{"step": 9, "mAP": 0.4, "prec@thr=0.5": 0.3, "recall@top3": 0.4}],
            ["loss", "learning rate", "mAP", "recall", "precision"],
        ),
        ([{"step": s, "loss": float("nan")} for s in range(100)], ["loss"]),
    ],
)
def test_training_panels(history, names):
    panels = charts.training_panels(history)
    assert [name for name, _ in panels] == names
    curves = charts.training_curves(history)
    assert (curves is None) == (not names)


def test_a_resumed_run_counts_once():
    first = [{"step": s, "loss": 5.0} for s in (1, 2, 3)]
    resumed = [{"step": s, "loss": 1.0} for s in (3, 4)]
    whole = [*first[:2], *resumed]
    assert charts.training_curves(first + resumed) == charts.training_curves(whole)


def test_a_not_finite_loss_leaves_a_gap_only():
    loss = [{"step": s, "loss": 1.0} for s in range(100)]
    broken = [*loss[:50], {"step": 50, "loss": float("inf")}, *loss[51:]]
    blue = (0, 114, 178)
    inked = [
        (decode(charts.training_curves(h)) == np.array(blue)).all(axis=-1).sum()
        for h in (loss, broken)
    ]
    assert inked[1] > 0.9 * inked[0]
