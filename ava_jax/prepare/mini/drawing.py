"""How the miniature's figures are drawn: joints become polygons."""

import dataclasses

import numpy as np

from ava_jax.prepare.mini.camera import Camera
from ava_jax.prepare.mini.canvas import SHADOW, Colour, Polygon, fixed_point, shade
from ava_jax.prepare.mini.figures import SIDES, Figure, Look, Motion

# What is looked for when it is asked how much of a figure can be seen; "arm" is
# the one that may be raised.
PARTS = ("body", "arm", "object")


@dataclasses.dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A figure's polygons in each frame of a movie, far to near."""

    depth: np.ndarray  # (T,)
    shadow: Polygon
    left_near: np.ndarray  # (T,) bool: the left side is nearer to the camera
    holds: np.ndarray  # (T,) bool
    groups: dict[str, list[Polygon]]  # of arms, legs, trunk and the held object
    free_side: str
    object_side: str

    def layers(self, frame: int) -> list[tuple[str, list[Polygon]]]:
        """What to draw in a frame, in order: each a part of PARTS and its polygons."""
        near, far = ("l", "r") if self.left_near[frame] else ("r", "l")
        names = [f"arm_{far}", f"leg_{far}", f"leg_{near}", "trunk", f"arm_{near}"]
        if self.holds[frame]:
            # In front of the far arm but behind the body, or in front of all.
            names.insert(1 if self.object_side == far else 5, "object")
        special = {"object": "object", f"arm_{self.free_side}": "arm"}
        return [(special.get(name, "body"), self.groups[name]) for name in names]

    def polygons(self, frame: int) -> list[Polygon]:
        """All layers of a frame, in order."""
        return [polygon for _, layer in self.layers(frame) for polygon in layer]


def project(figure: Figure, motion: Motion, camera: Camera) -> DrawnFigure:
    """The polygons of a figure seen by a camera."""
    pen = _Pen(figure, motion, camera)
    look = figure.look
    groups = {"trunk": _trunk(pen, look, motion.heading)}
    for side in SIDES:
        groups[f"arm_{side}"] = _arm(pen, look, side)
        groups[f"leg_{side}"] = _leg(pen, look, side)
    object_side = "r" if figure.free_side == "l" else "l"
    groups["object"] = _object(pen, look, object_side)
    return DrawnFigure(
        depth=motion.depth,
        shadow=_shadow(motion, camera),
        left_near=np.cos(motion.heading) < 0,
        holds=motion.holds,
        groups=groups,
        free_side=figure.free_side,
        object_side=object_side,
    )


class _Pen:
    """Turns limbs between joints into polygons."""

    def __init__(self, figure: Figure, motion: Motion, camera: Camera):
        self.at = {name: camera.project(j) for name, j in motion.joints.items()}
        self.unit = figure.height * camera.pixels_per_metre(motion.depth)
        self.build = figure.build
        self.outline = camera.unit * 0.9

    def limb(self, start, end, radii, colour, *, dark=0.45) -> list[Polygon]:
        """Outline and fill of a tapered limb; radii in body heights."""
        p, q = (self.at[j] if isinstance(j, str) else j for j in (start, end))
        r = [self.unit * radius * self.build for radius in radii]
        outline = _capsule(p, q, r[0] + self.outline, r[1] + self.outline)
        fill = _capsule(p, q, r[0], r[1])
        return [Polygon(outline, shade(colour, dark)), Polygon(fill, colour)]

    def between(self, start: str, end: str, share: float) -> np.ndarray:
        return self.at[start] + share * (self.at[end] - self.at[start])


def _outlines_first(parts: list[Polygon]) -> list[Polygon]:
    """All outlines, then all fills: the limbs of a group join without a line."""
    return parts[0::2] + parts[1::2]


def _leg(pen: _Pen, look: Look, side: str) -> list[Polygon]:
    hip, knee, ankle, toe = (f"{j}_{side}" for j in ("hip", "knee", "ankle", "toe"))
    shank = look.skin if look.shorts else look.trousers
    return _outlines_first(
        pen.limb(ankle, toe, (0.03, 0.022), look.shoes)
        + pen.limb(knee, ankle, (0.038, 0.028), shank)
        + pen.limb(hip, knee, (0.055, 0.042), look.trousers)
    )


def _arm(pen: _Pen, look: Look, side: str) -> list[Polygon]:
    shoulder, elbow, hand = (f"{j}_{side}" for j in ("shoulder", "elbow", "hand"))
    sleeve = shade(look.shirt, 0.86)
    fore = look.skin if look.short_sleeves else sleeve
    wrist = pen.between(elbow, hand, 0.85)
    return _outlines_first(
        pen.limb(elbow, wrist, (0.034, 0.028), fore)
        + pen.limb(hand, hand, (0.048, 0.048), look.skin)
        + pen.limb(shoulder, elbow, (0.040, 0.035), sleeve)
    )


