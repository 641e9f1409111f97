"""Training, validation and test scans of a collection: by subject, by strata, always the same."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from CMBNetLib.errors import InputError

from .source_scan import REAL

TRAIN, VALIDATION, TEST, UNUSED = "train", "validation", "test", "unused"
# Upper ends (mm) of the classes of slice thickness; the tissue of a microbleed of 3 mm lies in 3, 2 or 1 slices.
THIN_MM, MEDIUM_MM = 1.2, 2.5
# Microbleeds of a subject's worst scan: none, one, few, many (Boston criteria and trials cut at 2 and 5).
FEW, MANY = 2, 5


@dataclass(frozen=True)
class SplitRule:
    """Shares of the subjects, and the seed of the lot.

    Attributes
    ----------
    validation, test : float
        0 to below 1, together below 1.
    """

    validation: float = 0.15
    test: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            raise InputError("The shares of validation and test are 0 or more, and together less than 1.")


def assign_splits(records: Sequence[Mapping[str, Any]], rule: SplitRule) -> dict[str, str]:
    """Return scan id -> split.

    Subjects with a real scan are drawn within strata of data set, sequence, slice thickness, field strength and burden.
    Synthetic and negative scans go to training if their subject is not in validation or test, else nowhere.

    Raises
    ------
    InputError
        A leak, see `check_leaks`.
    """
    subjects = _draw(records, rule)
    splits = {}
    for record in records:
        drawn = subjects.get(record["subject_id"], TRAIN)
        splits[record["scan_id"]] = drawn if record["role"] == REAL or drawn == TRAIN else UNUSED
    check_leaks(records, splits)
    return splits


def check_leaks(records: Sequence[Mapping[str, Any]], splits: Mapping[str, str]) -> None:
    """Refuse a split that shares a subject, or a collection with the same voxels under two names.

    Raises
    ------
    InputError
        Names the scans.
    """
    by_subject: dict[str, dict[str, str]] = defaultdict(dict)
    by_voxels: dict[str, list[str]] = defaultdict(list)
    for record in records:
        split = splits[record["scan_id"]]
        if split != UNUSED:
            by_subject[record["subject_id"]].setdefault(split, record["scan_id"])
        by_voxels[record["source"]["voxels"]].append(record["scan_id"])
    for subject, found in sorted(by_subject.items()):
        if len(found) > 1:
            names = ", ".join(f"{scan} in {split}" for split, scan in sorted(found.items()))
            raise InputError(f"Leak: the subject {subject} is in several splits ({names}).")
    for scans in sorted(by_voxels.values()):
        if len(scans) > 1:
            raise InputError(
                f"Leak: {' and '.join(sorted(scans))} have identical voxels. Remove all but one from the source."
            )


def stratum(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what a subject's real scans are alike in; of several scans the one with most microbleeds tells."""
    worst = max(records, key=lambda record: (record["counts"]["collection"], record["scan_id"]))
    field = worst.get("field_strength_t")
    return (
        str(worst["dataset"]),
        str(worst.get("sequence") or "unknown"),
        thickness_class(max(worst["source"]["spacing_mm"])),
        "unknown" if field is None else f"{float(field):g}",
        burden_class(worst["counts"]["collection"]),
    )


def thickness_class(slice_mm: float) -> str:
    """Return ``thin``, ``medium`` or ``thick``."""
    return "thin" if slice_mm <= THIN_MM else "medium" if slice_mm <= MEDIUM_MM else "thick"


def burden_class(count: int) -> str:
    """Return ``0``, ``1``, ``2-4`` or ``5+``."""
    return str(count) if count < FEW else "2-4" if count < MANY else "5+"


def _draw(records: Sequence[Mapping[str, Any]], rule: SplitRule) -> dict[str, str]:
    """Return subject -> split for subjects with a real scan.

    The strata are laid end to end and cut at even steps, so that small ones are served too: each gets its share rounded
    up or down, and all together theirs.
    """
    scans: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        if record["role"] == REAL:
            scans[record["subject_id"]].append(record)
    order = sorted(scans, key=lambda subject: (stratum(scans[subject]), _lot(subject, rule.seed)))
    drawn = {}
    for position, subject in enumerate(order):
        drawn[subject] = TRAIN
        if _falls(position, rule.validation):
            drawn[subject] = VALIDATION
    rest = [subject for subject in order if drawn[subject] == TRAIN]
    share = rule.test / (1 - rule.validation)
    for position, subject in enumerate(rest):
        if _falls(position, share):
            drawn[subject] = TEST
    return drawn


def _falls(position: int, share: float) -> bool:
    """Tell whether a cut falls on this place: share * n places of the first n, give or take a half."""
    return int(share * (position + 1) + 0.5) > int(share * position + 0.5)


def _lot(subject: str, seed: int) -> str:
    """Return a number that depends on the subject and the seed only, not on who else is there."""
    return hashlib.sha256(f"{seed}:{subject}".encode()).hexdigest()
