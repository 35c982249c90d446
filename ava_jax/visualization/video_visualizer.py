"""Draws who does what on the frames of a video."""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence

import cv2
import numpy as np

from ava_jax.report import captions, drawing, style

_PALETTE = (
    style.ORANGE,
    style.SKY_BLUE,
    style.GREEN,
    style.VERMILION,
    style.PURPLE,
    style.BLUE,
)
_CARD: style.Color = (24, 26, 30)
_TROUGH: style.Color = (70, 74, 82)  # of a bar, where it is not filled
_OPACITY = 0.82
_NEAR = 4  # pixels between a card and its box that need no line between them
_MORE_COVERED = 0.1  # heads, before the cards are placed anew

Actions = Sequence[tuple[str, float]]


def track_color(number: int) -> style.Color:
    """The colour of a person, by the number that the tracker gave."""
    return _PALETTE[(number - 1) % len(_PALETTE)]


class Annotator:
    """Draws boxes in track colours, each with a card of its actions.

    A card has the person's number and a line for each action, if there are any, with
    a bar as long as the score. Cards keep off heads, stay inside the picture and
    never overlap; each stays where it is relative to its person for as long as that
    holds.
    """

    def __init__(self, frame_size: tuple[int, int]):
        """Chooses the size of the picture: low ones are enlarged to be readable.

        Args:
          frame_size: width and height of the video's frames.
        """
        width, height = frame_size
        self._scale = max(1.0, drawing.READABLE_HEIGHT / height)
        self.size = (round(width * self._scale), round(height * self._scale))
        self._text = drawing.text_size(self.size[1])
        # Of the layout: cards relative to their people, lines of a card, what they
        # say, and how many heads they may cover before it is made anew.
        self._offsets: dict[int, np.ndarray] = {}
        self._lines = 0
        self._actions: dict[int, Actions] = {}
        self._accepted = 0.0

    def draw(
        self,
        frame: np.ndarray,
        boxes: np.ndarray,
        numbers: np.ndarray,
        actions: Sequence[Actions],
    ) -> np.ndarray:
        """Draws the people of one frame.

        Args:
          frame: (H, W, 3) uint8 RGB; left as it is.
          boxes: (N, 4) xyxy in pixels of `frame`.
          numbers: (N,) of the tracker.
          actions: for every person (name, score), the most important first. Where
            there is no room for all the last are left out, in the end the card.

        Returns:
          (height, width, 3) uint8 RGB of `size`.
        """
        how = cv2.INTER_LINEAR if self._scale > 1 else cv2.INTER_AREA
        picture = cv2.resize(frame, self.size, interpolation=how)
        limits = (self.size[0] - 1, self.size[1] - 1) * 2
        boxes = np.clip(np.asarray(boxes, np.float64) * self._scale, 0, limits)
        numbers = np.asarray(numbers).tolist()
        people = dict(zip(numbers, boxes, strict=True))
        named = dict(zip(numbers, actions, strict=True))
        for number, box in people.items():
            self._draw_box(picture, box, track_color(number))
        cards = self._lay_out(people, named)
        for number, (card, corner) in cards.items():
            _draw_leader(picture, card, corner, people[number], track_color(number))
        for card, (x, y) in cards.values():
            area = picture[y : y + card.shape[0], x : x + card.shape[1]]
            cv2.addWeighted(card, _OPACITY, area, 1 - _OPACITY, 0, area)
        return picture

    def _draw_box(self, picture: np.ndarray, box: np.ndarray, color: style.Color):
        x1, y1, x2, y2 = (int(v) for v in np.rint(box))
        thickness = max(2, round(self.size[1] / 300))
        # A dark rim, so that the box is seen on ground of its own colour.
        cv2.rectangle(picture, (x1, y1), (x2, y2), _CARD, thickness + 2)
        cv2.rectangle(picture, (x1, y1), (x2, y2), color, thickness)

    def _lay_out(
        self, people: Mapping[int, np.ndarray], actions: Mapping[int, Actions]
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Card and upper left corner of everybody who gets one."""
        most = max((len(names) for names in actions.values()), default=0)
        line_counts = range(max(most, 1), 0, -1)
        # As long as the same is said, as much of it is, and of the same people.
        if actions == self._actions:
            kept = self._keep(people, actions, [self._lines], self._offsets)
        else:
            kept = self._keep(people, actions, line_counts, actions)
        self._actions = dict(actions)
        return kept or self._place(people, actions, line_counts)

    def _cards(
        self, actions: Mapping[int, Actions], lines: int
    ) -> dict[int, np.ndarray]:
        width = self.size[0]
        return {
            number: _card(number, tuple(map(tuple, names[:lines])), self._text, width)
            for number, names in actions.items()
        }

    def _keep(
        self,
        people: Mapping[int, np.ndarray],
        actions: Mapping[int, Actions],
        line_counts: Iterable[int],
        who: Collection[int],
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Cards where they were relative to the people; empty if that won't do."""
        for lines in line_counts:
            cards = self._cards(actions, lines)
            cards = {number: cards[number] for number in who}
            if not cards or not cards.keys() <= self._offsets.keys():
                return {}
            corners = {n: np.rint(people[n][:2] + self._offsets[n]) for n in cards}
            spots = _spots(cards, corners)
            inside = (spots[:, :2] >= 0).all() and (spots[:, 2:] <= self.size).all()
            apart = np.count_nonzero(captions.overlap(spots, spots)) == len(spots)
            if inside and apart and self._covered(spots, people) <= self._accepted:
                self._lines = lines
                self._offsets = {n: self._offsets[n] for n in cards}
                return {n: (cards[n], corners[n].astype(int)) for n in cards}
        return {}

    def _place(
        self,
        people: Mapping[int, np.ndarray],
        actions: Mapping[int, Actions],
        line_counts: Iterable[int],
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Cards where it is best now, with fewer lines if more people get one."""
        best: dict[int, np.ndarray] = {}
        cards: dict[int, np.ndarray] = {}
        boxes = np.array(list(people.values())).reshape(-1, 4)
        for lines in line_counts:
            tried = self._cards(actions, lines)
            sizes = [tried[n].shape[1::-1] for n in people]
            step = captions.line_height(self._text)
            places = captions.place(sizes, boxes, self.size, step)
            found = zip(people, places, strict=True)
            corners = {n: np.array(place) for n, place in found if place is not None}
            if len(corners) > len(best):
                best, cards, self._lines = corners, tried, lines
            if len(corners) == len(tried):
                break
        self._offsets = {n: corner - people[n][:2] for n, corner in best.items()}
        spots = _spots(cards, best)
        self._accepted = self._covered(spots, people) + _MORE_COVERED
        return {n: (cards[n], corner) for n, corner in best.items()}

    def _covered(self, spots: np.ndarray, people: Mapping[int, np.ndarray]) -> float:
        """How many heads are covered, counting parts of them."""
        boxes = np.array(list(people.values())).reshape(-1, 4)
        return float(captions.covered(spots, captions.heads(boxes)).sum())


def _spots(
    cards: Mapping[int, np.ndarray], corners: Mapping[int, np.ndarray]
) -> np.ndarray:
    """(N, 4) xyxy of the cards at these corners."""
    spots = [
        (*corner, *corner + cards[n].shape[1::-1]) for n, corner in corners.items()
    ]
    return np.array(spots, np.float64).reshape(-1, 4)


@functools.lru_cache(maxsize=64)
def _card(
    number: int, actions: tuple[tuple[str, float], ...], size: int, width: int
) -> np.ndarray:
    """A person's number and actions with bars, (height, width, 3) uint8 RGB.

    Args:
      number: of the person.
      actions: (name, score).
      size: of the text, pixels.
      width: at most so many pixels.
    """
    color, pad, bar = track_color(number), round(size / 3), round(2.5 * size)
    chip = drawing.caption([drawing.Line(str(number), color)], size)
    if not actions:
        return chip
    left = chip.shape[1] + pad
    room = max(width - left - bar - 3 * pad, size)
    names = [captions.shorten(style.short_action(n), size, room) for n, _ in actions]
    text = max(captions.text_mask(name, size).shape[1] for name in names)
    step = captions.line_height(size)
    shape = (step * len(names), left + text + pad + bar + pad, 3)
    card = np.full(shape, _CARD, np.uint8)
    card[:step, : chip.shape[1]] = chip
    x, thickness = left + text + pad, max(4, round(size * 0.4))
    for i, (name, (_, score)) in enumerate(zip(names, actions, strict=True)):
        drawing.draw_text(card, name, left, i * step, size, style.WHITE)
        y = i * step + (step - thickness) // 2
        card[y : y + thickness, x : x + bar] = _TROUGH
        card[y : y + thickness, x : x + round(bar * min(score, 1))] = color
    return card[:, :width]


def _draw_leader(
    picture: np.ndarray,
    card: np.ndarray,
    corner: np.ndarray,
    box: np.ndarray,
    color: style.Color,
) -> None:
    """Joins a card to its box if they don't touch."""
    spot = np.array([[*corner, *corner + card.shape[1::-1]]])
    if captions.distance(spot, box)[0] > _NEAR:
        ends = captions.leader(spot, box)
        start, end = (np.rint(point[0]).astype(int).tolist() for point in ends)
        cv2.line(picture, start, end, color, 2, cv2.LINE_AA)
