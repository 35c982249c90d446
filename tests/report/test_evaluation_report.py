"""The report's files, and what its page says without a browser."""

import base64
import html.parser
import json
import re
import subprocess
import sys

import cv2
import evaluation_case
import numpy as np
import pytest
from evaluation_case import (
    HISTORY,
    LEFT,
    NAMES,
    NASTY,
    TRUTH,
    evaluation,
    key_frames,
    read_frame,
)
from page_structure import HOSTILE, structure

from ava_jax import errors
from ava_jax.report import evaluation_page
from ava_jax.report.evaluation import KeyFrame, write_report

PICTURES = {
    "contact_sheet.png",
    "per_class_ap.png",
    "precision_recall.png",
    "confusion.png",
    "training_curves.png",
}


CHANCE = evaluation()[1].analysis.chance


class Page(html.parser.HTMLParser):
    """Tags, text and tables of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.rows, self.heads = [], "", [], []
        self.open, self.in_cell = "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = tag
        if tag == "table":
            self.heads.append(len(self.rows))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.in_cell = tag in ("td", "th") or (tag == "span" and self.in_cell)

    def handle_endtag(self, tag):
        self.open = ""
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data):
        if self.open not in ("script", "style"):
            self.text += data
        if self.open == "script" and self.tags[-1][1].get("id") == "data":
            self.data = json.loads(data)
        if self.in_cell:
            self.rows[-1][-1] += data

    @property
    def words(self):
        return " ".join(self.text.split())

    @property
    def images(self):
        return [attrs["src"] for tag, attrs in self.tags if tag == "img"]

    def table(self, first_cell):
        """The rows of the table that begins so."""
        (start,) = (i for i in self.heads if self.rows[i][0] == first_cell)
        end = next((i for i in self.heads if i > start), len(self.rows))
        return self.rows[start:end]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A report with everything in it."""
    folder = tmp_path_factory.mktemp("run") / "report"
    about = {"run": "runs/own", "configuration": "mini", "checkpoint": "step 7"}
    shown = key_frames(), HISTORY, read_frame, about
    index = write_report(folder, *evaluation(), *shown)
    assert index == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def page(whole):
    return Page((whole / "index.html").read_text(encoding="utf-8"))


def page_of(*arguments, **options):
    """Without frames and history."""
    found = evaluation(*arguments, **options)
    return Page(evaluation_page.render(*found, (), (), None, {}))


def test_files(whole):
    assert {p.name for p in whole.iterdir()} == {*PICTURES, "index.html"}
    for name in PICTURES:
        assert cv2.imread(str(whole / name)).std() > 0


def test_page_needs_nothing_else(whole, page):
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"link", "iframe", "object", "embed"})
    assert not any({"href", "action"} & attrs.keys() for _, attrs in page.tags)
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}]
    text = (whole / "index.html").read_text(encoding="utf-8")
    for request in ("url(", "@import", "http:", "https:", "fetch(", "import("):
        assert request not in text
    # 3 key frames, 3 training curves, the mistakes.
    assert len(page.images) == 3 + 3 + text.count("data-kind=")
    for url in page.images:
        head, data = url.split(",")
        assert head in ("data:image/png;base64", "data:image/jpeg;base64")
        content = np.frombuffer(base64.b64decode(data, validate=True), np.uint8)
        assert cv2.imdecode(content, cv2.IMREAD_COLOR) is not None
    assert all(attrs["alt"] for tag, attrs in page.tags if tag == "img")


def test_text_is_escaped(page):
    assert f"{NASTY} [14]" in page.text
    assert f"{NASTY}, second 2" in page.text
    assert page.data["names"]["14"] == NASTY


def test_hostile_names_are_escaped(monkeypatch):
    def page_with(name):
        monkeypatch.setattr(evaluation_case, "NASTY", name)  # of the movie
        metrics, findings = evaluation(names=NAMES | {14: name})
        metrics["groups"] = {name: 0.5}
        shown = key_frames(1), HISTORY, read_frame, {"run": name, "date": name}
        return evaluation_page.render(metrics, findings, *shown)

    assert structure(page_with(HOSTILE)) == structure(page_with("harmless"))


def test_head(page):
    assert page.words.startswith("Evaluation of runs/own Evaluation of runs/own ")
    pattern = r"configuration mini, checkpoint step 7, \d{4}-\d\d-\d\d \d\d:\d\d\."
    assert re.search(pattern, page.words)
    assert page_of().words.startswith("Evaluation Evaluation 0.444")


