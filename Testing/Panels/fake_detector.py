"""A detector that needs no network: the events, files and exit codes of `cmbnet detect`, for tests of the panel.

    python fake_detector.py MODE SCAN -o DIR [options of cmbnet detect]

Modes: `done`; `waits` (never ends by itself, starts a child of its own); `stubborn` (as `waits`, ignores SIGTERM);
`refuses` (bad input); `crashes`; `silent` (ends well without a result); `chatters` (`done`, with lines that are no
events). It runs under plain Python and under PythonSlicer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "CMBNet")]

import numpy as np  # noqa: E402

from CMBNetLib.candidates import Candidate  # noqa: E402
from CMBNetLib.detection import DetectionResult  # noqa: E402
from CMBNetLib.detection_file import detection_document  # noqa: E402
from CMBNetLib.errors import InputError  # noqa: E402
from CMBNetLib.location import Location  # noqa: E402
from CMBNetLib.progress import JsonProgress  # noqa: E402
from CMBNetLib.shape import LesionShape  # noqa: E402
from CMBNetLib.volume import Volume, from_sitk, write_volume  # noqa: E402

POINTS = {"sensitive": 0.2, "balanced": 0.5, "specific": 0.8}
FLOOR = 0.05
# Score, zone, site, side; positions are spread along the diagonal of the scan.
FOUND = (
    (0.97, "lobar", "cortex", "left"),
    (0.85, "deep", "thalamus", "right"),
    (0.62, "infratentorial", "cerebellum", "left"),
    (0.40, "lobar", "subcortical_white_matter", "right"),
    (0.10, "outside", "outside", "left"),
)


def make_result(scan: Volume, threshold: float, operating_point: str | None) -> DetectionResult:
    """Five candidates of 3 x 3 x 1 voxels, the first one with the highest score."""
    labels = np.zeros(scan.array.shape, np.uint16)
    candidates = []
    for number, (score, zone, region, side) in enumerate(FOUND, start=1):
        i, j, k = (round(n * number / (len(FOUND) + 1)) for n in scan.shape_ijk)
        labels[k, j - 1 : j + 2, i - 1 : i + 2] = number
        center = tuple(float(v) for v in scan.ras_from_ijk(np.array([[i, j, k]]))[0])
        shape = LesionShape(9.0 * scan.voxel_volume_mm3, 2.0 + number, 3.0 + number, 0.9, 0.8, 0.7, 4.0)
        candidates.append(Candidate(number, score, center, 9, shape, Location(zone, region, side, 0.9)))
    points = {name: {"threshold": value, "sensitivity": 0.8} for name, value in POINTS.items()}
    return DetectionResult(
        scan=scan, candidates=candidates, labels=scan.with_array(labels), probability=scan,
        operating_point=operating_point, threshold=threshold, operating_points=points, floor_threshold=FLOOR,
        model={"id": "fake", "version": "1.0", "sha256": "0" * 64, "status": "test"},
        qc=[{"code": "thick_slices", "message": "Slices of 3.0 mm hide small microbleeds."}],
        settings={"device": "cpu"}, timings_s={"network": 0.1},
    )  # fmt: skip


def write_detection(result: DetectionResult, folder: Path) -> Path:
    """The files that the application uses: the detection file, the label map of all candidates, the report."""
    folder.mkdir(parents=True, exist_ok=True)
    document = detection_document(result)
    name = result.scan.name
    document["files"] = {
        "microbleeds": f"{name}_microbleeds.nii.gz",
        "candidates": f"{name}_candidates.nii.gz",
        "csv": f"{name}_microbleeds.csv",
        "report": f"{name}_report.html",
    }
    (folder / document["files"]["report"]).write_text("<p>A report</p>")
    write_volume(result.labels, folder / document["files"]["candidates"])
    path = folder / f"{name}_detection.json"
    path.write_text(json.dumps(document))
    return path


def read_scan(path: Path) -> Volume:
    """The scan without the checks of the detector: tests use small ones."""
    import SimpleITK as sitk

    return from_sitk(sitk.ReadImage(str(path)), path.name.split(".")[0])


def detect(args: argparse.Namespace, progress: JsonProgress) -> int:
    """The modes that end with a result."""
    progress.stage("read", "Reading the scan")
    scan = read_scan(args.scan)
    progress.advance(0.3)
    progress.warning("thick_slices", "Slices of 3.0 mm hide small microbleeds.")
    if args.mode == "chatters":
        print("a line of some library", flush=True)
        print("a complaint of some library", file=sys.stderr, flush=True)
    progress.stage("network", "Looking for microbleeds")
    name = None if args.threshold is not None else args.operating_point
    result = make_result(scan, POINTS[name] if name else args.threshold, name)
    path = write_detection(result, args.output)
    progress.advance(1.0)
    if args.mode != "silent":
        progress.result({"detection": str(path), "n_microbleeds": len(result.microbleeds), "n_candidates": len(FOUND)})
    return 0


def wait(args: argparse.Namespace, progress: JsonProgress) -> int:
    """Wait for the end with a child, as a detector whose workers are processes."""
    if args.mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inherits = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", inherits], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    progress.stage("network", f"Waiting {os.getpid()} {child.pid}")
    progress.advance(0.4)
    while True:
        time.sleep(600)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    parser.add_argument("scan", type=Path)
    parser.add_argument("-o", dest="output", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--operating-point", default="balanced")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--device")
    parser.add_argument("--json-events", action="store_true")
    args = parser.parse_args()
    progress = JsonProgress()
    if args.mode == "refuses":
        progress.error(InputError("The scan has 7 slices; at least 10 are needed."))
        return 2
    if args.mode == "crashes":
        print("MemoryError: no memory left", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return wait(args, progress) if args.mode in ("waits", "stubborn") else detect(args, progress)


if __name__ == "__main__":
    sys.exit(main())
