"""Results of videos, as a stream and in a notebook."""

import html.parser
import itertools

import pytest
from video_results import LABELS, result

from ava_jax.inference.video_results import KeyFrames, VideoResults

PEOPLE = {3: ((4, 4, 30, 44), (0.25, 0.75, 0.0))}


class Pictures(html.parser.HTMLParser):
    """The attributes of the pictures of a page, and all its tags."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attributes))


def stream(count, closed=None):
    try:
        for i in range(count):
            yield result(float(i), PEOPLE)
    finally:
        if closed is not None:
            closed.append(True)


def test_a_stream_is_used_once_and_can_be_closed():
    closed = []
    results = VideoResults(stream(5, closed))
    assert [r.time for r in itertools.islice(results, 2)] == [0, 1]
    # It shows what to do, and is not used up by it.
    assert "collect()" in repr(results)
    assert not hasattr(results, "_repr_html_")
    assert next(results).time == 2
    results.close()
    assert closed == [True] and list(results) == []


def test_all_results():
    results = VideoResults(stream(4)).collect()
    assert isinstance(results, list) and [r.time for r in results] == [0, 1, 2, 3]


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (3, 3), (12, 12), (40, 12)])
def test_a_notebook_shows_key_frames(count, shown):
    text = VideoResults(stream(count)).collect()._repr_html_()
    page = Pictures(text)
    assert len(page.pictures) == shown
    first, last = page.pictures[0], page.pictures[-1]
    assert first["src"].startswith("data:image/jpeg;base64,")
    assert first["alt"] == "0 s; person 3: walk 0.75"
    assert last["alt"].startswith(f"{count - 1} s; ")
    assert f"1 people at {count} key frames" in text
    assert ("of which 12 are shown" in text) == (count > 12)
    # It is a part of the page of a notebook, and may not change the rest.
    assert not {"html", "body", "style", "script"} & set(page.tags)


def test_a_result_shows_itself():
    (picture,) = Pictures(result(2.5, {})._repr_html_()).pictures
    assert picture["alt"] == "2.5 s; nobody"


def test_nothing_to_show():
    assert Pictures(KeyFrames()._repr_html_()).pictures == []


def test_names_are_text(monkeypatch):
    one = result(0.0, PEOPLE)
    object.__setattr__(one, "labels", (*LABELS[:2], '<b onload="x">', LABELS[3]))
    (picture,) = Pictures(one._repr_html_()).pictures
    assert picture["alt"] == '0 s; person 3: <b onload="x"> 0.75'
