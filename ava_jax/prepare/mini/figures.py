"""The miniature's figures: what they are like and how they move.

A figure is a skeleton in three dimensions, in metres: X to the right, Y up, Z
away from the camera. All positions are computed for a whole movie at once, as
arrays whose first axis is the frame.

Two clocks make the motion-only labels fair. The walk cycle and the path are
functions of a clock that runs while the figure walks and stands still when it
stands, so every standing silhouette is a walking one. A raised arm is a
function of a clock that runs while it waves.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from ava_jax.prepare.mini import schedule
from ava_jax.prepare.mini.canvas import Colour, hsv

# Proportions, in body heights. Hands, feet and limbs are a little larger than
# life, to be read at this size.
_THIGH, _SHANK, _FOOT = 0.24, 0.24, 0.085
_TORSO, _NECK, _HEAD = 0.29, 0.055, 0.078
_UPPER_ARM, _FOREARM = 0.17, 0.17
_SHOULDERS, _HIPS = 0.105, 0.06  # half widths

# How far below a joint the body reaches.
_BELOW = {
    "pelvis": 0.08,
    "chest": 0.08,
    "head": 0.05,
    "ankle_l": 0.035,
    "ankle_r": 0.035,
    "toe_l": 0.02,
    "toe_r": 0.02,
}

SIDES = ("l", "r")


@dataclasses.dataclass(frozen=True)
class Path:
    """A closed path on the ground, walked around: an ellipse."""

    centre: tuple[float, float]  # X, Z
    axes: tuple[float, float]
    angle: float  # of the first axis against X
    backwards: bool

    def at(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X, Z and heading (0: to the right, pi/2: away) after `distance` metres."""
        turn = np.linspace(0, 2 * np.pi, 721)
        if self.backwards:
            turn = turn[::-1]
        along, across = self.axes[0] * np.cos(turn), self.axes[1] * np.sin(turn)
        c, s = np.cos(self.angle), np.sin(self.angle)
        x, z = along * c - across * s, along * s + across * c
        steps = np.hypot(np.diff(x), np.diff(z))
        walked = np.concatenate([[0], np.cumsum(steps)])
        heading = np.unwrap(np.arctan2(np.gradient(z), np.gradient(x)))
        lap = np.mod(distance, walked[-1])
        return (
            self.centre[0] + np.interp(lap, walked, x),
            self.centre[1] + np.interp(lap, walked, z),
            np.interp(lap, walked, heading),
        )


@dataclasses.dataclass(frozen=True)
class Look:
    """Clothes and colours."""

    skin: Colour
    hair: Colour
    shirt: Colour
    accent: Colour
    trousers: Colour
    shoes: Colour
    pattern: str  # 'plain', 'stripes', 'two-tone' or 'scarf'
    short_sleeves: bool
    shorts: bool
    object: str  # what it holds when it holds something: 'bag', 'box' or 'ball'
    object_colour: Colour


@dataclasses.dataclass(frozen=True)
class Figure:
    """One person: body, clothes, path, and what it does when."""

    height: float  # m
    build: float  # thickness of the limbs, 1: average
    stride: float  # amplitude of the hip in the walk cycle, rad
    cadence: float  # walk cycles per second
    phase: float  # of the walk cycle at the beginning
    path: Path
    start: float  # m along the path
    jump_rate: float  # jumps per second
    wave_rate: float  # waves per second
    wave_phase: float
    arm_rise: float  # of a raised upper arm against the vertical, rad
    free_side: str  # the arm that may be raised; the other one holds the object
    recline: float  # 0..1, how far a sitting figure leans back
    look: Look
    poses: schedule.Track
    arms: schedule.Track
    hands: schedule.Track

    def actions(self, time: float) -> frozenset[str]:
        """Names of what it does at `time`: a pose, perhaps 'wave' or 'hold'."""
        pose = self.poses.at(time)
        # A figure that lies has its arms at its sides and nothing in its hands.
        others = set() if pose == "lie" else {self.arms.at(time), self.hands.at(time)}
        return frozenset({pose} | (others & {"wave", "hold"}))


class _Angles(NamedTuple):
    """A pose, in radians; each field is (T,). `_l` is the left side, `_r` the right."""

    hip_l: np.ndarray  # flexion of the thigh against the trunk's vertical
    hip_r: np.ndarray
    knee_l: np.ndarray
    knee_r: np.ndarray
    arm_l: np.ndarray
    arm_r: np.ndarray
    elbow_l: np.ndarray
    elbow_r: np.ndarray
    lean: np.ndarray  # of the trunk, forwards
    pitch: np.ndarray  # of the whole body, backwards: pi/2 lies on its back
    lift: np.ndarray  # of the lowest point above the ground, in body heights


