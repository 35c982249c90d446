"""How the miniature's figures are drawn: joints become strokes."""

from ava_jax.prepare.mini.drawing import Stroke, View, outlined, shade
from ava_jax.prepare.mini.figures import Figure, joints

# Strokes: their joints, their widths in body heights, and whose colour they have.
_ARM = (
    ("elbow {0}, hand {0}", 0.06, "sleeves"),
    ("hand {0}, hand {0}", 0.12, "skin"),
    ("shoulder {0}, elbow {0}", 0.075, "shirt"),
)
_LEG = (
    ("ankle {0}, toe {0}", 0.055, "shoes"),
    ("hip {0}, knee {0}, ankle {0}", 0.08, "trousers"),
)
_TRUNK = (
    ("hip near, hip far", 0.11, "trousers"),
    ("chest, head", 0.06, "skin"),
    ("shoulder near, shoulder far", 0.08, "shirt"),
    ("chest, waist", 0.14, "shirt"),
)
_HEAD = (("head, head", 0.13, "hair"), ("face, face", 0.11, "skin"))

# From the back to the front; what is held comes last.
_LAYERS = (_ARM, "far"), (_LEG, "far"), (_LEG, "near"), (_TRUNK, ""), (_HEAD, "")
_LAYERS += ((_ARM, "near"),)


# Shapes around the hand, in body heights, their widths, and their tones.
_OBJECTS = {
    "ball": (([0j], 0.2, 1.0), ([0.03j], 0.07, 1.5)),
    "box": (
        ([-0.12 - 0.07j, 0.12 - 0.07j, 0.12 + 0.13j, -0.12 + 0.13j], 0.02, 1.0),
        ([-0.02 - 0.07j, 0.02 - 0.07j, 0.02 + 0.13j, -0.02 + 0.13j], 0.02, 1.4),
    ),
    "bag": (
        ([0j, -0.06j], 0.024, 0.6),
        ([-0.08 - 0.06j, 0.08 - 0.06j, 0.12 - 0.24j, -0.12 - 0.24j], 0.02, 1.0),
    ),
}


def strokes(figure: Figure, time: float, view: View) -> list[Stroke]:
    """What to draw of a figure at `time`, in order."""
    x, depth, _ = figure.place(time)
    unit, ground = figure.height * view.scale(depth), view.ground(x, depth)
    at = joints(figure, time)

    def pixels(points: list[complex]) -> list[complex]:
        return [ground + unit * point.conjugate() for point in points]

    groups = []
    for limbs, side in _LAYERS:
        group = []
        for names, width, colour in limbs:
            points = pixels([at[name] for name in names.format(side).split(", ")])
            width *= figure.build * unit
            group.append(Stroke(points, width, getattr(figure, colour)))
        groups.append(group)
    if "hold" in figure.actions(time):
        held = []
        for shape, width, tone in _OBJECTS[figure.object]:
            points = pixels([at["hand near"] + point for point in shape])
            colour = shade(figure.object_colour, tone)
            held.append(Stroke(points, width * unit, colour, filled=True))
        groups.append(held)
    edge = 0.9 * view.size[0] / 144
    return [stroke for group in groups for stroke in outlined(group, edge)]
