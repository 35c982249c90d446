import base64
import html.parser
import subprocess
import sys

import cv2
import numpy as np
import pytest

from ava_jax import errors
from ava_jax.report.evaluation import KeyFrame, write_report

NASTY = '<script>alert("1")</script> & $x$'
HISTORY = [
    {"step": 10, "loss": 2.0, "lr": 0.1},
    {"step": 20, "loss": 1.0, "lr": 0.1, "mAP": 0.6},
]


def make_metrics():
    activitynet = {"12": 0.9, "14": 0.5, "17": 0.0, "69": None}
    mmaction2 = {"12": 0.9, "14": 0.5, "17": None, "69": None}
    return {
        "protocol": "activitynet",
        "mAP": 1.4 / 3,
        "per_class": activitynet,
        "protocols": {
            "activitynet": {"mAP": 1.4 / 3, "per_class": activitynet},
            "mmaction2": {"mAP": 0.7, "per_class": mmaction2},
        },
        "class_names": {"12": "stand", "14": NASTY, "17": "carry", "69": "wave"},
        "counts": {
            "keyframes": 1234,
            "excluded_keyframes": 0,
            "ground_truth_boxes": 300,
            "ground_truth_labels": 400,
            "detections": 5678,
            "per_class": {
                "12": {"labels": 200, "detections": 3000},
                "14": {"labels": 150, "detections": 2678},
                "17": {"labels": 50, "detections": 0},
                "69": {"labels": 0, "detections": 0},
            },
        },
    }


def make_key_frames(count=3):
    rng = np.random.default_rng(0)
    return [
        KeyFrame(
            title=f"{NASTY}, second {i}",
            image=rng.integers(0, 255, (72, 96, 3), np.uint8),
            true_boxes=np.array([[0.1, 0.2, 0.3, 0.9]]),
            true_actions=[["stand", NASTY]],
            boxes=np.array([[0.1, 0.2, 0.3, 0.9], [0.5, 0.1, 0.7, 0.6]]),
            actions=[[("stand", 0.9)], [(NASTY, 0.7)]],
        )
        for i in range(count)
    ]


class Page(html.parser.HTMLParser):
    """Tags and text of an HTML file."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.rows = [], "", []
        self.in_cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data

    @property
    def words(self):
        return " ".join(self.text.split())

    @property
    def images(self):
        return [
            attrs.get("src") or attrs["srcset"]
            for tag, attrs in self.tags
            if tag in ("img", "source")
        ]


def test_files(tmp_path):
    folder = tmp_path / "run" / "report"
    index = write_report(folder, make_metrics(), make_key_frames(), HISTORY)
    assert index == folder / "index.html"
    pictures = ["contact_sheet.png", "per_class_ap.png", "training_curves.png"]
    assert {p.name for p in folder.iterdir()} == {*pictures, "index.html"}
    for name in pictures:
        assert cv2.imread(str(folder / name)).std() > 0


def test_page_needs_nothing_else(tmp_path):
    page = Page(write_report(tmp_path, make_metrics(), make_key_frames(), HISTORY))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe"})
    assert not any("href" in attrs for _, attrs in page.tags)
    # 3 key-frames; the chart and 3 curves, light and dark.
    assert len(page.images) == 3 + 2 * 4
    for url in page.images:
        head, data = url.split(",")
        assert head in ("data:image/png;base64", "data:image/jpeg;base64")
        content = np.frombuffer(base64.b64decode(data, validate=True), np.uint8)
        assert cv2.imdecode(content, cv2.IMREAD_COLOR) is not None
    assert "url(" not in page.text and "@import" not in page.text
    assert all(attrs["alt"] for tag, attrs in page.tags if tag == "img")


def test_text_is_escaped(tmp_path):
    page = Page(write_report(tmp_path, make_metrics(), make_key_frames(), HISTORY))
    assert f"{NASTY} [14]" in page.text
    assert f"{NASTY}, second 2" in page.text


def test_headline(tmp_path):
    page = Page(write_report(tmp_path, make_metrics(), make_key_frames(), HISTORY))
    for words in (
        "0.467mAP, activitynet protocol",
        "0.700mAP, mmaction2 protocol",
        "mean over 3 of 4 classes",
        "1,234 key-frames (0 excluded)",
        "300 true boxes with 400 labels, 5,678 detections",
        "Here: 1 such class.",
    ):
        assert words in page.words


def test_table(tmp_path):
    page = Page(write_report(tmp_path, make_metrics(), [], []))
    assert page.rows == [
        ["class", "AP activitynet", "AP mmaction2", "labels", "detections"],
        ["stand [12]", "0.900", "0.900", "200", "3,000"],
        [f"{NASTY} [14]", "0.500", "0.500", "150", "2,678"],
        ["carry [17]", "0.000", "n/a: no detection", "50", "0"],
        ["wave [69]", "n/a: no ground truth", "n/a: no ground truth", "0", "0"],
    ]


def agreeing():
    metrics = make_metrics()
    metrics["protocols"]["mmaction2"] = metrics["protocols"]["activitynet"]
    return metrics


def with_exclusions():
    metrics = make_metrics()
    metrics["counts"]["excluded_keyframes"] = 7
    return metrics


def headline_mmaction2():
    metrics = make_metrics()
    result = metrics["protocols"]["mmaction2"]
    return {**metrics, "protocol": "mmaction2", **result}


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (agreeing(), "Both protocols give the same number here"),
        (with_exclusions(), "Here: 1 such class and 7 excluded key-frames."),
        (headline_mmaction2(), "mean over 2 of 4 classes"),
    ],
)
def test_why_protocols_differ(tmp_path, metrics, words):
    assert words in Page(write_report(tmp_path, metrics, [], [])).words


def test_table_has_one_ap_when_protocols_agree(tmp_path):
    page = Page(write_report(tmp_path, agreeing(), [], []))
    assert page.rows[0] == ["class", "AP activitynet", "labels", "detections"]


def test_no_map(tmp_path):
    metrics = make_metrics()
    nothing = {"mAP": None, "per_class": dict.fromkeys(metrics["class_names"])}
    metrics.update(nothing)
    metrics["protocols"] = {"activitynet": nothing, "mmaction2": nothing}
    page = Page(write_report(tmp_path, metrics, [], []))
    assert "n/amAP, activitynet protocol" in page.words
    assert "mean over 0 of 4 classes" in page.words


def test_evaluation_without_training_and_frames(tmp_path):
    write_report(tmp_path, make_metrics(), make_key_frames(), HISTORY)
    page = Page(write_report(tmp_path, make_metrics(), [], []))
    # What the earlier report left and this one does not have is gone.
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "index.html",
        "per_class_ap.png",
    ]
    assert "No training curves" in page.words
    assert "No frames were at hand" in page.words


def test_a_report_that_fails_leaves_the_earlier_one(tmp_path):
    write_report(tmp_path, make_metrics(), make_key_frames(1), HISTORY)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    broken = make_key_frames(1)[0].__dict__ | {"actions": []}
    with pytest.raises(ValueError):
        write_report(tmp_path, make_metrics(), [KeyFrame(**broken)], HISTORY)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "report").write_text("a file is in the way")
    with pytest.raises(errors.UserError, match=r"report into .*report: File exists"):
        write_report(tmp_path / "report", make_metrics(), [], [])


def test_report_imports_no_framework():
    code = (
        "import sys, ava_jax.report.evaluation;"
        "print({'tensorflow', 'jax', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
