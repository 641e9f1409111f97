"""When a prediction counts as having found a reference lesion: rules, and the rules that others publish with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from CMBNetLib.errors import InputError

from .sparse_mask import CONNECTIVITIES

CRITERIA = ("distance", "overlap", "iou", "in_mask")
ASSIGNMENTS = ("optimal", "nearest")
DUPLICATES = ("false_positive", "ignored")


@dataclass(frozen=True)
class MatchingRule:
    """When a prediction and a reference lesion may be a pair, and how pairs are chosen.

    Attributes
    ----------
    name
        How results call the rule.
    criterion
        ``distance`` (of the centres), ``overlap`` (at least one common voxel), ``iou`` (of the two masks) or
        ``in_mask`` (the centre of the prediction lies in the reference mask; where the reference is a point, the
        point lies in the predicted mask).
    limit
        Largest distance, or least IoU; without meaning for the other two.
    strict
        True: the distance must be below the limit, the IoU above it; False: equal will do.
    unit
        ``mm``, or ``voxel`` for distances between array positions (VALDO's code measures so).
    assignment
        ``optimal``: the largest number of one-to-one pairs, and of these the closest. ``nearest``: every
        prediction takes its nearest reference lesion, and the nearest of several takers keeps it.
    duplicates
        What a further prediction on a lesion that is found already counts as: ``false_positive`` or ``ignored``.
    connectivity
        Neighbours (6, 18, 26) that join voxels of binary masks and probability maps to lesions.
    probability_threshold
        Voxels of probability maps from here on belong to the prediction.
    source
        Where the rule comes from.
    """

    name: str = "distance 5 mm"
    criterion: str = "distance"
    limit: float = 5.0
    strict: bool = False
    unit: str = "mm"
    assignment: str = "optimal"
    duplicates: str = "false_positive"
    connectivity: int = 26
    probability_threshold: float = 0.5
    source: str = "default of this program"

    def __post_init__(self) -> None:
        choices = (
            ("criterion", CRITERIA), ("assignment", ASSIGNMENTS), ("duplicates", DUPLICATES),
            ("unit", ("mm", "voxel")), ("connectivity", CONNECTIVITIES),
        )  # fmt: skip
        for field, allowed in choices:
            if getattr(self, field) not in allowed:
                raise InputError(f"{field} is one of {', '.join(map(str, allowed))}, not '{getattr(self, field)}'.")
        if not self.limit >= 0 or (self.criterion == "iou" and self.limit > 1):
            raise InputError(f"A matching limit of {self.limit:g} cannot be met; give mm above 0 or an IoU of 0 to 1.")
        if not 0 < self.probability_threshold <= 1:
            raise InputError(f"A probability threshold lies between 0 and 1, not at {self.probability_threshold:g}.")

    @property
    def needs_extent(self) -> bool:
        """True where points alone cannot be matched."""
        return self.criterion in ("overlap", "iou", "in_mask")

    def sentence(self) -> str:
        """The rule in words, for reports and methods sections."""
        pairing = {
            "optimal": "pairs were assigned one to one so that as many lesions as possible were found and, of "
            "these assignments, the closest was taken",
            "nearest": "each prediction was assigned to its nearest reference lesion, the nearest of several "
            "predictions kept it",
        }[self.assignment]
        further = {
            "false_positive": "further predictions on a lesion found already counted as false positives",
            "ignored": "further predictions on a lesion found already counted neither as true nor as false",
        }[self.duplicates]
        return (
            f"A prediction could match a reference lesion if {self._condition()}; {pairing}; {further}. Masks "
            f"were split into lesions by {self.connectivity}-connected components, probability maps at "
            f"{self.probability_threshold:g}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Fields and the sentence, for JSON."""
        return {**asdict(self), "sentence": self.sentence()}

    def _condition(self) -> str:
        bound = "less than" if self.strict else "at most"
        if self.criterion == "distance":
            return f"their centres of mass were {bound} {self.limit:g} {self.unit}{'s' * (self.unit == 'voxel')} apart"
        if self.criterion == "iou":
            least = "above" if self.strict else "at least"
            return f"the intersection over union of their masks was {least} {self.limit:g}"
        if self.criterion == "overlap":
            return "they shared at least one voxel"
        return "the centre of the prediction lay in the reference mask (or the reference point in the predicted mask)"


PRESETS: dict[str, MatchingRule] = {
    rule.name: rule
    for rule in (
        MatchingRule("distance-5mm"),
        MatchingRule("distance-3mm", limit=3.0),
        MatchingRule("in-mask", "in_mask", 0.0),
        MatchingRule("overlap", "overlap", 0.0),
        MatchingRule("iou", "iou", 0.1),
        MatchingRule(
            "valdo-text", limit=5.0, strict=True, connectivity=6,
            source="VALDO 2021 challenge paper: centroids less than 5 mm apart, 6-connectivity, one to one; ranked by "
            "medians over scans",
        ),
        MatchingRule(
            "valdo-code", limit=5.0, strict=True, unit="voxel", assignment="nearest", connectivity=26,
            source="VALDO 2021 evaluation code: centres of mass in voxels, connectivity 3 (26 neighbours), nearest "
            "reference of each prediction. The code's default limit is 0.1 voxels; the limit of the paper is "
            "taken here as its number of voxels. Of two predictions equally near to a lesion the code counts both as "
            "found, here one; its F1 leaves scans without lesions out",
        ),
        MatchingRule(
            "shiva", "overlap", 0.0,
            source="SHIVA-CMB (Tsuchida 2024): clusters that overlap. Its tolerance and least cluster size are "
            "options there (here: --ignore-below-mm) and not part of the rule",
        ),
        MatchingRule(
            "vuno", limit=3.0,
            source="VUNO (AAIC 2025 abstract): centres within 3 mm, pooled over scans; which neighbours join voxels is "
            "not said there",
        ),
        MatchingRule(
            "seed-distance", limit=5.0, duplicates="ignored", connectivity=6,
            source="MicrobleedNet (del Pozo Lerida): centres within 5 mm, 6-connectivity, further predictions on a "
            "found lesion not counted. Its greedy assignment kept the farther of two candidates; here the "
            "assignment is optimal",
        ),
        MatchingRule(
            "seed-overlap", "overlap", 0.0, duplicates="ignored", connectivity=6,
            source="MicrobleedNet (del Pozo Lerida), its second criterion: at least one common voxel; otherwise as "
            "seed-distance",
        ),
    )
}  # fmt: skip


def rule_of(
    preset: str = "distance-5mm", *, limit: float | None = None, probability_threshold: float | None = None
) -> MatchingRule:
    """A preset, with another limit or threshold if given.

    Raises
    ------
    InputError
        There is no such preset, or the limit cannot be met.
    """
    if preset not in PRESETS:
        raise InputError(f"There is no matching rule '{preset}'. Choose one of: {', '.join(PRESETS)}.")
    rule = PRESETS[preset]
    if limit is not None and limit != rule.limit:
        if rule.criterion in ("overlap", "in_mask"):
            raise InputError(f"The rule '{preset}' has no limit to change; choose a distance or iou rule.")
        rule = replace(rule, limit=limit, name=f"{preset} with limit {limit:g}")
    if probability_threshold is not None:
        rule = replace(rule, probability_threshold=probability_threshold)
    return rule