def draw_figure(
    rng: np.random.Generator,
    path: Path,
    poses: schedule.Track,
    arms: schedule.Track,
    hands: schedule.Track,
) -> Figure:
    """A figure with random body, clothes and habits."""
    return Figure(
        height=rng.uniform(1.55, 1.88),
        build=rng.uniform(0.9, 1.2),
        stride=rng.uniform(0.40, 0.52),
        cadence=rng.uniform(0.8, 1.05),
        phase=rng.uniform(),
        path=path,
        start=rng.uniform(0, 100),
        jump_rate=rng.uniform(1.05, 1.35),
        wave_rate=rng.uniform(0.9, 1.2),
        wave_phase=rng.uniform(),
        arm_rise=rng.uniform(0.4, 0.8),
        free_side=str(rng.choice(SIDES)),
        recline=rng.uniform(),
        look=_draw_look(rng),
        poses=poses,
        arms=arms,
        hands=hands,
    )


def _draw_look(rng: np.random.Generator) -> Look:
    skin = [(150, 185, 230), (120, 160, 210), (90, 125, 180), (60, 85, 130)]
    hair = [(30, 30, 35), (40, 60, 90), (60, 120, 170), (90, 90, 95), (50, 50, 160)]
    return Look(
        skin=skin[rng.integers(len(skin))],
        hair=hair[rng.integers(len(hair))],
        # Clothes are muted, as most are, and what is held is not.
        shirt=hsv(rng.uniform(), rng.uniform(0.1, 0.5), rng.uniform(0.35, 0.9)),
        accent=hsv(rng.uniform(), rng.uniform(0.1, 0.5), rng.uniform(0.3, 1.0)),
        trousers=hsv(rng.uniform(), rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.7)),
        shoes=hsv(rng.uniform(), rng.uniform(0.0, 0.5), rng.uniform(0.1, 0.9)),
        pattern=str(rng.choice(["plain", "stripes", "two-tone", "scarf"])),
        short_sleeves=bool(rng.integers(2)),
        shorts=bool(rng.uniform() < 0.25),
        object=str(rng.choice(["bag", "box", "ball"])),
        object_colour=hsv(rng.uniform(), rng.uniform(0.85, 1), rng.uniform(0.7, 1)),
    )


# Poses ------------------------------------------------------------------------


def _walk_cycle(figure: Figure, clock: np.ndarray) -> _Angles:
    left = 2 * np.pi * (figure.phase + figure.cadence * clock)
    legs, arms = {}, {}
    for side, cycle in zip(SIDES, (left, left + np.pi), strict=True):
        # The knee bends while the leg swings forwards (second half of the cycle).
        swing = np.maximum(0, np.sin(cycle - np.pi - 0.35))
        legs[side] = figure.stride * np.cos(cycle) + 0.25 * swing, 0.12 + 1.0 * swing
        arms[side] = -0.8 * figure.stride * np.cos(cycle), 0.35 - 0.2 * np.cos(cycle)
    zero = np.zeros_like(clock)
    return _Angles(
        hip_l=legs["l"][0],
        hip_r=legs["r"][0],
        knee_l=legs["l"][1],
        knee_r=legs["r"][1],
        arm_l=arms["l"][0],
        arm_r=arms["r"][0],
        elbow_l=arms["l"][1],
        elbow_r=arms["r"][1],
        lean=zero + 0.06,
        pitch=zero,
        lift=zero,
    )


def _jump_cycle(figure: Figure, times: np.ndarray) -> _Angles:
    cycle = np.mod(figure.phase + figure.jump_rate * times, 1)
    flight = np.clip((cycle - 0.5) / 0.5, 0, 1)
    height = 4 * flight * (1 - flight)
    crouch = np.where(cycle < 0.5, np.sin(2 * np.pi * cycle), 0)
    tuck = 0.25 * height
    return _Angles(
        hip_l=1.0 * crouch + tuck + 0.08,
        hip_r=1.0 * crouch + tuck - 0.02,
        knee_l=1.75 * crouch + 2 * tuck + 0.1,
        knee_r=1.75 * crouch + 2 * tuck + 0.1,
        arm_l=0.9 * height - 0.7 * crouch,
        arm_r=0.9 * height - 0.7 * crouch,
        elbow_l=0.4 + 0.2 * height,
        elbow_r=0.4 + 0.2 * height,
        lean=0.55 * crouch,
        pitch=np.zeros_like(times),
        lift=0.2 * height,
    )


