"""Tables of a collection: the manifest, the log, and the counts that a paper prints."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .collection import FAILED, IMAGES, LABELS, Collection, State, write_text
from .source_scan import Problem

MANIFEST = (
    "scan_id", "subject_id", "image", "label", "dataset", "sequence", "field_strength_t", "echo_time_ms", "role",
    "split", "n_microbleeds",
)  # fmt: skip
LOG = ("scan_id", "status", "code", "message")
SUMMARY = (
    "dataset", "role", "scans", "subjects", "scans_with", "microbleeds", "mean_a_scan", "sd_a_scan", "mean_with",
    "sd_with", "most", "diameter_median_mm", "diameter_p5_mm", "diameter_p95_mm", "to_look_at", "lost",
)  # fmt: skip
GRIDS = ("dataset", "role", "shape_ijk", "spacing_mm", "scans")
LESIONS = (
    "scan_id", "id", "source_id", "x", "y", "z", "method", "quality", "flags", "n_voxels", "volume_mm3",
    "equivalent_diameter_mm", "max_diameter_mm", "elongation", "flatness", "sphericity", "contrast", "zone", "region",
    "side",
)  # fmt: skip


def write_tables(
    collection: Collection, records: Sequence[Mapping[str, Any]], splits: Mapping[str, str], problems: Iterable[Problem]
) -> None:
    """Write ``manifest.csv``, ``log.csv`` and ``tables/*.csv``; the same records give the same bytes."""
    rows = {
        "manifest.csv": (MANIFEST, [manifest_row(record, splits) for record in records]),
        "log.csv": (LOG, log_rows(collection.states(), records, problems)),
        "tables/summary.csv": (SUMMARY, summary_rows(records)),
        "tables/grids.csv": (GRIDS, grid_rows(records)),
        "tables/microbleeds.csv": (LESIONS, [row for record in records for row in lesion_rows(record)]),
    }
    for name, (columns, content) in rows.items():
        write_text(collection.folder / name, csv_text(columns, content))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a CSV text; None becomes an empty cell."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if row.get(name) is None else row[name] for name in columns})
    return stream.getvalue()


def manifest_row(record: Mapping[str, Any], splits: Mapping[str, str]) -> dict[str, Any]:
    """Return the row of one scan; paths are relative to the collection."""
    scan_id = record["scan_id"]
    row = {name: record.get(name) for name in MANIFEST}
    return row | {
        "image": f"{IMAGES}/{scan_id}.nii.gz",
        "label": f"{LABELS}/{scan_id}.nii.gz",
        "split": splits.get(scan_id, ""),
        "n_microbleeds": record["counts"]["collection"],
    }


def log_rows(
    states: Mapping[str, State], records: Sequence[Mapping[str, Any]], problems: Iterable[Problem]
) -> list[dict[str, str]]:
    """Return what happened to each scan: one row a scan, and one for each microbleed that was lost."""
    by_id = {record["scan_id"]: record for record in records}
    rows = [
        {"scan_id": scan_id, "status": FAILED, "code": state.code, "message": state.message}
        for scan_id, state in states.items()
        if state.status == FAILED
    ]
    rows += [{"scan_id": p.scan_id, "status": "left out", "code": p.code, "message": p.message} for p in problems]
    for scan_id, record in by_id.items():
        counts = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in record["counts"].items())
        rows.append({"scan_id": scan_id, "status": record["status"], "code": "", "message": counts})
        for lost in record["lost"]:
            text = f"Microbleed {lost['id']} ({lost['source_id']}) is not in the label: {lost['why']}."
            rows.append({"scan_id": scan_id, "status": "lost", "code": "lost", "message": text})
    return sorted(rows, key=lambda row: (row["scan_id"], row["status"], row["message"]))


def summary_rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each data set and role, and one for all."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["dataset"], record["role"]), []).append(record)
    rows = [_summary(*key, group) for key, group in sorted(groups.items())]
    return [*rows, _summary("all", "", list(records))] if len(rows) > 1 else rows


def _summary(dataset: str, role: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts = [int(record["counts"]["collection"]) for record in records]
    positive = [count for count in counts if count]
    entries = [entry for record in records for entry in record["microbleeds"] if entry["n_voxels"]]
    sizes = sorted(float(entry["shape"]["equivalent_diameter_mm"]) for entry in entries if entry["shape"])
    return {
        "dataset": dataset,
        "role": role,
        "scans": len(records),
        "subjects": len({record["subject_id"] for record in records}),
        "scans_with": len(positive),
        "microbleeds": sum(counts),
        "mean_a_scan": _mean(counts),
        "sd_a_scan": _sd(counts),
        "mean_with": _mean(positive),
        "sd_with": _sd(positive),
        "most": max(counts, default=0),
        "diameter_median_mm": _quantile(sizes, 0.5),
        "diameter_p5_mm": _quantile(sizes, 0.05),
        "diameter_p95_mm": _quantile(sizes, 0.95),
        "to_look_at": sum(entry["quality"] != "good" for entry in entries),
        "lost": sum(len(record["lost"]) for record in records),
    }


def grid_rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return how many scans of each data set came on each grid."""
    counts: dict[tuple[str, str, str, str], int] = {}
    for record in records:
        source = record["source"]
        shape, spacing = ("x".join(f"{value:g}" for value in source[name]) for name in ("shape_ijk", "spacing_mm"))
        key = (record["dataset"], record["role"], shape, spacing)
        counts[key] = counts.get(key, 0) + 1
    return [dict(zip(GRIDS, (*key, count), strict=True)) for key, count in sorted(counts.items())]


def lesion_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each microbleed of a scan."""
    rows = []
    for entry in record["microbleeds"]:
        x, y, z = entry["center_ras"]
        known = {name: entry[name] for name in LESIONS if name in entry}
        place = {"scan_id": record["scan_id"], "x": x, "y": y, "z": z, "flags": " ".join(entry.get("flags", []))}
        rows.append({**entry["shape"], **known, **place})
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 3) if values else None


def _sd(values: Sequence[float]) -> float | None:
    return round(statistics.stdev(values), 3) if len(values) > 1 else None


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 3)
