import numpy as np
import pytest

from ava_jax.visualization.video_visualizer import Annotator, track_color

GREY = 90
CARD = (24, 26, 30)  # what cards are made of, and the rim of boxes


def frame(height=360, width=480):
    return np.full((height, width, 3), GREY, np.uint8)


def draw(annotator, picture, people, actions):
    numbers = np.arange(1, len(people) + 1)
    boxes = np.array(people, np.float64).reshape(-1, 4)
    return annotator.draw(picture, boxes, numbers, actions)


def card_of(picture, box, grown=6):
    """Rows and columns of what is drawn beside the box (with its rim)."""
    drawn = (picture != GREY).any(axis=-1)
    x1, y1, x2, y2 = np.array(box) + (-grown, -grown, grown, grown)
    drawn[max(y1, 0) : y2, max(x1, 0) : x2] = False
    return np.nonzero(drawn)


def colored(picture, color):
    # Cards let a little of the picture through.
    seen = 0.82 * np.array(color) + 0.18 * GREY
    return (np.abs(picture - seen) < 2).all(axis=-1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((192, 144), (480, 360)), ((641, 361), (641, 361))],
)
def test_small_videos_are_enlarged(size, expected):
    annotator = Annotator(size)
    assert annotator.size == expected
    picture = draw(annotator, frame(size[1], size[0]), [], [])
    assert picture.shape == (expected[1], expected[0], 3)
    assert (picture == GREY).all()


@pytest.mark.parametrize("score", [0.1, 0.25, 0.5, 0.9])
def test_bars_are_as_long_as_the_score(score):
    def area(score):
        people, actions = [(200, 150, 260, 300)], [[("walk", score)]]
        picture = draw(Annotator((480, 360)), frame(), people, actions)
        return np.count_nonzero(colored(picture, track_color(1)))

    empty, full = area(0.0), area(1.0)
    # Bars are 32 pixels long: half a pixel is 1.6 %.
    assert (area(score) - empty) / (full - empty) == pytest.approx(score, abs=0.016)


def test_boxes_are_enlarged_with_the_picture():
    people = [(40, 50, 80, 140)]
    picture = draw(Annotator((192, 144)), frame(144, 192), people, [[]])
    drawn = (picture == np.array(track_color(1))).all(axis=-1)
    rows, columns = np.nonzero(drawn)
    # Lines are 2 pixels thick, on the edge.
    ends = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert np.abs(np.array(ends) - np.array(people[0]) * 2.5).max() <= 1


def test_people_have_colours_of_their_own():
    colors = {track_color(number) for number in range(1, 7)}
    assert len(colors) == 6
    assert track_color(7) == track_color(1)
    picture = draw(
        Annotator((480, 360)),
        frame(),
        [(50, 50, 90, 200), (300, 50, 340, 200)],
        [[], []],
    )
    for number in (1, 2):
        assert (picture == np.array(track_color(number))).all(axis=-1).any()


def test_who_does_nothing_known_has_a_number():
    picture = draw(Annotator((480, 360)), frame(), [(200, 150, 260, 300)], [[]])
    rows, columns = card_of(picture, (200, 150, 260, 300))
    # A digit of 13 pixels with its margin.
    assert 8 < columns.max() - columns.min() < 20
    assert 8 < rows.max() - rows.min() < 20


CROWD = [(60 * i, 100, 60 * i + 50, 300) for i in range(7)]
ACTIONS = [[("walk", 0.9), ("talk to", 0.8), ("carry/hold (an object)", 0.4)]]


def test_cards_spare_faces_and_stay_inside():
    picture = draw(Annotator((480, 360)), frame(), CROWD, ACTIONS * 7)
    for x1, y1, x2, _ in CROWD:
        face = picture[y1 + 6 : y1 + 45, x1 + 12 : x2 - 12]
        assert (face == GREY).all()


def test_a_card_moves_with_its_person():
    annotator = Annotator((480, 360))
    corners = []
    for step in range(0, 60, 5):
        box = (100 + step, 150, 150 + step, 340)
        picture = draw(annotator, frame(), [box], ACTIONS)
        rows, columns = card_of(picture, box)
        corners.append((columns.min() - box[0], rows.min(), columns.max() - box[0]))
    assert len(set(corners)) == 1


def test_cards_of_a_crowd_move_with_it():
    annotator = Annotator((480, 360))
    pictures = []
    for step in range(4):
        # There is no room for all of them, and soon none on the right for the last.
        left = 140 + step
        crowd = [(left + 6 * i, 5, left + 30 + 6 * i, 355) for i in range(25)]
        pictures.append(draw(annotator, frame(), crowd, ACTIONS * 25))
        back = np.roll(pictures[-1], -step, axis=1)
        np.testing.assert_array_equal(back, pictures[0])


def test_who_left_takes_the_card_along():
    annotator = Annotator((480, 360))
    people, actions = [(60, 150, 120, 300), (320, 150, 380, 300)], [[("walk", 0.9)]] * 2
    draw(annotator, frame(), people, actions)
    alone = [draw(annotator, frame(), people[:1], actions[:1]) for _ in range(3)]
    assert not colored(alone[-1], track_color(2)).any()
    for picture in alone:
        np.testing.assert_array_equal(picture, alone[0])
        assert len(card_of(picture, people[0])[0])


def test_cards_give_way_when_people_meet():
    annotator = Annotator((480, 360))
    for step in range(0, 200, 10):
        people = [(60 + step, 150, 110 + step, 340), (370 - step, 150, 420 - step, 340)]
        picture = draw(annotator, frame(), people, ACTIONS * 2)
        for x1, y1, x2, _ in people:
            # The other one's box may cross the face, a card must not.
            face = picture[y1 + 6 : y1 + 45, x1 + 12 : x2 - 12]
            assert not colored(face, CARD).any()


def test_the_picture_has_no_room():
    for height, width in ((360, 40), (12, 16), (1, 1)):
        people = [(0, 0, width, height)]
        annotator = Annotator((width, height))
        picture = draw(annotator, frame(height, width), people, ACTIONS)
        assert picture.shape[1::-1] == annotator.size


def test_the_frame_is_left_as_it_is():
    image = frame()
    draw(Annotator((480, 360)), image, CROWD, ACTIONS * 7)
    assert (image == GREY).all()
