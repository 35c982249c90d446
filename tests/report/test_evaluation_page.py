"""The page of an evaluation in a browser: it renders, and its controls work."""

import pytest
from browser import complaints, open_page
from evaluation_case import HISTORY, evaluation, key_frames, read_frame
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from ava_jax.report.evaluation import write_report

NAMES = {12: "stand", 14: "walk & talk", 17: "carry", 69: "w" * 60}


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    found = evaluation(names=NAMES)
    return write_report(folder, *found, key_frames(1), HISTORY, read_frame)


@pytest.fixture
def opened(browser, page):
    open_page(browser, page)
    return browser


def texts(browser, selector):
    """Of the elements that can be seen."""
    found = browser.find_elements(By.CSS_SELECTOR, selector)
    return [element.text for element in found if element.is_displayed()]


def choose(browser, name, value):
    Select(browser.find_element(By.ID, name)).select_by_value(value)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (390, True)])
def test_it_renders(browser, page, width, dark):
    open_page(browser, page, width, dark)
    assert complaints(browser) == []
    assert len(texts(browser, "section h2")) == 8
    assert len(texts(browser, "#classes tr")) == 4
    for selector in ("#curves .curve", ".map rect", "figure img", "#taken-for li"):
        assert browser.find_elements(By.CSS_SELECTOR, selector), selector
    broken = "return [...document.images].filter((i) => !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    paper = browser.find_element(By.TAG_NAME, "body")
    shade = paper.value_of_css_property("background-color")
    assert shade == ("rgba(22, 24, 28, 1)" if dark else "rgba(255, 255, 255, 1)")


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        ("-ap", "carry", "wwww"),
        ("ap", "walk", "wwww"),
        ("scores", "carry", "wwww"),
        ("boxes", "stand", "wwww"),
        ("labels", "stand", "wwww"),
        ("name", "carry", "wwww"),
        ("id", "stand", "wwww"),
    ],
)
def test_actions_are_sorted(opened, key, first, last):
    choose(opened, "sort", key)
    rows = texts(opened, "#classes th")
    assert rows[0].startswith(first) and rows[-1].startswith(last)


def test_actions_are_filtered(opened):
    field = opened.find_element(By.ID, "filter")
    field.send_keys("  A")
    assert texts(opened, "#classes th") == [
        "walk & talk [14]",
        "stand [12]",
        "carry [17]",
    ]
    field.send_keys("R")
    assert texts(opened, "#classes th") == ["carry [17]"]
    assert texts(opened, "#shown") == ["1 of 4 actions"]


def test_curves_are_chosen(opened):
    assert texts(opened, "#chosen button") == [
        "stand, AP 0.500 ×",
        "walk & talk, AP 0.833 ×",
        "carry, AP 0.000 ×",
    ]
    # Nothing of "carry" was found: it has no line.
    assert len(texts(opened, "#curves .curve")) == 2
    opened.find_elements(By.CSS_SELECTOR, "#chosen button")[0].click()
    assert len(texts(opened, "#curves .curve")) == 1
    choose(opened, "add", "12")
    assert texts(opened, "#chosen button")[-1] == "stand, AP 0.500 ×"
    assert complaints(opened) == []


def test_a_curve_is_read_under_the_pointer(opened):
    chart = opened.find_element(By.CSS_SELECTOR, "#curves svg")
    ActionChains(opened).move_to_element(chart).perform()
    told = texts(opened, "#chosen button")
    assert told[0].startswith("stand: precision 0.50 at recall 0.4")
    assert told[0].endswith("score 0.60 ×")
    assert "ends before recall" in told[2]


def test_confusion_of_the_chosen_action(opened):
    assert texts(opened, "#taken-for li") == ["found, 100 %"]
    assert texts(opened, "#taken-from li") == ["walk & talk, 50 %"]
    choose(opened, "confused", "14")
    assert texts(opened, "#taken-for li") == ["stand, 50 %", "found, 50 %"]


@pytest.mark.parametrize(("kind", "mark"), [("false", "✗"), ("low", "○")])
def test_mistakes_of_one_kind(opened, kind, mark):
    choose(opened, "kind", kind)
    shown = texts(opened, "#mistakes figure")
    assert len(shown) == 3 and all(text.startswith(mark) for text in shown)


def test_little_to_show(browser, tmp_path):
    open_page(browser, write_report(tmp_path, *evaluation([], [])), 390)
    assert complaints(browser) == []
    assert texts(browser, "#taken-for li") == []
