"""Which column of a table is what: by its name, or as the user says."""

import re
from collections.abc import Mapping, Sequence

from ava_jax.errors import UserError

# What a column can be, and how others call it, in lower case and without marks.
ROLES = {
    "video": "video movie videoid moviename videoname file filename clip videofile",
    "time": "time timestamp second seconds sec t timesec middleframetimestamp",
    "frame": "frame frameid frameno framenumber framenum frameindex frameidx",
    "x1": "x1 xmin left xtl bboxx1 boxx1 startx",
    "y1": "y1 ymin top ytl bboxy1 boxy1 starty",
    "x2": "x2 xmax right xbr bboxx2 boxx2 endx",
    "y2": "y2 ymax bottom ybr bboxy2 boxy2 endy",
    "x": "x bboxx boxx bbleft",
    "y": "y bboxy boxy bbtop",
    "cx": "cx xcenter centerx xcentre centrex",
    "cy": "cy ycenter centery ycentre centrey",
    "w": "w boxwidth bboxwidth bboxw boxw bbwidth",
    "h": "h boxheight bboxheight bboxh boxh bbheight",
    "action": "action label actionid class activity actions category actionname name",
    "person": "person personid entity entityid track trackid id objectid",
    "width": "framewidth imagewidth imgwidth videowidth",
    "height": "frameheight imageheight imgheight videoheight",
    "fps": "fps framerate rate",
}
# AVA's files, which have no header.
AVA = ("video", "time", "x1", "y1", "x2", "y2", "action", "person")
# Ways to say where a box is.
CORNERS = ("x1", "y1", "x2", "y2")
_BOXES = (CORNERS, ("x", "y", "w", "h"), ("cx", "cy", "w", "h"), ("x1", "y1", "w", "h"))


def roles_of(
    header: Sequence[str], given: Mapping[str, str], path: str
) -> dict[str, int]:
    """The column of each role that the header has.

    Args:
      header: names of the columns.
      given: names or numbers (from 1) of columns by role: `--columns`.
      path: of the file, for messages.

    Raises:
      UserError: a column that is given does not exist, a role is not known, or two
        columns fit a role.
    """
    roles = {role: _column(role, header, name, path) for role, name in given.items()}
    taken = set(roles.values())
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    # Beside x and y, "width" and "height" are those of the box.
    own = {**ROLES}
    if {"x", "y"} <= set(plain) or {"left", "top"} <= set(plain) or "cx" in plain:
        own["w"] += " width"
        own["h"] += " height"
    else:
        own["width"] += " width"
        own["height"] += " height"
    for role, names in own.items():
        found = [i for i, name in enumerate(plain) if name in names.split()]
        found = [i for i in found if i not in taken]
        if role in roles or not found:
            continue
        if len(found) > 1:
            listed = " and ".join(header[i] for i in found)
            raise UserError(
                f"{path}, line 1: found {listed}, expected one column for {role}; say "
                f"which: --columns {role}={header[found[0]]}"
            )
        roles[role] = found[0]
    return roles


def _column(role: str, header: Sequence[str], name: str, path: str) -> int:
    if role not in ROLES:
        raise UserError(
            f"--columns: found {role!r}, expected one of {', '.join(ROLES)}; write "
            "--columns video=file,time=when"
        )
    if name in header:
        return list(header).index(name)
    if name.isdigit() and 1 <= int(name) <= len(header):
        return int(name) - 1
    raise UserError(
        f"{path}, line 1: found the columns {', '.join(header)}, expected {name!r} of "
        f"--columns {role}={name}; write a name of these, or a number from 1"
    )


def box_roles(roles: Mapping[str, int], header: Sequence[str], path: str):
    """The four roles that say where a box is.

    Raises:
      UserError: the columns of a box, the video or the moment are missing.
    """
    found = [one for one in _BOXES if all(role in roles for role in one)]
    missing = [] if found else ["a box (x1, y1, x2, y2, or x, y, w, h)"]
    missing += [] if "video" in roles else ["the video"]
    missing += [] if "time" in roles or "frame" in roles else ["time or frame"]
    if missing:
        raise UserError(
            f"{path}, line 1: found the columns {', '.join(header)}, expected also "
            f"{' and '.join(missing)}; say which they are: --columns "
            "video=...,time=...,x1=...,y1=...,x2=...,y2=...,action=...,person=... "
            "(names, or numbers from 1)"
        )
    return found[0]
