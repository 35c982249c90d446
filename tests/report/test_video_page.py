"""The page of a video: what is in it, and its controls in a browser."""

import html.parser

import av
import numpy as np
import pytest
from browser import complaints, open_page
from page_structure import HOSTILE, structure
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from video_files import pictures

from ava_jax.report import style, video_page
from ava_jax.report.video_page import Picture, Sighting
from ava_jax.video.writer import VideoWriter

NASTY = '</script><script>alert("1")</script> & "quoted"'
WALK, STAND, TALK = "walk", "stand", "talk to (e.g., self, a person, a group)"
# Second by second; person 1 walks, then stands; person 2 does two things.
SIGHTINGS = [
    *(Sighting(t, 1, [(WALK, 0.9), (STAND, 0.2)]) for t in range(5)),
    *(Sighting(t, 1, [(STAND, 0.8)]) for t in range(5, 10)),
    *(Sighting(t, 2, [(TALK, 0.6), (NASTY, 0.4)]) for t in (3, 4, 7)),
]
COLORS = {1: (230, 159, 0), 2: (0, 114, 178)}


def render(video="film.mp4", sightings=SIGHTINGS, title="Actions in film", **options):
    options = {"duration": 10.0, "every": 1.0, "threshold": 0.3} | options
    sightings = sorted(sightings, key=lambda sighting: sighting.time)
    return video_page.render(title, video, sightings, colors=COLORS, **options)


