"""What the self-test of the module CMBNetTraining checks, in Slicer as in the stand-in."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from CMBNetSlicer.package_installer import reason_packages_are_missing

DIAMETER_MM = 4.0


def run_self_test(case: Any) -> None:
    """Open the panel, and refine a point in a volume with one dark ball; ``case`` shows the messages."""
    case.delayDisplay("Opening the panel")
    panel = slicer.modules.cmbnettraining.widgetRepresentation().self().panel
    assert panel is not None
    assert not panel.running
    if reason := reason_packages_are_missing("skimage"):
        case.skipTest(reason)
    case.delayDisplay("Refining a point")
    assert abs(_refined_diameter() - DIAMETER_MM) < 1.0
    case.delayDisplay("Passed.")


def _refined_diameter() -> float:
    """Diameter (mm) that refinement finds for a ball of 4 mm."""
    from CMBNetLib.refinement import refine_point
    from CMBNetLib.volume import Volume

    k, j, i = np.meshgrid(*(np.arange(-20, 21) * edge for edge in (1.0, 0.5, 0.5)), indexing="ij")
    noise = np.random.default_rng(1).normal(0, 5, k.shape)
    array = np.where(k**2 + j**2 + i**2 <= (DIAMETER_MM / 2) ** 2, 60.0, 200.0) + noise
    scan = Volume(array.astype(np.float32), np.diag([0.5, 0.5, 1.0, 1.0]), "ball")
    return refine_point(scan, (10.0, 10.0, 20.0)).shape.equivalent_diameter_mm