def _sitting(figure: Figure, times: np.ndarray) -> _Angles:
    """On the ground, knees drawn up or, leaning back, half stretched out."""
    one = np.ones_like(times)
    back = figure.recline

    def leg(hip: float) -> tuple[np.ndarray, np.ndarray]:
        # The shank that brings the sole to the ground on which the trunk sits.
        drop = _BELOW["pelvis"] - _BELOW["ankle_l"]
        shank = np.arccos((drop - _THIGH * np.cos(hip)) / _SHANK)
        return hip * one, (hip - shank) * one

    left, right = leg(2.25 - 0.5 * back), leg(2.1 - 0.45 * back)
    return _Angles(
        hip_l=left[0],
        hip_r=right[0],
        knee_l=left[1],
        knee_r=right[1],
        arm_l=(0.9 - 1.5 * back) * one,
        arm_r=(0.8 - 1.5 * back) * one,
        elbow_l=(0.5 - 0.2 * back) * one,
        elbow_r=(0.6 - 0.3 * back) * one,
        lean=(0.15 - 0.45 * back) * one,
        pitch=0 * one,
        lift=0 * one,
    )


def _lying(figure: Figure, times: np.ndarray) -> _Angles:
    one = np.ones_like(times)
    bend = 0.5 * figure.recline
    return _Angles(
        hip_l=(0.05 + bend) * one,
        hip_r=0.05 * one,
        knee_l=(0.1 + 2 * bend) * one,
        knee_r=0.1 * one,
        arm_l=0.15 * one,
        arm_r=0.1 * one,
        elbow_l=0.2 * one,
        elbow_r=0.2 * one,
        lean=0.0 * one,
        pitch=np.pi / 2 * one,
        lift=0 * one,
    )


