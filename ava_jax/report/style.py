"""Colours and font of all pictures and pages.

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which people
with any kind of colour blindness can distinguish. Colour is never the only sign: line
style, order or a mark has the same meaning.
"""

import re

import matplotlib

Color = tuple[int, int, int]  # RGB, 0-255

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
ORANGE: Color = (230, 159, 0)
SKY_BLUE: Color = (86, 180, 233)
GREEN: Color = (0, 158, 115)
BLUE: Color = (0, 114, 178)
VERMILION: Color = (213, 94, 0)
PURPLE: Color = (204, 121, 167)

PREDICTED = ORANGE
TRUE = SKY_BLUE

FONT_FILE = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"


def hex_color(color: Color) -> str:
    """The colour for CSS and Matplotlib, such as '#e69f00'."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def ink_on(color: Color) -> Color:
    """Black or white, whichever is more readable on the colour."""
    red, green, blue = color
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 105 else WHITE


# Parentheses in AVA's action names that are not needed to distinguish the names.
_ASIDE = re.compile(r"\s*\((e\.g\.|an object|at the waist)[^)]*\)")


def short_action(name: str) -> str:
    """The action's name, short enough for a caption.

    'carry/hold (an object)' becomes 'carry/hold' and 'watch (a person)' becomes
    'watch a person'. AVA's 80 names remain distinct.
    """
    short = _ASIDE.sub("", name).replace("(", "").replace(")", "")
    return " ".join(short.split()) or name
