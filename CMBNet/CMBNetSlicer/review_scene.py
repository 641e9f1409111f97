"""One case in the scene: its nodes come when it is opened, and these, no others, go when it is closed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from CMBNetLib.reading_mask import ReadingMask
from CMBNetLib.review_case import CaseReview
from CMBNetLib.review_loading import LoadedCase, display_range
from CMBNetSlicer.review_crosshair import GapCrosshair
from CMBNetSlicer.review_lesion_node import LesionNode
from CMBNetSlicer.review_outline_node import OutlineNode
from CMBNetSlicer.review_views import ReviewViews
from CMBNetSlicer.review_volumes import add_volume, owned_nodes, remove_nodes


class CaseScene:
    """The nodes of the case that is open.

    Parameters
    ----------
    scene
        The MRML scene; it is never cleared.
    loaded : LoadedCase
    views : ReviewViews
    """

    def __init__(self, scene: Any, loaded: LoadedCase, views: ReviewViews) -> None:
        self._scene = scene
        self.views = views
        self.loaded = loaded
        name = loaded.case.case_id
        self.scan = add_volume(scene, loaded.scan, name, loaded.range)
        self.second = self._add(loaded.second, f"{name} second")
        self.prior = self._add(loaded.prior, f"{name} prior")
        self.outlines = OutlineNode(scene, loaded.scan, self.scan)
        self.crosshair = GapCrosshair(scene)
        self.lesion: LesionNode | None = None
        views.show_volumes(self.scan, [node for node in (self.second, self.prior) if node is not None])

    @property
    def complete(self) -> bool:
        """Whether scan and outlines are still in the scene; they are in lists where a user can delete them."""
        return all(self._scene.IsNodePresent(node) for node in (self.scan, self.outlines.node))

    def show(self, review: CaseReview, *, center: bool = True, preview: ReadingMask | None = None) -> None:
        """Draw all outlines, and go to the finding on show, whose outline is ``preview`` while it is being drawn."""
        findings = {key: review.outlined(key) for key in review.listed("all")}
        if preview is not None and review.current in findings:
            findings[review.current] = replace(findings[review.current], mask=preview)
        if self.lesion is not None and review.current in findings:
            findings[review.current] = replace(findings[review.current], mask=None)  # the editor shows its own
        self.outlines.show(findings, review.current)
        found = findings.get(review.current or "")
        if found is None or found.position_ras is None:
            self.crosshair.set_visible(False)
            return
        if center:
            self.views.jump(found.position_ras)
        if found.mask is not None:
            size = np.asarray(found.mask.shape_ijk) * self.loaded.scan.spacing_mm
            self.crosshair.show(found.position_ras, 1.5 * float(size.max()) / 2)
        else:
            self.crosshair.show(found.position_ras)

    def hand_out(self, review: CaseReview) -> LesionNode:
        """Give the finding on show to the Segment Editor, as a segmentation of its own."""
        found = review.finding(review.current or "")
        self.lesion = LesionNode(self._scene, self.loaded.scan, self.scan, found.mask)
        return self.lesion

    def put_back(self) -> None:
        """Take that segmentation away."""
        if self.lesion is not None:
            self.lesion.remove()
            self.lesion = None

    def close(self) -> None:
        """Take the nodes of the case out of the scene."""
        self.put_back()
        self.crosshair.remove()
        self.outlines.remove(self._scene)
        remove_nodes(self._scene, [self.scan, self.second, self.prior])
        # Of what a user deleted, the display nodes are left.
        remove_nodes(self._scene, [node for node in owned_nodes(self._scene) if node.IsA("vtkMRMLDisplayNode")])

    def _add(self, volume: Any, name: str) -> Any:
        return add_volume(self._scene, volume, name, display_range(volume.array)) if volume is not None else None