class Outline(html.parser.HTMLParser):
    """Tags and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("title", ["Actions in film", NASTY])
def test_needs_nothing_else(title):
    outline = Outline(render(title=title, notes=[NASTY]))
    assert outline.all("video")[0]["src"] == "film.mp4"
    assert not outline.all("link")
    assert not any("src" in script for script in outline.all("script"))
    assert len(outline.all("script")) == 2  # the data and the program


def test_hostile_names_are_escaped():
    def page_with(name):
        said = [Sighting(1.0, 1, [(name, 0.9)])]
        told = {"title": name, "notes": [name], "model": name, "actions": [name]}
        return render(f"{name}.mp4", said, **told)

    assert structure(page_with(HOSTILE)) == structure(page_with("harmless"))


def test_names_of_files_are_quoted():
    page = render(video='my "film" #1?.mp4')
    assert Outline(page).all("video")[0]["src"] == "my%20%22film%22%20%231%3F.mp4"


def test_a_small_video_is_part_of_the_page():
    source = Outline(render(video=b"\0\1\2")).all("video")[0]["src"]
    assert source == "data:video/mp4;base64,AAEC"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, (64, 48), 2) as writer:
        for i, picture in enumerate(pictures(20)):
            writer.write(picture, i / 2)
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(10 * av.time_base, rel=0.01)
    return path


@pytest.fixture(params=[1280, 390])
def opened(request, browser, film):
    path = film.with_name("film.html")
    path.write_text(render())
    open_page(browser, path, width=request.param)
    return browser


def found(browser, css):
    return [e.text for e in browser.find_elements(By.CSS_SELECTOR, css)]


def spans(browser):
    """The start and length of every coloured span, in percent of its track."""
    script = (
        "return [...document.querySelectorAll('.track button')]"
        ".map((b) => [parseFloat(b.style.left), parseFloat(b.style.width)])"
    )
    return browser.execute_script(script)


def set_score(browser, value):
    browser.execute_script(
        "const slider = document.getElementById('score');"
        "slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input'));",
        value,
    )


def test_shows_who_does_what_when(opened):
    assert found(opened, ".person .chip") == ["person 1", "person 2"]
    # What takes longest comes first.
    names = [STAND, WALK, "talk to", style.short_action(NASTY)]
    assert found(opened, ".lane span") == names
    # A key frame stands for a second; neighbours join.
    twice = [[25, 20], [65, 10]]
    np.testing.assert_allclose(spans(opened), [[45, 50], [0, 45], *twice, *twice])
    assert complaints(opened) == []


def test_filters(opened):
    set_score(opened, 0.7)
    assert found(opened, ".person .chip") == ["person 1"]
    assert found(opened, "#limit") == ["0.70"]
    set_score(opened, 0.3)
    action = Select(opened.find_element(By.ID, "action"))
    assert len(action.options) == 5
    action.select_by_visible_text("talk to")
    assert found(opened, ".lane span") == ["talk to"]
    np.testing.assert_allclose(spans(opened), [[25, 20], [65, 10]])
    action.select_by_visible_text("all")
    assert len(found(opened, ".lane")) == 4
    assert complaints(opened) == []


def test_a_click_goes_there(opened):
    now = "return document.getElementById('video').currentTime"
    track = opened.find_element(By.CSS_SELECTOR, ".track")
    # Offsets are from the middle: this is second 7.
    right = round(track.size["width"] / 5)
    ActionChains(opened).move_to_element_with_offset(track, right, 0).click().perform()
    # A pixel of the narrow page is 0.03 s.
    assert opened.execute_script(now) == pytest.approx(7, abs=0.1)
    assert found(opened, ".person.seen .chip") == ["person 1", "person 2"]
    marks = opened.execute_script(
        "return [...document.querySelectorAll('.track i')].map((i) => i.style.left)"
    )
    assert {round(float(mark.rstrip("%"))) for mark in marks} == {70}
    # The keyboard goes to the beginning of a span.
    span = opened.find_element(By.CSS_SELECTOR, ".track button")
    start = float(opened.execute_script("return arguments[0].style.left", span)[:-1])
    span.send_keys("\n")
    assert opened.execute_script(now) == pytest.approx(start / 10, abs=0.01)
    assert complaints(opened) == []


def test_nobody(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render(video=b"", sightings=[], notes=["Nobody.", "Try HOG."]))
    open_page(browser, path)
    assert found(browser, "p") == ["Nobody. Try HOG.", ""]
    # Filters of nobody would be in the way.
    assert not browser.find_element(By.ID, "action").is_displayed()
    assert complaints(browser) == []


def test_two_times_that_read_the_same_are_one(browser, tmp_path):
    path = tmp_path / "page.html"
    sightings = [Sighting(t, n, [(WALK, 0.9)]) for t, n in ((3, 1), (5, 2), (6, 2))]
    path.write_text(render(video=b"", sightings=sightings, every=0.5))
    open_page(browser, path)
    assert found(browser, ".person h3 .soft") == ["at 0:03", "0:05 to 0:06"]
    titles = browser.find_elements(By.CSS_SELECTOR, ".track button")
    said = [title.get_attribute("title") for title in titles]
    assert said[0] == "walk, 0:02 to 0:03, score up to 0.90"


JPEG = b"\xff\xd8 made up"
PICTURES = [Picture(2.0, 1, JPEG), Picture(8.25, 0, JPEG)]


def test_key_frames_stand_in_for_a_video_that_was_left_behind():
    page = render(poster=JPEG, pictures=PICTURES)
    outline = Outline(page)
    (video,) = outline.all("video")
    url = "data:image/jpeg;base64,/9ggbWFkZSB1cA=="
    assert video["src"] == "film.mp4" and video["poster"] == url
    assert "The video is the file film.mp4 beside this page." in page
    assert 'href="#key-frames"' in page and 'id="key-frames"' in page
    assert [image["src"] for image in outline.all("img")] == [url, url]
    assert "<figcaption>8.2 s</figcaption>" in page
    # A video that is part of the page cannot be left behind.
    page = render(video=b"video", poster=JPEG, pictures=PICTURES)
    assert not Outline(page).all("img") and "beside this page" not in page


def test_a_click_on_a_key_frame_goes_there(browser, film):
    path = film.with_name("stills.html")
    path.write_text(render(pictures=PICTURES))
    open_page(browser, path, width=390)
    # By a script, because a made-up JPEG has no size to click at.
    browser.execute_script("document.querySelectorAll('.still')[1].click()")
    now = browser.execute_script("return document.getElementById('video').currentTime")
    assert now == 8.25


@pytest.mark.parametrize(
    ("width", "count", "expected"), [(1280, 6, 6), (390, 6, 4), (390, 5, 5)]
)
def test_one_person_does_not_fill_a_phone(browser, tmp_path, width, count, expected):
    actions = [(f"action {i}", 0.9) for i in range(count)]
    path = tmp_path / "page.html"
    path.write_text(render(video=b"", sightings=[Sighting(3, 1, actions)]))
    open_page(browser, path, width=width)
    assert len(found(browser, ".lane")) == expected
    assert browser.find_element(By.ID, "count").text.startswith("1 of 1 person.")
    height = browser.find_element(By.CSS_SELECTOR, ".person").size["height"]
    assert height < 250


def test_many_people_come_in_portions(browser, tmp_path):
    path = tmp_path / "page.html"
    many = [Sighting(i / 10, i, [(WALK, 0.9)]) for i in range(150)]
    colors = dict.fromkeys(range(150), (230, 159, 0))
    path.write_text(
        video_page.render(
            "Many",
            b"",
            many,
            **{"duration": 15.0, "every": 0.1, "threshold": 0.3},
            colors=colors,
        )
    )
    open_page(browser, path)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".person")) == 100
    more = browser.find_element(By.ID, "more")
    more.click()
    assert len(browser.find_elements(By.CSS_SELECTOR, ".person")) == 150
    assert not more.is_displayed()