def test_headline(page):
    for words in (
        "0.444mAP, pyslowfast protocol",
        "0.463mAP, activitynet protocol",
        "0.694mAP, mmaction2 protocol",
        # Of stand 2 in 3 are reached, of the others all.
        "0.889mAP that perfect scores would give these boxes",
        "mean over 3 of 4 actions",
        "4 key frames (0 excluded)",
        "5 true boxes with 6 labels, 8 detections",
        "By group: pose 0.667, object 0.000.",
    ):
        assert words in page.words
    chance = re.search(r"(\d\.\d{3})mAP that random scores would give", page.words)
    mean = np.mean([luck.mean for luck in CHANCE.values() if luck])
    assert float(chance[1]) == pytest.approx(mean, abs=5e-4)


def test_why_the_protocols_differ(page):
    rows = page.table("from one protocol to the other")
    assert [row[1:] for row in rows] == [
        ["count", "mAP"],
        ["", "0.444"],
        ["1", "0.463"],
        ["0", "0.463"],
        ["1", "0.694"],
        ["0", "0.694"],
    ]
    names = ("pyslowfast (", "activitynet (", "mmaction2 (")
    for row, name in zip((rows[1], rows[3], rows[5]), names, strict=True):
        assert name in row[0]
    assert page.words.index("AP of every action") < page.words.index("Why the proto")


def test_actions(page):
    chance = {label: f"{luck.mean:.3f}" for label, luck in CHANCE.items() if luck}
    assert page.table("action") == [
        [
            *("action", "", "AP", "ceiling", "chance", "AP activitynet"),
            *("AP mmaction2", "labels", "detections"),
        ],
        [f"{NASTY} [14]", "", "0.833", "1.000", chance[14], "0.833", "0.833", "2", "3"],
        ["stand [12]", "", "0.500", "0.667", chance[12], "0.556", "0.556", "3", "4"],
        ["carry [17]", "", "0.000", "1.000", chance[17], "0.000", "n/a", "1", "0"],
        ["wave [69]", "n/a: no ground truth", *["n/a"] * 5, "0", "1"],
    ]
    bars = [attrs for _, attrs in page.tags if attrs.get("class") == "bar"]
    assert bars[1]["aria-label"] == (
        "AP 0.500, lost to scores 0.167, lost to missing boxes 0.333"
    )
    pieces = [a for _, a in page.tags if a.get("class") == "boxes" and "style" in a]
    assert pieces[1]["style"] == "width:33.33%"


def test_parts(page):
    rows = page.rows[
        page.rows.index(["part", "", "mAP", "ceiling", "people", "labels"]) :
    ]
    assert rows[1:4] == [
        ["under 21.0% of the frame", "", "0.000", "0.000", "1", "1"],
        ["21.0% to 23.0%", "", "1.000", "1.000", "2", "3"],
        ["from 23.0% of the frame", "", "1.000", "1.000", "2", "2"],
    ]
    assert rows[5:7] == [
        ["1 person", "", "0.625", "0.750", "3", "3"],
        ["2 people", "", "1.000", "1.000", "2", "3"],
    ]
    assert "in every part: 1 by size, 2 by number" in page.words


def test_curves(page):
    assert page.data["initial"] == ["12", "14", "17"]
    assert page.data["curves"]["12"] == {
        "score": [0.9, 0.6],
        "recall": [0.3333, 0.6667],
        "precision": [1, 0.5],
    }
    assert page.data["ap"] == {"12": 0.5, "14": pytest.approx(5 / 6), "17": 0}


def test_confusion(page):
    assert page.data["confusion"] == {
        "ids": [12, 14, 17],
        "labels": [2, 2, 1],
        "count": [[2, 0, 0], [1, 1, 0], [0, 1, 0]],
    }
    assert page.table("true → predicted")[1:] == [
        [f"{NASTY} → stand", "1.0 of 2", "50%"],
        [f"carry → {NASTY}", "1.0 of 1", "100%"],
    ]
    cells = [attrs["class"] for tag, attrs in page.tags if tag == "rect"]
    assert cells == ["found", "taken", "found", "taken"]


def test_mistakes(page):
    for words in (
        "✗ stand 0.70True: <script>alert",
        f"{NASTY}, second 903",
        "✗ wave 0.55True: stand.",
        "○ carry no scoreTrue: stand, carry.",
    ):
        assert words in page.words
    kinds = [attrs["data-kind"] for _, attrs in page.tags if "data-kind" in attrs]
    assert kinds == ["false"] * 3 + ["low"] * 3


