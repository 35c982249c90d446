"""The page to correct annotations: what is in it, and its keys in a browser."""

import pathlib
import time

import numpy as np
import pytest
from browser import complaints, open_page
from page_structure import HOSTILE, structure
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from ava_jax.annotations import read_boxes
from ava_jax.report import review_page
from ava_jax.report.drawing import encode_jpeg
from ava_jax.report.review_page import KeyFrame, Person, Turn

ACTIONS = {12: "stand", 14: "walk", 79: HOSTILE}
JPEG = encode_jpeg(np.full((90, 160, 3), 120, np.uint8))
LEFT, RIGHT = (0.1, 0.2, 0.3, 0.9), (0.6, 0.2, 0.8, 0.9)
FRAMES = [
    KeyFrame("film", "0000", JPEG, [Person(1, LEFT, [12], {12: 0.8, 14: 0.1})]),
    KeyFrame("film", "0001", JPEG, [Person(1, LEFT, [12]), Person(2, RIGHT, [])]),
    KeyFrame("a,b", "0.500000", JPEG, []),
]
ORDER = [Turn(1, "uncertain", 0.9), Turn(2, "rare", 0.5), Turn(0, "rare", 0.1)]


def render(title="Annotation of films", frames=FRAMES, actions=ACTIONS, order=ORDER):
    return review_page.render(title, frames, actions, order, notes=["A note."])


def test_hostile_names_are_escaped():
    def page_with(name):
        frame = KeyFrame(name, "0000", JPEG, [Person(1, LEFT, [1])])
        return render(name, [frame], {1: name}, [Turn(0, name, 0)])

    assert structure(page_with(HOSTILE)) == structure(page_with("harmless"))


@pytest.fixture(params=[1280, 390])
def opened(request, browser, tmp_path):
    path = tmp_path / "review.html"
    path.write_text(render(title=str(tmp_path)))  # a page without changes
    behavior = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)
    open_page(browser, path, width=request.param)
    until_ready(browser)
    yield browser
    assert complaints(browser) == []


def until_ready(browser):
    """The page shows nothing before it has read what the browser kept."""
    ready = "return !document.body.inert"
    WebDriverWait(browser, 20).until(lambda it: it.execute_script(ready))


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def found(browser, css):
    return [e.text for e in browser.find_elements(By.CSS_SELECTOR, css)]


def pressed(browser):
    """The actions that the chosen person has."""
    return found(browser, "#actions [aria-pressed=true] b")


def where(browser):
    return browser.find_element(By.ID, "where").text


def saved(browser, folder, name):
    """Clicks and returns the file."""
    path = pathlib.Path(folder, f"{name}.csv")
    path.unlink(missing_ok=True)
    browser.find_element(By.ID, f"save-{name}").click()
    for _ in range(100):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.05)
    raise AssertionError(f"{path} was not downloaded")


def annotate(browser):
    """Does by keys what the rows in `DONE` say."""
    press(browser, "2", "1", "2", "2", "m")  # walks; does not stand
    press(browser, "n", "3", "m", "o")


DONE = (
    "film,0000,0.1,0.2,0.3,0.9,14,1\n"
    "film,0001,0.1,0.2,0.3,0.9,12,1\n"
    "film,0001,0.6,0.2,0.8,0.9,79,2\n"
    '"a,b",0.500000\n'
)


def test_a_walk_by_keys_gives_the_rows(opened, tmp_path):
    assert where(opened) == "film, second 0, 1 of 3"
    assert pressed(opened) == ["stand"]
    keys = found(opened, "#actions kbd")
    assert keys == ["1", "2", "3"]
    assert found(opened, "#actions button")[0].split() == ["1", "stand", "0.80"]
    annotate(opened)
    assert found(opened, "#progress-text") == ["3 of 3 done"]
    assert saved(opened, tmp_path, "done") == DONE
    table = read_boxes(tmp_path / "done.csv")
    assert table.videos == ("film", "a,b")
    assert table.label.tolist() == [14, 12, 79]
    assert table.entity.tolist() == [1, 1, 2]
    assert table.keyframe_timestamp.tolist() == [0.5]


def test_only_key_frames_that_are_done_are_saved(opened, tmp_path):
    press(opened, "j", "m")
    # Person 2 has no action.
    assert saved(opened, tmp_path, "done") == "film,0001,0.1,0.2,0.3,0.9,12,1\n"
    assert "1 people without an action are left out" in found(opened, "#status")[0]
    lines = saved(opened, tmp_path, "all").splitlines()
    assert lines[2:] == ["film,0001,0.6,0.2,0.8,0.9,,2", '"a,b",0.500000']
    # A mark can be taken back.
    press(opened, "k", "m")
    assert found(opened, "#progress-text") == ["0 of 3 done"]


