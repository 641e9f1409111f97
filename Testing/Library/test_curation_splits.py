"""Splits keep subjects together, follow the strata, repeat by seed, and refuse leaks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from CMBNetLib.errors import InputError
from CMBNetTrainingLib.collection_splits import (
    SplitRule,
    assign_splits,
    burden_class,
    check_leaks,
    stratum,
    thickness_class,
)
from CMBNetTrainingLib.collection_tables import csv_text, grid_rows, summary_rows


def record(number: int, subject: int, *, role: str = "real", count: int = 0, dataset: str = "a", **more: Any) -> dict:
    sizes = [{"n_voxels": 5, "quality": "good", "shape": {"equivalent_diameter_mm": 2.0 + n}} for n in range(count)]
    return {
        "scan_id": f"s{number}",
        "subject_id": f"p{subject}",
        "role": role,
        "dataset": dataset,
        "sequence": "SWI",
        "field_strength_t": 3.0,
        "counts": {"collection": count},
        "microbleeds": sizes,
        "lost": [],
        "source": {"spacing_mm": [0.5, 0.5, 1.0], "shape_ijk": [9, 9, 9], "voxels": f"sha256:{number}"},
        **more,
    }


def cohort(seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    records = []
    for subject in range(80):
        for _ in range(int(rng.integers(1, 4))):
            count = int(rng.choice([0, 0, 1, 3, 12]))
            records.append(record(len(records), subject, count=count, dataset="ab"[subject % 2]))
    for subject in range(60, 100):
        records.append(record(len(records), subject, role="synthetic", count=10))
    return records


def test_no_subject_is_in_two_splits_and_synthetic_scans_only_train() -> None:
    records = cohort()
    splits = assign_splits(records, SplitRule(0.2, 0.1, 3))
    found: dict[str, set[str]] = {}
    for item in records:
        split = splits[item["scan_id"]]
        if split != "unused":
            found.setdefault(item["subject_id"], set()).add(split)
        if item["role"] == "synthetic":
            assert split in ("train", "unused")
    assert all(len(names) == 1 for names in found.values())
    assert "unused" in splits.values(), "a synthetic scan of a validation subject is left out"


def test_shares_are_met_in_all_and_nearly_in_every_stratum() -> None:
    records = [item for item in cohort() if item["role"] == "real"]
    splits = assign_splits(records, SplitRule(0.25, 0.0, 1))
    subjects = {item["subject_id"]: splits[item["scan_id"]] for item in records}
    assert Counter(subjects.values())["validation"] == 20
    strata: dict[tuple, list[str]] = {}
    for name in subjects:
        own = [item for item in records if item["subject_id"] == name]
        strata.setdefault(stratum(own), []).append(subjects[name])
    for members in strata.values():
        assert abs(members.count("validation") - 0.25 * len(members)) <= 1


def test_the_same_seed_gives_the_same_split_in_any_order_and_another_seed_another() -> None:
    records = cohort()
    first = assign_splits(records, SplitRule(seed=5))
    assert assign_splits(list(reversed(records)), SplitRule(seed=5)) == first
    assert assign_splits(records, SplitRule(seed=6)) != first


def test_a_shared_subject_or_the_same_voxels_under_another_name_is_an_error() -> None:
    records = [record(1, 1), record(2, 1), record(3, 2)]
    with pytest.raises(InputError, match=r"subject p1 .*s2 in train, s1 in validation"):
        check_leaks(records, {"s1": "validation", "s2": "train", "s3": "train"})
    records[2]["source"]["voxels"] = records[0]["source"]["voxels"]
    with pytest.raises(InputError, match="s1 and s3 have identical voxels"):
        assign_splits(records, SplitRule())


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0), (1.0, 0), (0.5, 0.5)])
def test_shares_that_leave_nothing_are_refused(validation: float, test: float) -> None:
    with pytest.raises(InputError):
        SplitRule(validation, test)


def test_classes_and_tables() -> None:
    assert [thickness_class(mm) for mm in (1.0, 2.0, 4.0)] == ["thin", "medium", "thick"]
    assert [burden_class(n) for n in (0, 1, 2, 4, 5, 80)] == ["0", "1", "2-4", "2-4", "5+", "5+"]
    rows = summary_rows([record(1, 1, count=2), record(2, 1), record(3, 2, count=4, dataset="b")])
    assert [(row["dataset"], row["scans"], row["subjects"], row["microbleeds"]) for row in rows] == [
        ("a", 2, 1, 2), ("b", 1, 1, 4), ("all", 3, 2, 6),
    ]  # fmt: skip
    assert rows[0]["mean_a_scan"] == 1.0
    assert rows[0]["mean_with"] == 2.0
    assert grid_rows([record(1, 1), record(2, 2)])[0]["scans"] == 2
    assert csv_text(("a", "b"), [{"a": None, "b": 1}]) == "a,b\n,1\n"