def test_protocols_that_agree():
    agreeing = [(902, TRUTH[0][1], 12, 0.9)]
    page = page_of([agreeing[0][:3]], agreeing)
    assert "1.000mAP, by each of pyslowfast, activitynet, mmaction2 " in page.words
    assert "protocols differ" not in page.words
    columns = ["AP", "ceiling", "chance", "labels", "detections"]
    assert page.table("action")[0] == ["action", "", *columns]


# Of 40 people alone in their frames, the first 20 stand and the others walk.
MANY = [(k, LEFT, 12 if k < 20 else 14) for k in range(40)]


@pytest.mark.parametrize(
    ("is_right", "words"),
    [
        ((), "No action has a higher AP than random scores give: nothing has been"),
        (
            (12,),
            "Only stand has a higher AP than random scores give: one action of 2 has "
            "been learned, and the others are at chance.",
        ),
        ((12, 14), "2 of 2 actions have a higher AP than random scores give."),
    ],
)
def test_what_has_been_learned(is_right, words, rng):
    detected = [
        (k, LEFT, label, float(label == true) if label in is_right else rng.random())
        for k, _, true in MANY
        for label in (12, 14)
    ]
    assert words in page_of(MANY, detected, {12: "stand", 14: "walk"}).words


@pytest.mark.parametrize("names", [{12: "stand"}, {12: "stand", 14: "walk"}])
def test_of_one_action_or_few_labels_nothing_is_said(names):
    few = MANY[19:21]  # even random scores can be perfect
    detected = [(*row, 0.9) for row in (few if len(names) > 1 else MANY)]
    assert "random scores give" not in page_of(few, detected, names).words


def test_ties(page):
    assert "Ties." not in page.words
    rounded = [(*row[:3], 0.5) for row in evaluation_case.DETECTED]
    tied = page_of(detected=rounded)
    assert "Ties. Equal scores leave the mAP open: " in tied.words
    rows = tied.table("action")
    column = rows[0].index("AP by ties")
    ranges = {row[0]: row[column] for row in rows[1:]}
    # Of three labels two are found, by the first or the last two of four detections.
    assert ranges["stand [12]"] == "0.333 to 0.667"
    assert ranges["carry [17]"] == "0.000 to 0.000"
    assert ranges["wave [69]"] == "n/a"


def test_the_other_protocol_first():
    page = page_of(protocol="mmaction2")
    assert page.words.index("0.694mAP, mmac") < page.words.index("0.444mAP, pyslow")
    assert "mean over 2 of 4 actions" in page.words
    assert page.table("action")[-2][1] == "n/a: no detection"


@pytest.mark.parametrize(
    "case",
    [
        {"detected": []},
        {"truth": [], "detected": []},
        {"truth": []},
        {"names": {69: "wave"}},
    ],
)
@pytest.mark.parametrize("protocol", ["pyslowfast", "activitynet", "mmaction2"])
def test_little_to_report(case, protocol):
    page = page_of(**case, protocol=protocol)
    assert "AP of every action" in page.words
    if case.get("truth") == [] or "names" in case:
        assert "n/amAP, by each of pyslowfast, activitynet" in page.words
        assert "mean over 0 of" in page.words


def test_what_an_earlier_report_left_is_replaced(tmp_path):
    write_report(tmp_path, *evaluation(), key_frames(1))
    (tmp_path / "training_curves.png").write_text("of an earlier report")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    broken = key_frames(1)[0].__dict__ | {"actions": []}
    with pytest.raises(ValueError):
        write_report(tmp_path, *evaluation(), [KeyFrame(**broken)])
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    page = Page(write_report(tmp_path, *evaluation()).read_text(encoding="utf-8"))
    left = {"contact_sheet.png", "training_curves.png"}
    assert {p.name for p in tmp_path.iterdir()} == {*PICTURES - left, "index.html"}
    assert "There are no training curves" in page.words
    assert "made without frames" in page.words
    assert "✗ stand 0.70" in page.words and not page.images


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "report").write_text("a file is in the way")
    with pytest.raises(errors.UserError, match=r"report into .*report: File exists"):
        write_report(tmp_path / "report", *evaluation())


def test_report_imports_no_framework():
    code = (
        "import sys, ava_jax.report.evaluation;"
        "print({'tensorflow', 'jax', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_page_names_what_its_script_looks_for(whole):
    """Every id in the script is an element of the page, with frames or without."""
    text = (whole / "index.html").read_text(encoding="utf-8")
    script = text[text.rindex("<script>") :]
    wanted = set(re.findall(r"\$\(\"([a-z-]+)\"\)", script))
    assert len(wanted) > 8
    assert wanted <= set(re.findall(r' id="([a-z-]+)"', text))
