"""The evaluation protocols of AVA: the rules in which the reference scripts differ.

All of them are PASCAL's average precision at IoU 0.5 on key frames, and none says so
with the number. A protocol is one row of `PROTOCOLS`.
"""

import dataclasses
from collections.abc import Sequence

# The words for each value of a rule, in the order in which the report changes rules.
_WORDS = {
    "counted_frames": {
        "all": "detections of all key frames count",
        "listed": "only detections on key frames that the ground truth lists count",
        "labelled": "only detections on key frames with a label of a scored action "
        "count",
    },
    "max_per_frame": {
        None: "all detections of a key frame count",
        50: "only the 50 highest-scored detections of a key frame count",
    },
    "averages_undetected": {
        True: "an action with ground truth and no detection has AP 0",
        False: "an action without a counted detection is not averaged",
    },
    "counts_excluded": {
        False: "labels of excluded key frames do not count",
        True: "labels of excluded key frames count, and are all missed",
    },
    "counts_empty": {
        False: "boxes without area are ignored",
        True: "boxes without area are false positives",
    },
    "precision": {
        "float64": "boxes and scores are float64",
        "float32": "boxes and scores are rounded to float32",
    },
}
RULES = tuple(_WORDS)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The rules of one reference script.

    Attributes:
      name: how it is called here.
      users: the programs whose numbers it gives.
      counted_frames: whose detections count, excluded frames apart: those of 'all'
        frames, of 'listed' ones (with any row of ground truth, or annotated as
        having no box), or of 'labelled' ones (with a label of a scored action).
      max_per_frame: the number of highest-scored detections of a frame that count,
        over all scored actions, whether their boxes are valid or not; None: all.
      averages_undetected: whether an action with ground truth and without counted
        detections has AP 0; otherwise it is left out of the mean.
      counts_excluded: whether labels of excluded frames count as ground truth.
      counts_empty: whether boxes without area are false positives; otherwise they
        are ignored.
      precision: 'float64' or 'float32', the type of boxes and scores.
    """

    name: str
    users: str
    counted_frames: str
    max_per_frame: int | None
    averages_undetected: bool
    counts_excluded: bool
    counts_empty: bool
    precision: str

    def rules(self) -> dict[str, str]:
        """What the protocol does, in words, by the name of the rule."""
        return {rule: self.describe(rule) for rule in RULES}

    def describe(self, rule: str) -> str:
        """What the protocol does about one of `RULES`, in words."""
        return _WORDS[rule][getattr(self, rule)]


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # Copies of an older version of the challenge's script: PySlowFast's
        # `slowfast/utils/ava_eval_helper.py`, and MMAction2 0.x's
        # `mmaction/core/evaluation/ava_utils.py`, which calls it without a capacity.
        Protocol(
            name="pyslowfast",
            users="PySlowFast, MMAction2 0.x",
            counted_frames="all",
            max_per_frame=None,
            averages_undetected=True,
            counts_excluded=False,
            counts_empty=False,
            precision="float64",
        ),
        # ActivityNet, `Evaluation/get_ava_performance.py`, as it is since it reads
        # AVA-Kinetics' rows of two columns. It takes no list of excluded frames,
        # because AVA's ground truth does not list these.
        Protocol(
            name="activitynet",
            users="the AVA challenge's present script",
            counted_frames="listed",
            max_per_frame=50,
            averages_undetected=True,
            counts_excluded=False,
            counts_empty=False,
            precision="float64",
        ),
        # `mmaction/evaluation/functional/ava_utils.py`.
        Protocol(
            name="mmaction2",
            users="MMAction2 1.x",
            counted_frames="labelled",
            max_per_frame=None,
            averages_undetected=False,
            counts_excluded=True,
            counts_empty=True,
            precision="float32",
        ),
    )
}
# The model zoos' numbers are by this one, MMAction2 1.x's excepted.
DEFAULT = "pyslowfast"


def check_protocols(names: Sequence[str]) -> None:
    """Raises a ValueError unless all of `names` are in `PROTOCOLS`."""
    if not set(names) <= set(PROTOCOLS):
        raise ValueError(f"protocols are {tuple(PROTOCOLS)}, not {tuple(names)}")
