"""The miniature's figures: flat puppets, what they are like and how they move.

A point of a puppet is a complex number in body heights: the real part is to the
right in the picture, the imaginary part up.

Two clocks make the motion-only labels fair. The walk cycle and the path are
functions of a clock that runs while the figure walks and stands still when it
stands, so every standing silhouette is a walking one. A raised arm is a
function of a clock that runs while it waves.
"""

import cmath
import math

import numpy as np

from ava_jax.prepare.mini.drawing import hsv, shade
from ava_jax.prepare.mini.schedule import Track

# Proportions, in body heights. Hands, feet and limbs are a little larger than
# life, to be seen at this size.
_THIGH, _SHANK, _FOOT = 0.24, 0.24, 0.085
_TORSO, _HEAD = 0.29, 0.423  # from the pelvis
_UPPER_ARM, _FOREARM = 0.17, 0.18
# From the left to the right joint, seen from the front.
_WIDTHS = {"hip": 0.12, "knee": 0.12, "ankle": 0.12, "toe": 0.12}
_WIDTHS |= {"shoulder": 0.21, "elbow": 0.24, "hand": 0.26}
# How far below a joint the body reaches.
_BELOW = {"pelvis": 0.08, "chest": 0.08, "head": 0.05}
_BELOW |= {"ankle near": 0.035, "ankle far": 0.035, "toe near": 0.02, "toe far": 0.02}

_SKINS = (150, 185, 230), (120, 160, 210), (90, 125, 180), (60, 85, 130)
_HAIRS = (30, 30, 35), (40, 60, 90), (60, 120, 170), (90, 90, 95), (50, 50, 160)


class Figure:
    """One person: body, clothes, place, and what it does when.

    The arm farther from the camera may be raised, the nearer hand may hold something.
    """

    def __init__(self, rng: np.random.Generator, centre: complex, tracks: list[Track]):
        """Draws body, clothes and habits at random.

        `centre` is that of its path: metres to the right and (imaginary) from the
        camera. `tracks` are of its poses, the raised arm and the holding hand.
        """
        self.poses, self.arms, self.hands = tracks
        self.centre = centre
        self.reach = rng.uniform(0.3, 0.6), rng.uniform(-0.25, 0.25)  # of the path, m
        self.start = rng.uniform(0, 100)  # along the path, m
        self.height = rng.uniform(1.55, 1.88)  # m
        self.build = rng.uniform(0.9, 1.2)  # thickness of the limbs
        self.stride = rng.uniform(0.40, 0.52)  # amplitude of the hip, rad
        self.cadence = rng.uniform(0.8, 1.05)  # walk cycles per second
        self.jump_rate = rng.uniform(1.4, 1.7)  # per second
        # Per second: much changes between frames 0.2 s apart, and 0.8 s apart.
        self.wave_rate = rng.uniform(1.6, 1.9)
        self.phase = rng.uniform()  # of walk cycle and jumps at the beginning
        self.wave_phase = rng.uniform()
        self.arm_rise = rng.uniform(0.3, 0.6)  # of a raised arm from the vertical, rad
        self.skin = _SKINS[rng.integers(len(_SKINS))]
        self.hair = _HAIRS[rng.integers(len(_HAIRS))]
        # Objects have brighter colours than clothes, to stand out.
        self.shirt = hsv(*rng.uniform((0, 0.1, 0.35), (1, 0.5, 0.9)))
        self.trousers = hsv(*rng.uniform((0, 0.1, 0.2), (1, 0.5, 0.7)))
        self.shoes = hsv(*rng.uniform((0, 0.0, 0.1), (1, 0.5, 0.9)))
        self.sleeves = (self.skin, shade(self.shirt, 0.86))[rng.integers(2)]
        self.object = str(rng.choice(["ball", "box", "bag"]))
        self.object_colour = hsv(*rng.uniform((0, 0.85, 0.7), (1, 1, 1)))

    def actions(self, time: float) -> frozenset[str]:
        """Names of what it does at `time`: a pose, perhaps 'wave' or 'hold'."""
        pose = self.poses.at(time)
        # A figure that lies has its arms at its sides and nothing in its hands.
        others = set() if pose == "lie" else {self.arms.at(time), self.hands.at(time)}
        return frozenset({pose} | (others & {"wave", "hold"}))

    def place(self, time: float) -> tuple[float, float, float]:
        """X and depth in metres, and the heading: 1 is to the right, -1 left."""
        speed = self.cadence * 4 * (_THIGH + _SHANK) * self.height * self.stride
        walked = self.start + speed * self.poses.clock(time, "walk")
        turn = walked * math.pi / 2 / self.reach[0]
        x = self.centre.real + self.reach[0] * math.asin(math.sin(turn)) * 2 / math.pi
        depth = self.centre.imag + self.reach[1] * math.sin(turn)
        return x, depth, math.tanh(3 * math.cos(turn))


# Poses: angles in radians, of hips, knees, arms and elbows (near, far), of the
# trunk forwards and of the whole body backwards; then the height of the lowest
# point above the ground.
_SITTING = (2.0, 1.87, 1.4, 1.1, 0.2, 0.1, 0.4, 0.45, -0.08, 0.0, 0.0)
_LYING = (0.3, 0.05, 0.6, 0.1, 0.15, 0.1, 0.2, 0.2, 0.0, math.pi / 2, 0.0)


