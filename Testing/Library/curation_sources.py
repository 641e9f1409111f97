"""Data sets of every layout, written to disk from small generated heads with dark spots at known places."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from CMBNetLib.review_results import write_table
from CMBNetLib.review_training import MANIFEST, MIMICS
from CMBNetLib.volume import Volume, write_volume
from head_phantom import SPOTS_RAS, head

SPACING = (1.5, 1.5, 3.0)
SPOT_MM = 5.0
Spots = Sequence[tuple[float, float, float]]


@lru_cache(maxsize=8)
def _head(spots: tuple[tuple[float, float, float], ...]) -> Volume:
    return head(SPACING, spots=spots, spot_mm=SPOT_MM)


def scan(seed: int = 0, spots: Spots = SPOTS_RAS) -> Volume:
    """A head with spots; another seed gives other voxels."""
    base = _head(tuple(spots))
    noise = np.random.default_rng(seed).normal(0, 0.5, base.array.shape).astype(np.float32)
    return base.with_array(np.maximum(base.array + noise, 0).astype(np.float32))


def voxels(volume: Volume, spots: Spots = SPOTS_RAS) -> np.ndarray:
    """The nearest voxels (i, j, k), (N, 3), of the spots, counted from 0."""
    return np.rint(volume.ijk_from_ras(np.array(spots))).astype(int).reshape(-1, 3)


def mask(volume: Volume, spots: Spots = SPOTS_RAS, *, numbered: bool = False, radius_mm: float = SPOT_MM / 2) -> Volume:
    """The spots as a label map: 1, or 1..n."""
    kji = np.stack(np.meshgrid(*(np.arange(n) for n in volume.array.shape), indexing="ij"), -1)
    ras = kji[..., ::-1] @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    labels = np.zeros(volume.array.shape, np.uint16)
    for number, spot in enumerate(spots, 1):
        labels[np.linalg.norm(ras - np.asarray(spot), axis=-1) <= radius_mm] = number if numbered else 1
    return volume.with_array(labels)


def dots(volume: Volume, spots: Spots = SPOTS_RAS) -> np.ndarray:
    """One voxel in each spot, as uint16 array of zeros and numbers."""
    labels = np.zeros(volume.array.shape, np.uint16)
    for number, (i, j, k) in enumerate(voxels(volume, spots), 1):
        labels[k, j, i] = number
    return labels


def save(volume: Volume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_volume(volume, path)


def make_valdo(root: Path) -> int:
    """Two subjects, the second without microbleeds; outside the head is NaN as in the original."""
    for number, spots in (("101", SPOTS_RAS), ("205", ())):
        volume = scan(int(number), spots)
        masked = volume.with_array(np.where(volume.array < 10, np.nan, volume.array).astype(np.float32))
        folder = root / f"sub-{number}"
        save(masked, folder / f"sub-{number}_space-T2S_desc-masked_T2S.nii.gz")
        save(mask(volume, spots), folder / f"sub-{number}_space-T2S_CMB.nii.gz")
    return len(SPOTS_RAS)


def make_dou(root: Path) -> int:
    from scipy.io import savemat

    for number in (1, 2):
        volume = scan(number)
        save(volume, root / "nii" / f"{number:02d}.nii")
        (root / "ground_truth").mkdir(parents=True, exist_ok=True)
        savemat(root / "ground_truth" / f"{number:02d}.mat", {"cen": voxels(volume) + 1})
    return 2 * len(SPOTS_RAS)


def make_momeni(root: Path) -> int:
    """A subject with two visits (a repeated point in the first), one without, and synthetic versions of both."""
    public = root / "data" / "PublicDataShare_2020"
    ending = "_MRI_SWI_BFC_50mm_HM"
    real, synthetic, synthetic_none = [], [], []
    for visit in (0, 1):
        volume = scan(10 + visit)
        save(volume, public / "rCMB_DefiniteSubject" / f"305_T{visit}{ending}.nii.gz")
        points = voxels(volume) + 1
        neighbour = points[1:2] + np.array([[1, 0, 0]])
        twice = np.vstack([points, points[:1], neighbour]) if visit == 0 else points
        real.append([f"305_T{visit}{ending}.nii.gz", *twice.ravel().tolist()])
    save(scan(20, ()), public / "NoCMBSubject" / f"411_T0{ending}.nii.gz")
    extra = ((0.0, 40.0, 20.0),)
    volume = scan(30, (*SPOTS_RAS, *extra))
    save(volume, public / "sCMB_DefiniteSubject" / f"305_T0{ending}_rsCMB_V1.nii.gz")
    synthetic.append([f"305_T0{ending}_rsCMB_V1", *(voxels(volume, extra) + 1).ravel().tolist()])
    volume = scan(31, extra)
    save(volume, public / "sCMB_NoCMBSubject" / f"411_T0{ending}_sCMB_V1.nii.gz")
    synthetic_none.append([f"411_T0{ending}_sCMB_V1.nii.gz", *(voxels(volume, extra) + 1).ravel().tolist()])
    write_sheet(public / "rCMBInformationInfo.xlsx", real)
    write_sheet(public / "sCMBInformationInfo.xlsx", synthetic)
    write_sheet(public / "sCMBLocationInformationInfoNocmb.xlsx", synthetic_none)
    return 2 * len(SPOTS_RAS) + (len(SPOTS_RAS) + 1) + 1


def write_sheet(path: Path, rows: Sequence[Sequence[object]]) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["File name", "x", "y", "z"])
    for row in rows:
        book.active.append(list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def make_rodeja(root: Path) -> int:
    for study in ("00034", "00300"):
        volume = scan(int(study))
        save(volume, root / "cph_annotated" / "images" / f"{study}.nii.gz")
        labels = mask(volume, numbered=True)
        save(labels, root / "cmb_annotations" / "Annotations" / "batch1" / f"reader_{study}mask.nii.gz")
    return 2 * len(SPOTS_RAS)


def make_redbrick(root: Path) -> int:
    """One study: an entry with two dots (Multiple), one with one, a finding that is no microbleed, a mimic point."""
    volume = scan(50)
    labels = dots(volume)
    labels[labels == 2] = 1
    labels[2:4, 2:4, 2:4] = 9
    study = root / "1.2.3.4"
    save(volume, study / "images" / "SWI_1" / "series.nii.gz")
    save(volume.with_array(labels), study / "segmentations" / "SWI_1.nii.gz")
    series = {
        "name": "SWI_1",
        "segmentMap": {
            "1": {"category": "CMB", "attributes": [{"name": "Multiple", "value": True}]},
            "3": {"category": ["object", "CMB"], "attributes": {"Location": "Cortex", "Uncertain": False}},
            "9": {"category": "Additional Findings", "attributes": []},
        },
        "landmarks3d": [
            {"point": {"i": 40, "j": 50, "k": 20}, "category": "Mimics", "attributes": {"Type": "cavernoma"}}
        ],
    }
    (root / "tasks.json").write_text(json.dumps([{"name": "1.2.3.4", "series": [series]}]))
    return len(SPOTS_RAS)


def make_negative(root: Path) -> int:
    for number, name in enumerate(("a_SWI_1", "b_T2S_1", "c_T2S_1")):
        study = "s1" if number < 2 else "s2"
        save(scan(60 + number, ()), root / "Data" / study / f"{name}.nii.gz")
    return 0


def make_bids(root: Path) -> int:
    """A subject with a mask in the derivatives, and one with points in a table, two visits."""
    volume = scan(70)
    save(volume, root / "sub-01" / "anat" / "sub-01_T2starw.nii.gz")
    sidecar = {"MagneticFieldStrength": 3, "EchoTime": 0.02}
    (root / "sub-01" / "anat" / "sub-01_T2starw.json").write_text(json.dumps(sidecar))
    save(mask(volume), root / "derivatives" / "manual" / "sub-01" / "anat" / "sub-01_label-CMB_mask.nii.gz")
    for visit in (1, 2):
        stem = f"sub-02_ses-{visit}"
        save(scan(70 + visit), root / "sub-02" / f"ses-{visit}" / "swi" / f"{stem}_swi.nii.gz")
        rows = ["x\ty\tz\tcertainty", *("\t".join(f"{value}" for value in spot) + "\thigh" for spot in SPOTS_RAS)]
        table = root / "derivatives" / "manual" / "sub-02" / f"ses-{visit}" / f"{stem}_label-CMB_points.tsv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("\n".join(rows) + "\n")
    return 3 * len(SPOTS_RAS)


def make_readings(root: Path) -> int:
    """Two cases as the review room exports them: numbered masks, one mimic and one unsure finding."""
    rows, mimics = [], []
    for number, spots in ((1, SPOTS_RAS), (2, ())):
        name = f"sub-{number:02d}_swi"
        volume = scan(80 + number, spots)
        image = save(volume, root / "scans" / f"{name}.nii.gz")
        save(mask(volume, spots, numbered=True), root / "labels" / f"{name}.nii.gz")
        rows.append({
            "scan_id": name, "subject_id": f"sub-{number:02d}", "image": str(image.resolve()),
            "label": f"labels/{name}.nii.gz", "dataset": "readings", "sequence": "SWI", "field_strength_t": 3.0,
            "role": "real", "split": "train", "n_microbleeds": len(spots),
        })  # fmt: skip
    for verdict, kind in (("not", "vein"), ("unsure", None)):
        mimics.append({"scan_id": "sub-01_swi", "x": 0, "y": 30, "z": 20, "verdict": verdict, "mimic": kind})
    write_table(root / "manifest.csv", MANIFEST, rows)
    write_table(root / "mimics.csv", MIMICS, mimics)
    return len(SPOTS_RAS)


# Layout -> what writes it (returns the number of microbleeds) and the number of scans.
MAKERS: dict[str, tuple[Callable[[Path], int], int]] = {
    "valdo": (make_valdo, 2),
    "dou": (make_dou, 2),
    "momeni": (make_momeni, 5),
    "rodeja": (make_rodeja, 2),
    "redbrick": (make_redbrick, 1),
    "negative": (make_negative, 2),
    "bids": (make_bids, 3),
    "readings": (make_readings, 2),
}