def _clock(weight: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Time during which `weight` was 1: its integral, starting at 0."""
    step = np.diff(times) * (weight[1:] + weight[:-1]) / 2
    return np.concatenate([[0], np.cumsum(step)])


def _angles(figure: Figure, times: np.ndarray, walked: np.ndarray) -> _Angles:
    poses = {
        ("stand", "walk"): _walk_cycle(figure, walked),
        ("sit",): _sitting(figure, times),
        ("jump",): _jump_cycle(figure, times),
        ("lie",): _lying(figure, times),
    }
    weights = [figure.poses.weight(times, *states) for states in poses]
    blended = [
        sum(w * a for w, a in zip(weights, field, strict=True))
        for field in zip(*poses.values(), strict=True)
    ]
    return _hold(figure, times, _sway(figure, times, _Angles(*blended)))


def _sway(figure: Figure, times: np.ndarray, angles: _Angles) -> _Angles:
    """Nobody is quite still; the same for all poses."""
    sway = 0.02 * np.sin(2 * np.pi * (0.31 * times + figure.wave_phase))
    return angles._replace(
        lean=angles.lean + sway,
        arm_l=angles.arm_l + 2 * sway,
        arm_r=angles.arm_r - 2 * sway,
    )


def _hold(figure: Figure, times: np.ndarray, angles: _Angles) -> _Angles:
    """Brings the forearm up where something is held; a bag hangs, if it can."""
    weight = _holding(figure, times)
    if figure.look.object == "bag":
        weight = weight * figure.poses.weight(times, "sit")
    side = "r" if figure.free_side == "l" else "l"
    arm, elbow = getattr(angles, f"arm_{side}"), getattr(angles, f"elbow_{side}")
    return angles._replace(
        **{
            f"arm_{side}": arm + weight * (0.3 * arm + 0.15 - arm),
            f"elbow_{side}": elbow + weight * (0.3 * elbow + 1.2 - elbow),
        }
    )


def _holding(figure: Figure, times: np.ndarray) -> np.ndarray:
    upright = 1 - figure.poses.weight(times, "lie")
    return figure.hands.weight(times, "hold") * upright


# Skeleton ---------------------------------------------------------------------


def _skeleton(angles: _Angles) -> dict[str, np.ndarray]:
    """Joints in the body's frame: (T, 3) forwards, up, left, in body heights."""
    joints = {"pelvis": _point(0 * angles.lean, 0 * angles.lean)}
    lean = angles.lean
    chest = _TORSO * np.sin(lean), _TORSO * np.cos(lean)
    joints["chest"] = _point(*chest)
    reach = _TORSO + _NECK + _HEAD
    head = reach * np.sin(lean), reach * np.cos(lean)
    joints["head"] = _point(*head)
    joints["face"] = _point(head[0] + 0.024, head[1] - 0.018)
    joints["hair"] = _point(head[0] - 0.012, head[1] + 0.01)
    for side, left in zip(SIDES, (1, -1), strict=True):
        hip = getattr(angles, f"hip_{side}")
        shank = hip - getattr(angles, f"knee_{side}")
        knee = _THIGH * np.sin(hip), -_THIGH * np.cos(hip)
        ankle = knee[0] + _SHANK * np.sin(shank), knee[1] - _SHANK * np.cos(shank)
        sole = shank + np.pi / 2 - 0.1
        toe = ankle[0] + _FOOT * np.sin(sole), ankle[1] - _FOOT * np.cos(sole)
        arm = getattr(angles, f"arm_{side}") + lean
        fore = arm + getattr(angles, f"elbow_{side}")
        elbow = chest[0] + _UPPER_ARM * np.sin(arm), chest[1] - _UPPER_ARM * np.cos(arm)
        hand = elbow[0] + _FOREARM * np.sin(fore), elbow[1] - _FOREARM * np.cos(fore)
        for name, at, width in (
            ("hip", (0 * hip, 0 * hip), _HIPS),
            ("knee", knee, _HIPS),
            ("ankle", ankle, _HIPS),
            ("toe", toe, _HIPS),
            ("shoulder", chest, _SHOULDERS),
            ("elbow", elbow, _SHOULDERS * 1.15),
            ("hand", hand, _SHOULDERS * 1.2),
        ):
            joints[f"{name}_{side}"] = _point(*at, left * width)
    return _on_ground(_pitched(joints, angles.pitch), angles.lift)


def _point(forwards: np.ndarray, up: np.ndarray, left: float = 0.0) -> np.ndarray:
    return np.stack([forwards, up, np.full_like(up, left)], axis=-1)


def _pitched(joints: dict[str, np.ndarray], pitch: np.ndarray) -> dict[str, np.ndarray]:
    c, s = np.cos(pitch), np.sin(pitch)
    return {
        name: np.stack([x * c - y * s, x * s + y * c, z], axis=-1)
        for name, (x, y, z) in ((n, np.moveaxis(j, -1, 0)) for n, j in joints.items())
    }


def _on_ground(
    joints: dict[str, np.ndarray], lift: np.ndarray
) -> dict[str, np.ndarray]:
    lowest = np.min([joints[n][:, 1] - r for n, r in _BELOW.items()], axis=0)
    up = np.stack([0 * lift, lift - lowest, 0 * lift], axis=-1)
    return {name: joint + up for name, joint in joints.items()}


def _to_world(
    joints: dict[str, np.ndarray],
    height: float,
    position: tuple[np.ndarray, np.ndarray],
    heading: np.ndarray,
) -> dict[str, np.ndarray]:
    c, s = np.cos(heading), np.sin(heading)
    world = {}
    for name, joint in joints.items():
        forwards, up, left = np.moveaxis(height * joint, -1, 0)
        x = position[0] + forwards * c - left * s
        z = position[1] + forwards * s + left * c
        world[name] = np.stack([x, up, z], axis=-1)
    return world


def _raise_arm(
    figure: Figure,
    times: np.ndarray,
    heading: np.ndarray,
    joints: dict[str, np.ndarray],
) -> None:
    """Moves the free arm up where it is raised or waves, in the picture's plane."""
    weight = figure.arms.weight(times, "raised", "wave")
    weight = weight * (1 - figure.poses.weight(times, "lie"))
    clock = _clock(figure.arms.weight(times, "wave"), times)
    wave = np.sin(2 * np.pi * (figure.wave_phase + figure.wave_rate * clock))
    # To the side that the figure faces, straight up where it faces the camera.
    towards = np.tanh(3 * np.cos(heading))
    upper = figure.arm_rise * towards + 0.6 * wave
    fore = 0.35 * figure.arm_rise * towards + 1.1 * wave
    side = figure.free_side
    elbow = joints[f"shoulder_{side}"] + figure.height * _UPPER_ARM * _up(upper)
    hand = elbow + figure.height * _FOREARM * _up(fore)
    for name, raised in ((f"elbow_{side}", elbow), (f"hand_{side}", hand)):
        joints[name] = joints[name] + weight[:, None] * (raised - joints[name])


def _up(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(angle), np.cos(angle), 0 * angle], axis=-1)


@dataclasses.dataclass(frozen=True)
class Motion:
    """Where a figure's joints are, frame by frame."""

    joints: dict[str, np.ndarray]  # (T, 3) world metres
    heading: np.ndarray  # (T,)
    depth: np.ndarray  # (T,) Z of the figure
    holds: np.ndarray  # (T,) bool: the object is in its hand


def move(figure: Figure, times: np.ndarray) -> Motion:
    """Motion of a figure at (T,) `times` in seconds, evenly spaced from 0."""
    walked = _clock(figure.poses.weight(times, "walk"), times)
    leg = (_THIGH + _SHANK) * figure.height
    speed = figure.cadence * 4 * leg * np.sin(figure.stride)
    x, z, heading = figure.path.at(figure.start + speed * walked)
    joints = _skeleton(_angles(figure, times, walked))
    joints = _to_world(joints, figure.height, (x, z), heading)
    _raise_arm(figure, times, heading, joints)
    return Motion(joints, heading, z, _holding(figure, times) > 0.5)