def _walk_cycle(figure: Figure, time: float) -> tuple[float, ...]:
    turns = figure.phase + figure.cadence * figure.poses.clock(time, "walk")
    cycles = 2 * math.pi * (turns + np.array([0, 0.5]))  # of the two legs
    # A knee bends while its leg swings forwards (second half of the cycle).
    swing, cosine = np.maximum(0, np.sin(cycles - math.pi - 0.35)), np.cos(cycles)
    hips, arms = figure.stride * cosine + 0.25 * swing, -0.8 * figure.stride * cosine
    return *hips, *(0.12 + swing), *arms, *(0.35 - 0.2 * cosine), 0.06, 0.0, 0.0


def _jump_cycle(figure: Figure, time: float) -> tuple[float, ...]:
    cycle = (figure.phase + figure.jump_rate * time) % 1
    flight = max(0.0, 2 * cycle - 1)
    height = 4 * flight * (1 - flight)
    crouch = math.sin(2 * math.pi * cycle) if cycle < 0.5 else 0.0
    hip, knee = crouch + 0.25 * height, 1.75 * crouch + 0.5 * height + 0.1
    arm, elbow = 0.9 * height - 0.7 * crouch, 0.4 + 0.2 * height
    lean, lift = 0.55 * crouch, 0.2 * height
    return hip + 0.08, hip - 0.02, knee, knee, arm, arm, elbow, elbow, lean, 0.0, lift


def _angles(figure: Figure, time: float) -> list[float]:
    """The pose, blended where it changes, the forearm up where something is held."""
    weight = figure.poses.weight
    angles = (
        weight(time, "stand", "walk") * np.array(_walk_cycle(figure, time))
        + weight(time, "jump") * np.array(_jump_cycle(figure, time))
        + weight(time, "sit") * np.array(_SITTING)
        + weight(time, "lie") * np.array(_LYING)
    )
    hold = figure.hands.weight(time, "hold") * (1 - weight(time, "lie"))
    angles[[4, 6]] += hold * (np.array([0.15, 1.2]) - 0.7 * angles[[4, 6]])
    return angles.tolist()


def joints(figure: Figure, time: float) -> dict[str, complex]:
    """The puppet's joints, in body heights from its place on the ground."""
    *limbs, lean, pitch, lift = _angles(figure, time)
    chest = complex(0, _TORSO) * cmath.exp(-1j * lean)
    head = chest * _HEAD / _TORSO
    at = {"pelvis": 0j, "waist": 0.15 * chest, "chest": chest, "head": head}
    at["face"] = head + 0.02 - 0.018j
    for i, side in enumerate(("near", "far")):
        hip, knee, arm, elbow = limbs[i::2]
        arm += lean
        at |= {f"hip {side}": 0j, f"shoulder {side}": chest}
        at[f"knee {side}"] = _hanging(_THIGH, hip)
        at[f"ankle {side}"] = at[f"knee {side}"] + _hanging(_SHANK, hip - knee)
        foot = _hanging(_FOOT, hip - knee + math.pi / 2 - 0.1)
        at[f"toe {side}"] = at[f"ankle {side}"] + foot
        at[f"elbow {side}"] = chest + _hanging(_UPPER_ARM, arm)
        at[f"hand {side}"] = at[f"elbow {side}"] + _hanging(_FOREARM, arm + elbow)
    at = {name: joint * cmath.exp(1j * pitch) for name, joint in at.items()}
    lift -= min(at[name].imag - below for name, below in _BELOW.items())
    return _raise_arm(figure, time, _turned(figure, time, at, lift))


def _hanging(length: float, angle: float) -> complex:
    """A limb that hangs down at angle 0 and points forwards at pi/2."""
    return length * complex(math.sin(angle), -math.cos(angle))


def _turned(figure: Figure, time: float, at: dict[str, complex], lift: float):
    """Lifts a puppet that faces right, and turns it to its heading."""
    heading = figure.place(time)[2]
    # Seen from the front, a lying or sitting figure could not be recognised.
    across = figure.poses.weight(time, "sit", "lie")
    heading += across * (math.copysign(1, heading) - heading)
    half = math.sqrt(1 - heading**2) / 2  # of the width seen from the front
    turned = {}
    for name, joint in at.items():
        kind, _, side = name.partition(" ")
        aside = _WIDTHS.get(kind, 0.0) * (half if side == "near" else -half)
        turned[name] = complex(heading * joint.real + aside, joint.imag + lift)
    return turned


def _raise_arm(figure: Figure, time: float, at: dict[str, complex]):
    """Moves the far arm up where it is raised or waves, in the picture's plane."""
    weight = figure.arms.weight(time, "raised", "wave")
    weight *= 1 - figure.poses.weight(time, "lie")
    turns = figure.wave_phase + figure.wave_rate * figure.arms.clock(time, "wave")
    wave = math.sin(2 * math.pi * turns)
    # To the side that the figure faces, straight up where it faces the camera.
    rise = figure.arm_rise * figure.place(time)[2]
    elbow = at["shoulder far"] - _hanging(_UPPER_ARM, -rise - 0.9 * wave)
    hand = elbow - _hanging(_FOREARM, -0.3 * rise - 1.3 * wave)
    for name, raised in (("elbow far", elbow), ("hand far", hand)):
        at[name] += weight * (raised - at[name])
    return at
