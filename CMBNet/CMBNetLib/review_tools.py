"""The tool in the reader's hand: what clicks, strokes and wheel turns do to the findings of a case."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InputError
from .reading_events import Part, Point
from .reading_mask import ReadingMask
from .review_case import CaseReview
from .review_edit import GrownOutline, center_of, darkest_along, grow_outline, merge, nearest, paint, resize, split
from .volume import Volume

TOOLS = ("none", "add", "move", "brush", "erase")
# Thickness of the slab whose minimum a projection shows.
PROJECTION_MM = 10.0
SMALLEST_BRUSH_MM, LARGEST_BRUSH_MM = 0.4, 10.0


class ReviewTools:
    """Editing of the finding on show.

    A stroke of the brush becomes one event when it ends; an outline that the wheel changes becomes one when `commit`
    is called, which every other act does first.

    Parameters
    ----------
    review : CaseReview
    scan : Volume

    Attributes
    ----------
    tool : str
        One of `TOOLS`.
    radius_mm : float
        Of the brush.
    on_projection : bool
        The view shows a projection: its pixels belong to many slices, so there is no drawing, and a click means the
        darkest place below it.
    """

    def __init__(self, review: CaseReview, scan: Volume) -> None:
        self.review = review
        self.scan = scan
        self.tool = "none"
        self.radius_mm = 1.5
        self.on_projection = False
        self._grown: GrownOutline | None = None
        self._stroke: ReadingMask | None = None
        self._drawing = False

    @property
    def preview(self) -> ReadingMask | None:
        """The outline that is being drawn and not stored yet."""
        if self._drawing:
            return self._stroke
        return self._grown.mask if self._grown is not None else None

    @property
    def drawing(self) -> bool:
        """True between press and release of the brush."""
        return self._drawing

    @property
    def growing(self) -> bool:
        """True while the wheel changes an outline."""
        return self._grown is not None

    def take(self, tool: str) -> None:
        """Take a tool in hand, or put it away where it is in hand already; :class:`InputError` if there is none."""
        if tool not in TOOLS:
            raise InputError(f"There is no tool '{tool}'.")
        self.commit()
        self.tool = "none" if tool == self.tool else tool

    def press(self, point_ras: Point, normal_ras: Point | None = None) -> bool:
        """A click at a point of a slice with that normal; returns whether the tool took it."""
        if self.tool == "none":
            return False
        self.commit()
        if self.on_projection and normal_ras is not None and self.tool in ("add", "move"):
            point_ras = darkest_along(self.scan, point_ras, normal_ras, PROJECTION_MM / 2)
        if self.tool == "add":
            self._add(point_ras)
        elif self.tool == "move":
            self.review.move(point_ras)
            self.tool = "none"
        else:
            self._begin_stroke(point_ras, normal_ras)
        return True

    def drag(self, point_ras: Point, normal_ras: Point | None = None) -> bool:
        """The mouse moved with its button down; returns whether a stroke went on."""
        if self._drawing:
            erase = self.tool == "erase"
            self._stroke = paint(self._stroke, self.scan, point_ras, self.radius_mm, erase=erase, normal_ras=normal_ras)
        return self._drawing

    def release(self) -> bool:
        """The button was let go: the stroke becomes an event; returns whether there was one."""
        if not self._drawing:
            return False
        stroke, self._drawing = self._stroke, False
        self._stroke = None
        self._set(stroke)
        return True

    def wheel(self, clicks: float) -> bool:
        """Change the tolerance of the outline just grown; returns whether there was one."""
        if self._grown is None:
            return False
        self._grown = self._grown.turned(clicks)
        return True

    def commit(self) -> None:
        """Store what is only shown so far."""
        grown, self._grown = self._grown, None
        if self._drawing:
            self.release()
        if grown is not None and grown.mask != self.review.finding(self._current()).mask:
            self.review.set_mask(grown.mask)

    def resize(self, steps: int) -> None:
        """Grow (positive) or shrink the outline by layers; an outline just grown changes its tolerance instead."""
        if not self.wheel(steps):
            self.review.check_editable()
            self._set(resize(self._outline(), self.scan, steps))

    def regrow(self) -> None:
        """Grow the outline of the finding on show anew from its position; the wheel then changes it."""
        self.review.check_editable()
        point = self.review.finding(self._current()).position_ras
        if point is None:
            raise InputError("The place of this finding is not known.")
        self._grown = grow_outline(self.scan, point)

    def split(self) -> None:
        """Make two findings of one."""
        self.commit()
        self.review.check_editable()
        stays, parts = split(self._outline(), self.scan)
        self.review.split(stays, parts)

    def merge_nearest(self) -> str:
        """Take in the closest other finding; returns its key."""
        self.commit()
        self.review.check_editable()
        current = self._current()
        here = self.review.finding(current).position_ras
        places = {key: self.review.finding(key).position_ras for key in self.review.listed("all") if key != current}
        known = {key: place for key, place in places.items() if place is not None}
        if here is None:
            raise InputError("The place of this finding is not known.")
        other = nearest(here, known)
        masks = [self.review.finding(key).mask for key in (current, other)]
        self.review.merge([other], merge([mask for mask in masks if mask is not None]))
        return other

    def delete(self) -> None:
        """Take away an added finding."""
        self._grown = None
        self.review.delete()

    def take_over(self, masks: Sequence[ReadingMask]) -> None:
        """Take outlines made elsewhere, such as in the Segment Editor: the first for the finding on show, the others
        as findings split from it; without any the outline goes."""
        self.commit()
        if len(masks) > 1:
            self.review.split(masks[0], [Part(center_of(mask, self.scan), mask) for mask in masks[1:]])
        elif not masks or not masks[0].same_voxels(self.review.finding(self._current()).mask):
            self._set(masks[0] if masks else None)

    def set_radius(self, radius_mm: float) -> None:
        """Choose the size of the brush, within its limits."""
        self.radius_mm = float(min(max(radius_mm, SMALLEST_BRUSH_MM), LARGEST_BRUSH_MM))

    def _add(self, point_ras: Point) -> None:
        grown = grow_outline(self.scan, point_ras)
        self.review.add(center_of(grown.mask, self.scan), grown.mask)
        self._grown = grown

    def _begin_stroke(self, point_ras: Point, normal_ras: Point | None) -> None:
        if self.on_projection:
            raise InputError("There is no drawing on a projection. Show the slices first.")
        self.review.check_editable()
        self._stroke, self._drawing = self.review.finding(self._current()).mask, True
        try:
            self.drag(point_ras, normal_ras)
        except InputError:
            self._stroke, self._drawing = None, False
            raise

    def _set(self, mask: ReadingMask | None) -> None:
        if mask != self.review.finding(self._current()).mask:
            self.review.set_mask(mask)

    def _outline(self) -> ReadingMask:
        mask = self.review.finding(self._current()).mask
        if mask is None:
            raise InputError("This finding has no outline yet. Draw one, or grow one.")
        return mask

    def _current(self) -> str:
        if self.review.current is None:
            raise InputError("No finding is chosen. Go to a candidate, or add one by a click.")
        return self.review.current