def test_undo_and_redo(opened):
    press(opened, "2", "j", "n", "x")
    assert found(opened, "#people button") == ["Person 1 (1)"]
    press(opened, "u")
    assert found(opened, "#people button") == ["Person 1 (1)", "Person 2 (0)"]
    # What is undone elsewhere is shown.
    press(opened, "u")
    assert where(opened).startswith("film, second 0") and pressed(opened) == ["stand"]
    assert not opened.find_element(By.ID, "undo").is_enabled()
    press(opened, "y")
    assert pressed(opened) == ["stand", "walk"]
    ActionChains(opened).key_down(Keys.CONTROL).send_keys("z").key_up(
        Keys.CONTROL
    ).perform()
    assert pressed(opened) == ["stand"]
    # A new change ends what could be redone.
    press(opened, "1", "y")
    assert pressed(opened) == []


def test_a_reload_restores(opened, tmp_path):
    annotate(opened)
    press(opened, "k", "k")
    before = where(opened)
    opened.refresh()
    until_ready(opened)
    assert where(opened) == before
    assert saved(opened, tmp_path, "done") == DONE
    # Another page has its own store.
    other = tmp_path / "other.html"
    other.write_text(render(title="Others"))
    opened.get(other.as_uri())
    until_ready(opened)
    assert found(opened, "#progress-text") == ["0 of 3 done"]


def test_loads_a_csv(opened, tmp_path):
    path = tmp_path / "given.csv"
    path.write_text(DONE + "film,0007,0,0,1,1,12,1\nfilm,0000,0,0,1,1,13,1\n")
    opened.find_element(By.ID, "load").send_keys(str(path))
    told = "2 rows fit no key frame or action of this page and are left out."
    for _ in range(100):
        if found(opened, "#status") != [""]:
            break
        time.sleep(0.02)
    assert found(opened, "#status") == [f"Loaded 3 key frames. {told}"]
    assert saved(opened, tmp_path, "done") == DONE
    press(opened, "u")
    assert found(opened, "#progress-text") == ["0 of 3 done"]


def test_filter(opened):
    press(opened, "/", "WAL")
    assert found(opened, "#actions b") == ["walk"]
    press(opened, Keys.ENTER)
    assert pressed(opened) == ["stand", "walk"]
    assert len(found(opened, "#actions b")) == 3
    # Keys are commands again.
    press(opened, "j")
    assert where(opened).startswith("film, second 1")


def test_most_useful_first(opened):
    opened.find_element(By.ID, "useful").click()
    reason = "uncertain, more than 90 % of the key frames"
    assert where(opened) == f"film, second 1, 1 of 3; {reason}"
    press(opened, "j")
    assert where(opened).startswith("a,b, second 0.5, 2 of 3")


def box(browser, tmp_path, person):
    """The person's box at the first key frame."""
    lines = saved(browser, tmp_path, "all").splitlines()
    (row,) = (
        line for line in lines if line.endswith(f",{person}") and ",0000," in line
    )
    return [float(edge) for edge in row.split(",")[2:6]]


def drag(browser, start, end):
    """From and to fractions of the picture."""
    picture = browser.find_element(By.ID, "boxes")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    size = picture.size
    chain = ActionChains(browser)
    for i, (x, y) in enumerate((start, end)):
        dx, dy = (x - 0.5) * size["width"], (y - 0.5) * size["height"]
        chain.move_to_element_with_offset(picture, round(dx), round(dy))
        chain.click_and_hold() if i == 0 else chain.release()
    chain.perform()


def test_the_mouse_draws_moves_and_resizes(opened, tmp_path):
    # A pixel of the narrow page is 1/366 of its picture's width, 1/206 of its height.
    near = {"abs": 0.006}
    press(opened, "b")
    drag(opened, (0.2, 0.5), (0.7, 0.8))  # may begin in a box
    assert found(opened, "#people button") == ["Person 1 (1)", "Person 3 (0)"]
    assert box(opened, tmp_path, 3) == pytest.approx([0.2, 0.5, 0.7, 0.8], **near)
    drag(opened, (0.5, 0.6), (0.6, 0.5))
    assert box(opened, tmp_path, 3) == pytest.approx([0.3, 0.4, 0.8, 0.7], **near)
    press(opened, "u", "u")
    corner = opened.find_element(By.CSS_SELECTOR, 'i[data-x="2"][data-y="1"]')
    ActionChains(opened).drag_and_drop_by_offset(corner, 30, 0).perform()
    width = opened.find_element(By.ID, "boxes").size["width"]
    expected = [0.1, 0.2, 0.3 + 30 / width, 0.9]
    assert box(opened, tmp_path, 1) == pytest.approx(expected, **near)


def test_keys_draw_move_and_resize(opened, tmp_path):
    press(opened, "b", "b")
    assert box(opened, tmp_path, 3) == [0.4, 0.3, 0.6, 0.7]
    ActionChains(opened).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_down(
        Keys.CONTROL
    ).send_keys(Keys.ARROW_DOWN).key_up(Keys.CONTROL).key_up(Keys.SHIFT).perform()
    assert box(opened, tmp_path, 3) == [0.39, 0.3, 0.59, 0.71]
