"""How far microbleeds change when the same scan comes differently: flipped, transposed, oblique, rescaled, noisier.

    python Testing/Benchmarks/robustness.py SCAN ... [--write]

Each variant is detected by the whole program. A microbleed at `balanced` has changed when it has no counterpart within
2 mm in the other run. `--write` puts the table into Docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from benchmark_document import write_section
from scipy.optimize import linear_sum_assignment

from CMBNetLib.anatomy import find_anatomy
from CMBNetLib.bundle import find_bundle
from CMBNetLib.detection import detect
from CMBNetLib.volume import Volume, read_volume, resample_to, write_volume
from CMBNetTrainingLib.noise import noise_of

SAME_MM = 2.0
OBLIQUE_DEG = 20.0
# Noise of another draw with this share of the scan's own adds up to 20 % more.
MORE_NOISE = (1.2**2 - 1) ** 0.5


def flipped(scan: Volume) -> Volume:
    """All three axes turned round, the head where it was."""
    matrix = scan.ijk_to_ras.copy()
    matrix[:, 3] = scan.ijk_to_ras @ [*(n - 1 for n in scan.shape_ijk), 1]
    matrix[:, :3] *= -1
    return Volume(scan.array[::-1, ::-1, ::-1].copy(), matrix, scan.name, dict(scan.metadata))


def transposed(scan: Volume) -> Volume:
    """Axes i, j, k become j, k, i, the head where it was."""
    return Volume(
        scan.array.transpose(1, 2, 0).copy(), scan.ijk_to_ras[:, [2, 0, 1, 3]], scan.name, dict(scan.metadata)
    )


def oblique(scan: Volume) -> Volume:
    """The head turned in the scanner together with its grid."""
    return Volume(scan.array, _turn() @ scan.ijk_to_ras, scan.name, dict(scan.metadata))


def _turn() -> np.ndarray:
    angle = np.deg2rad(OBLIQUE_DEG)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


def noisier(scan: Volume) -> Volume:
    """Noise of both channels on top, so that there is 20 % more of it in the brain."""
    brain = resample_to(find_anatomy(scan).brain, scan, interpolation="nearest").array > 0
    sigma = noise_of(scan.array, brain) * MORE_NOISE
    real, imaginary = np.random.default_rng(0).normal(0, sigma, (2, *scan.array.shape))
    return scan.with_array(np.hypot(scan.array + real, imaginary).astype(np.float32))


VARIANTS: dict[str, Callable[[Volume], Volume]] = {
    "flipped along all axes": flipped,
    "axes transposed": transposed,
    f"turned by {OBLIQUE_DEG:g} degrees in the scanner": oblique,
    "times 0.001": lambda scan: scan.with_array(scan.array * np.float32(1e-3)),
    "times 10,000": lambda scan: scan.with_array(scan.array * np.float32(1e4)),
    "20 % more noise": noisier,
}


def microbleeds(path: Path) -> np.ndarray:
    """(n, 3) RAS centres at `balanced`."""
    bundle = find_bundle()
    scan = read_volume(path)
    found = [c.center_ras for c in detect(scan, bundle).candidates if c.score >= bundle.threshold("balanced")]
    return np.array(found).reshape(-1, 3)


def changed(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """How many microbleeds of both have no counterpart, and how many there are in all (pairs count once)."""
    if not len(one) or not len(other):
        return len(one) + len(other), len(one) + len(other)
    distance = np.linalg.norm(one[:, None] - other[None], axis=2)
    rows, columns = linear_sum_assignment(np.where(distance <= SAME_MM, distance, 1e6))
    pairs = int((distance[rows, columns] <= SAME_MM).sum())
    return len(one) + len(other) - 2 * pairs, len(one) + len(other) - pairs


def measure(scans: Sequence[Path]) -> str:
    """The table."""
    totals = dict.fromkeys([*VARIANTS, "as NRRD"], (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        for path in scans:
            scan = read_volume(path)
            original = microbleeds(path)
            for name, change in {**VARIANTS, "as NRRD": lambda scan: scan}.items():
                made = change(scan)
                target = Path(folder) / ("scan.nrrd" if name == "as NRRD" else "scan.nii.gz")
                found = microbleeds(write_volume(made, target, dtype=np.float32))
                if change is oblique:
                    found = found @ _turn()[:3, :3]  # the inverse of a turn is its transpose
                counts = changed(original, found)
                totals[name] = (totals[name][0] + counts[0], totals[name][1] + counts[1])
                print(path.name, name, *counts, flush=True)
    rows = [f"| {name} | {n} of {of} | {100 * n / max(of, 1):.0f} % |" for name, (n, of) in totals.items()]
    return "\n".join(
        [
            "## Robustness",
            "",
            f"`python Testing/Benchmarks/robustness.py` on {len(scans)} scans: microbleeds at `balanced` without a "
            f"counterpart within {SAME_MM:g} mm when the same scan comes differently.",
            "",
            "| | changed | |",
            "|---|---|---|",
            *rows,
        ]
    )


def main() -> None:
    """Print; write when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="write the table into Docs/benchmarks.md")
    args = parser.parse_args()
    text = measure(args.scans)
    print(text)
    if args.write:
        write_section("robustness", text)


if __name__ == "__main__":
    main()