def _trunk(pen: _Pen, look: Look, heading: np.ndarray) -> list[Polygon]:
    waist = pen.between("pelvis", "chest", 0.15)
    neck = pen.between("chest", "head", 0.4)
    base = _outlines_first(
        pen.limb("hip_l", "hip_r", (0.055, 0.055), look.trousers)
        + pen.limb("chest", neck, (0.03, 0.03), look.skin)
        + pen.limb("shoulder_l", "shoulder_r", (0.04, 0.04), look.shirt)
        + pen.limb("chest", waist, (0.075, 0.066), look.shirt)
    )
    head = pen.limb("hair", "hair", (0.070, 0.070), look.hair)
    return base + _pattern(pen, look) + head + _face(pen, look, heading)


def _face(pen: _Pen, look: Look, heading: np.ndarray) -> list[Polygon]:
    """Skin as far as the figure does not look away."""
    turned = np.clip(1.3 - np.maximum(0, 1.5 * np.sin(heading)), 0, 1)
    return pen.limb("face", "face", (0.057 * turned, 0.057 * turned), look.skin)[1:]


def _pattern(pen: _Pen, look: Look) -> list[Polygon]:
    def band(low: float, high: float, radius: float) -> Polygon:
        ends = pen.between("pelvis", "chest", low), pen.between("pelvis", "chest", high)
        return Polygon(_band(*ends, pen.unit * radius * pen.build), look.accent)

    if look.pattern == "stripes":
        return [band(s, s + 0.13, 0.066) for s in (0.25, 0.5, 0.75)]
    if look.pattern == "two-tone":
        return [band(0.1, 0.5, 0.066)]
    if look.pattern == "scarf":
        return [band(0.98, 1.18, 0.055)]
    return []


def _object(pen: _Pen, look: Look, side: str) -> list[Polygon]:
    hand, colour = pen.at[f"hand_{side}"], look.object_colour
    down = np.stack([0 * pen.unit, pen.unit], axis=-1)
    if look.object == "ball":
        shine = hand - 0.03 * down
        ball = pen.limb(hand, hand, (0.10, 0.10), colour)
        return ball + pen.limb(shine, shine, (0.035, 0.035), shade(colour, 1.5))[1:]
    if look.object == "box":
        corners = ((-0.13, -0.14), (0.13, -0.14), (0.13, 0.08), (-0.13, 0.08))
        tape = ((-0.03, -0.14), (0.03, -0.14), (0.03, 0.08), (-0.03, 0.08))
        return _flat(pen, hand, corners, colour) + [
            _flat(pen, hand, tape, shade(colour, 1.4))[1]
        ]
    corners = ((-0.09, 0.05), (0.09, 0.05), (0.13, 0.25), (-0.13, 0.25))
    top, bottom = hand, hand + 0.06 * down
    handle = pen.limb(top, bottom, (0.012, 0.012), shade(colour, 0.6))
    return handle + _flat(pen, hand, corners, colour)


def _flat(pen: _Pen, at: np.ndarray, corners, colour: Colour) -> list[Polygon]:
    offsets = np.asarray(corners)
    grow = offsets + 0.012 * np.sign(offsets - offsets.mean(axis=0))
    return [
        Polygon(fixed_point(at[:, None] + pen.unit[:, None, None] * o), c)
        for o, c in ((grow, shade(colour, 0.45)), (offsets, colour))
    ]


def _capsule(p: np.ndarray, q: np.ndarray, r: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Convex hull, nearly, of circles of radius r at p and s at q: (T, 16, 2)."""
    direction = np.arctan2(q[:, 1] - p[:, 1], q[:, 0] - p[:, 0])[:, None]
    half = np.linspace(-np.pi / 2, np.pi / 2, 8)
    ends = []
    for centre, radius, turn in ((q, s, 0), (p, r, np.pi)):
        angle = direction + half + turn
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        ends.append(centre[:, None] + radius[:, None, None] * circle)
    return fixed_point(np.concatenate(ends, axis=1))


def _band(p: np.ndarray, q: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """A rectangle around the line from p to q: (T, 4, 2)."""
    along = q - p
    length = np.maximum(np.hypot(*along.T), 1e-6)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], -1) / length * radius[:, None]
    return fixed_point(np.stack([p + across, q + across, q - across, p - across], 1))


def _shadow(motion: Motion, camera: Camera) -> Polygon:
    """An ellipse on the ground below the body."""
    names = ("pelvis", "head", "ankle_l", "ankle_r")
    points = np.stack([motion.joints[n] for n in names], axis=1)[:, :, [0, 2]]
    middle = (points.max(axis=1) + points.min(axis=1)) / 2
    radius = 0.17 + np.ptp(points, axis=1) / 2
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    ground = middle[:, None] + radius[:, None] * circle
    ground = np.insert(ground, 1, 0.0, axis=-1)
    return Polygon(fixed_point(camera.project(ground)), SHADOW)
