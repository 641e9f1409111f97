"""Pictures of a detection: one montage for a quick look, and its parts for the report."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from .candidates import Candidate
from .counts import OUTSIDE, summary_text, zone_of
from .errors import EnvironmentProblem
from .scan_pictures import CROP_MM, Picture, ScanPictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .detection import DetectionResult

# Okabe and Ito's colours that colour-blind readers tell apart, bright enough for grey pictures.
ZONE_COLOURS = {"lobar": "#E69F00", "deep": "#56B4E9", "infratentorial": "#00C78C", OUTSIDE: "#E078B8"}
OTHER_COLOUR = "#F0E442"
BACKGROUND, TEXT, MUTED = "#101010", "#F2F2F2", "#B8B8B8"
# Beyond this many a montage is unreadable; the table has them all.
MAX_CROPS = 60
RING_MM = 5.0
NUMBER_GAP_MM = 3.0
DPI, PRINT_DPI = 100, 150
# Montage, in inches: the projection takes the left of the first rows, crops fill the rest from its right.
TILE_WIDTH, CAPTION, HEADER, FOOTER = 1.55, 0.37, 0.95, 0.62
TILE_COLUMNS, PROJECTION_COLUMNS, PROJECTION_ROWS = 8, 5, 4
TILE_HEIGHT = TILE_WIDTH + CAPTION


def shown_candidates(candidates: Sequence[Candidate], threshold: float) -> list[Candidate]:
    """The candidates that get a picture: the microbleeds, or without any the candidate nearest to being one."""
    found = [candidate for candidate in candidates if candidate.score >= threshold]
    best = sorted(candidates, key=lambda candidate: -candidate.score)[:1]
    return (found or best)[:MAX_CROPS]


class Overview:
    """Draws the pictures of one detection.

    Raises
    ------
    EnvironmentProblem
        Matplotlib is not installed.
    """

    def __init__(self, result: DetectionResult) -> None:
        _require_matplotlib()
        self._result = result
        self._pictures = ScanPictures(result)
        self._shown = shown_candidates(result.candidates, result.threshold)

    @property
    def shown(self) -> list[Candidate]:
        """The candidates that have a picture."""
        return self._shown

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the montage as PNG: projection with rings, a crop of each microbleed, what the colours mean."""
        beside = PROJECTION_ROWS * (TILE_COLUMNS - PROJECTION_COLUMNS)
        rows = PROJECTION_ROWS + max(0, -(-(len(self._shown) - beside) // TILE_COLUMNS))
        page = _Page(TILE_COLUMNS * TILE_WIDTH, HEADER + rows * TILE_HEIGHT + FOOTER)
        self._draw_header(page)
        width, height = PROJECTION_COLUMNS * TILE_WIDTH, PROJECTION_ROWS * TILE_HEIGHT
        self._draw_projection(page.axes(0.1, HEADER, width - 0.2, height - 0.1))
        for number, candidate in enumerate(self._shown):
            self._draw_tile(page, number, candidate)
        self._draw_footer(page)
        with open(path, "wb") as stream:
            page.save(stream)

    def projection_png(self, width: float = 3.5, height: float = 4.2) -> bytes:
        """The projection with the rings alone, PNG for print; the size is in inches."""
        page = _Page(width, height, PRINT_DPI)
        self._draw_projection(page.axes(0, 0, width, height))
        return page.png()

    def crop_png(self, candidate: Candidate, size: float = 1.0) -> bytes:
        """A crop without and with the outline, side by side, PNG for print; the size is that of one, in inches."""
        page = _Page(2 * size + 0.04, size, PRINT_DPI)
        picture = self._pictures.crop(candidate)
        self._draw_crop(page.axes(0, 0, size, size), candidate, picture, outlined=False)
        self._draw_crop(page.axes(size + 0.04, 0, size, size), candidate, picture, outlined=True)
        return page.png()

    def _draw_header(self, page: _Page) -> None:
        result = self._result
        page.text(0.15, 0.32, summary_text(result.candidates, result.threshold), size=15, weight="bold")
        edges = " × ".join(f"{edge:.2f}" for edge in result.scan.spacing_mm)
        facts = [result.scan.name[:70], result.scan.metadata.get("sequence"), f"{edges} mm"]
        page.text(0.15, 0.62, "   ·   ".join(str(fact) for fact in facts if fact), size=10)
        model = f"{result.model['id']} {result.model['version']} ({result.model['status']})"
        point = f"{result.operating_point or 'chosen by hand'}, threshold {result.threshold:.3g}"
        text = f"{model}   ·   {point}   ·   not read by a person, research use only"
        page.text(0.15, 0.83, text, size=9, color=MUTED)

    def _draw_footer(self, page: _Page) -> None:
        x, y = 0.15, page.height - 0.4
        present = {zone_of(candidate) for candidate in self._shown}
        for zone in (zone for zone in (*ZONE_COLOURS, None) if zone in present):
            name = {None: "zone unknown", OUTSIDE: "outside the brain tissue"}.get(zone, zone)
            page.text(x, y, f"○ {name}", size=10, color=_colour(zone), weight="bold")
            x += 0.5 + 0.085 * len(str(name))
        text = (
            f"Left: lowest intensity through the brain, rings numbered by candidate. Crops: axial, {CROP_MM:.0f} mm "
            "wide, outline on voxel edges. R is the patient's right."
        )
        page.text(0.15, page.height - 0.16, text, size=9, color=MUTED)

    def _draw_projection(self, axes: Axes) -> None:
        self._draw_picture(axes, self._pictures.projection)
        left, right, bottom, top = (*axes.get_xlim(), *axes.get_ylim())
        rings = [(*self._pictures.on_projection(candidate), _radius(candidate)) for candidate in self._shown]
        inset, middle = 0.012 * (right - left), (top + bottom) / 2
        letters = (("R", left + inset, "left"), ("L", right - inset, "right"))
        places = _number_places(rings, [(x, middle) for _, x, _ in letters])
        for candidate, ring, place in zip(self._shown, rings, places, strict=True):
            self._draw_ring(axes, candidate, ring, place)
        for side, x, align in letters:
            _write(axes, (x, middle), side, TEXT, size=13, align=align)

    def _draw_ring(
        self, axes: Axes, candidate: Candidate, ring: tuple[float, float, float], place: tuple[float, float]
    ) -> None:
        from matplotlib.patches import Circle

        found = candidate.score >= self._result.threshold
        colour = _colour(zone_of(candidate))
        style = "-" if found else (0, (2, 2))
        axes.add_patch(Circle(ring[:2], ring[2], fill=False, edgecolor=colour, linewidth=1.6, linestyle=style))
        _write(axes, place, str(candidate.id), colour, size=10, align="center")

    def _draw_tile(self, page: _Page, number: int, candidate: Candidate) -> None:
        x, y, size = _tile(number, len(self._shown))
        axes = page.axes(x + 0.04, y, size - 0.08, size - 0.08)
        self._draw_crop(axes, candidate, self._pictures.crop(candidate), outlined=True)
        colour = _colour(zone_of(candidate))
        below = candidate.score < self._result.threshold
        title = f"{candidate.id}   score {candidate.score:.2f}" + (" (below)" if below else "")
        page.text(x + 0.06, y + size + 0.06, title, size=9, color=colour, weight="bold")
        page.text(x + 0.06, y + size + 0.23, _caption(candidate), size=7.5, color=MUTED)

    def _draw_crop(self, axes: Axes, candidate: Candidate, picture: Picture, *, outlined: bool) -> None:
        from matplotlib.collections import LineCollection

        self._draw_picture(axes, picture)
        half = CROP_MM / 2
        axes.set_xlim(-half, half)
        axes.set_ylim(half, -half)
        if outlined:
            colour = _colour(zone_of(candidate))
            axes.add_collection(LineCollection(list(picture.outline), colors=colour, linewidths=1.1))
        for side, x, align in (("R", -half * 0.95, "left"), ("L", half * 0.95, "right")):
            _write(axes, (x, 0), side, TEXT, size=5.5, align=align)

    def _draw_picture(self, axes: Axes, picture: Picture) -> None:
        low, high = self._pictures.window
        axes.imshow(
            picture.pixels, cmap="gray", vmin=low, vmax=high, extent=picture.extent_mm, interpolation="bilinear"
        )
        axes.set_aspect("equal")


class _Page:
    """A dark figure measured in inches from its top left corner."""

    def __init__(self, width: float, height: float, dpi: int = DPI) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self._figure: Figure = Figure(figsize=(width, height), dpi=dpi, facecolor=BACKGROUND)
        FigureCanvasAgg(self._figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        bottom = self.height - y - height
        place = (x / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self._figure.add_axes(place, facecolor="black")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, x: float, y: float, text: str, *, size: float, color: str = TEXT, weight: str = "normal") -> None:
        self._figure.text(
            x / self.width, 1 - y / self.height, text, fontsize=size, color=color, weight=weight, parse_math=False
        )

    def save(self, stream: BinaryIO) -> None:
        with warnings.catch_warnings():
            # A scan may be named in letters that matplotlib's font lacks; boxes in the picture say so well enough.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            self._figure.savefig(stream, format="png", facecolor=BACKGROUND)

    def png(self) -> bytes:
        stream = io.BytesIO()
        self.save(stream)
        return stream.getvalue()


def _require_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(f"Pictures need the package matplotlib, which cannot be loaded ({error}).") from error


def _write(axes: Axes, at: tuple[float, float], text: str, colour: str, *, size: float, align: str) -> None:
    """Text that is readable on light tissue and on black air alike."""
    from matplotlib.patheffects import withStroke

    stroke = [withStroke(linewidth=0.22 * size, foreground="black")]
    axes.text(
        *at, text, color=colour, fontsize=size, ha=align, va="center", weight="bold", path_effects=stroke, clip_on=True
    )


def _radius(candidate: Candidate) -> float:
    """Radius of a ring in mm: the same for all but the largest lesions."""
    # Not the largest diameter: on thick slices that runs across the slices, which the projection does not show.
    return RING_MM if candidate.shape is None else max(RING_MM, candidate.shape.equivalent_diameter_mm / 2 + 2)


def _number_places(
    rings: Sequence[tuple[float, float, float]], letters: Sequence[tuple[float, float]] = ()
) -> list[tuple[float, float]]:
    """Where each ring's number goes: beside it, with most room from other rings, numbers and the sides' letters."""
    places: list[tuple[float, float]] = []
    for own, (x, y, radius) in enumerate(rings):
        others = [ring[:2] for number, ring in enumerate(rings) if number != own] + places + list(letters)
        reach = radius + NUMBER_GAP_MM
        angles = (math.radians(step * 45) for step in range(8))
        choices = [(x + reach * math.cos(angle), y + reach * math.sin(angle)) for angle in angles]
        places.append(max(choices, key=lambda at: min((math.dist(at, other) for other in others), default=0.0)))
    return places


def _tile(number: int, total: int) -> tuple[float, float, float]:
    """Left, top and size in inches of the n-th crop: to the right of the projection, then below it."""
    scale = 3.0 if total == 1 else 1.5 if total <= 4 else 1.0
    size = TILE_WIDTH * scale
    across = round((TILE_COLUMNS - PROJECTION_COLUMNS) / scale)
    if number < PROJECTION_ROWS * across:
        row, column = divmod(number, across)
        return PROJECTION_COLUMNS * TILE_WIDTH + column * size, HEADER + row * (size + CAPTION), size
    row, column = divmod(number - PROJECTION_ROWS * across, TILE_COLUMNS)
    return column * size, HEADER + (PROJECTION_ROWS + row) * (size + CAPTION), size


def _caption(candidate: Candidate) -> str:
    parts: list[Any] = []
    if candidate.location is not None:
        parts.append(f"{candidate.location.side} {candidate.location.zone}")
    if candidate.shape is not None:
        parts.append(f"{candidate.shape.equivalent_diameter_mm:.1f} mm")
    return ", ".join(parts) or "not located"


def _colour(zone: str | None) -> str:
    return OTHER_COLOUR if zone is None else ZONE_COLOURS[zone]
