"""How long the review room takes from one candidate to the next, and from case to case, with everything real.

    python Testing/Benchmarks/benchmark_review.py [--candidates 300] [--shape 512 512 150]

512 x 512 x 150 voxels with 300 candidates, real MRML, real Qt table of 200 cases, the file flushed to disk at every
decision, scans read from disk and anatomy found in the background. `..._drawn` includes three slice views of 400
pixels drawn by VTK (in software where there is no graphics card). `longest_wait` is the longest time in which the
window did not answer while the next case was read. `cpu_ms` is the median of what the main thread itself computed,
which other work on the machine does not lengthen. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / name) for name in ("CMBNet", "CMBNetEvaluation", "Testing", "Testing/Panels")]
sys.path.insert(0, str(REPOSITORY / "Testing" / "Library"))

import host  # noqa: E402

host.start([REPOSITORY / "CMBNet", REPOSITORY / "Testing" / "Panels"])

from qt import QApplication  # noqa: E402
from review_driver import ReviewDriver  # noqa: E402

from CMBNetLib.review_loading import CaseLoader, read_case  # noqa: E402
from CMBNetLib.volume import Volume, write_volume  # noqa: E402
from CMBNetLib.worklist import Case, Worklist  # noqa: E402
from review_cases import a_source  # noqa: E402


def a_large_scan(shape: tuple[int, int, int], n_candidates: int, seed: int = 3) -> tuple[Volume, list]:
    """A noisy scan with dark dots, and their voxels."""
    chooser = np.random.default_rng(seed)
    array = chooser.normal(100, 5, shape[::-1]).astype(np.float32)
    centers = [tuple(int(chooser.integers(8, n - 8)) for n in shape) for _ in range(n_candidates)]
    for i, j, k in centers:
        array[k - 1 : k + 2, j - 3 : j + 4, i - 3 : i + 4] -= 60
    matrix = np.diag([-0.45, -0.45, 1.0, 1.0])
    return Volume(array, matrix, "large"), centers


def timed(act, repeats: int) -> list[tuple[float, float]]:
    """(wall, CPU of this thread) in milliseconds of each repetition."""
    times = []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.thread_time()
        act()
        times.append((1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - worked)))
    return times


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Median, 95th percentile and largest."""
    wall, worked = np.transpose(times)
    return {
        "median_ms": round(float(np.median(wall)), 1),
        "p95_ms": round(float(np.percentile(wall, 95)), 1),
        "max_ms": round(float(wall.max()), 1),
        "cpu_ms": round(float(np.median(worked)), 1),
    }


def a_room(folder: Path, shape: tuple[int, int, int], n_candidates: int) -> tuple[ReviewDriver, float]:
    """An open room with 200 cases, and the seconds that reading one takes."""
    scan, centers = a_large_scan(shape, n_candidates)
    path = write_volume(scan, folder / "large.nii.gz", dtype=np.int16)
    source = a_source(scan, centers)
    cases = [Case(f"case-{n:03d}", path, folder / f"case-{n:03d}", stem=f"case-{n:03d}") for n in range(200)]
    read_s = timed(lambda: read_case(cases[0], lambda *_: source), 1)[0][0] / 1000
    driver = ReviewDriver(None)
    driver.panel._make_loader = lambda: CaseLoader(lambda case: read_case(case, lambda *_: source))
    driver.open(Worklist(tuple(cases), folder), anatomy=True)
    return driver, read_s


def until_read(driver: ReviewDriver) -> float:
    """Let the window live until the neighbours are read; the longest time (ms) in which it did not answer."""
    longest, last = 0.0, time.perf_counter()
    room = driver.desk.room
    while not all(room.loader.ready(case) for case in room.worklist.cases if case.case_id in room.loader.kept):
        QApplication.processEvents()
        time.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return 1000 * longest


def measure(folder: Path, shape: tuple[int, int, int], n_candidates: int) -> dict[str, object]:
    """Run the steps a reader takes and time them."""
    driver, read_s = a_room(folder, shape, n_candidates)
    results: dict[str, object] = {"read_case_s": round(read_s, 2), "candidates": n_candidates, "shape": shape}
    results["longest_wait_ms"] = round(until_read(driver), 1)
    # Drawn first once: what VTK sets up for a case is part of the switch, measured below.
    driver.draw()

    def measured(name: str, act, repeats: int) -> None:
        results[name] = summary(timed(act, repeats))
        results[f"{name}_drawn"] = summary(timed(lambda: (act(), driver.draw()), repeats))

    measured("next_candidate", lambda: driver.panel.run("next_candidate"), 40)
    measured("decide", lambda: driver.panel.run("microbleed"), 20)
    measured("undo", lambda: driver.panel.run("undo"), 10)
    driver.panel.run("add")
    point = driver.review.finding("c1").position_ras
    measured("add_by_click", lambda: driver.panel.press(point, (0.0, 0.0, 1.0)), 8)
    measured("wheel", lambda: driver.panel.wheel(1.0), 8)
    results["case_switch_drawn"], results["case_back_drawn"] = cases(driver)
    driver.close()
    return results


def cases(driver: ReviewDriver) -> tuple[dict[str, float], dict[str, float]]:
    """To the next case once it is read, and back."""
    there, back = [], []
    for _ in range(5):
        until_read(driver)
        there += timed(lambda: (driver.panel.run("next_case"), driver.draw()), 1)
        back += timed(lambda: (driver.panel.run("previous_case"), driver.draw()), 1)
        driver.panel.run("next_case")
    return summary(there), summary(back)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=300)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 150))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), tuple(arguments.shape), arguments.candidates), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
