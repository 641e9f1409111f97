"""Draws the icons of the extension and its modules: a brain seen from above with microbleeds.

Drawn four times too large and reduced, so that the lines stay smooth. `make icons` runs this.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).resolve().parent.parent
SIZE = 128
SCALE = 4

OUTLINE = (44, 62, 92, 255)
TISSUE = (203, 213, 230, 255)
FOLD = (122, 139, 170, 255)
BLEED = (20, 20, 28, 255)
MARK = (226, 88, 34, 255)
PAPER = (255, 255, 255, 255)

Point = tuple[float, float]
# Centres and radii in icon pixels: four spots at most, or they run together at 24 pixels.
BLEEDS = ((43.0, 47.0, 8.0), (86.0, 72.0, 9.5), (45.0, 90.0, 6.5))


def scaled(*values: float) -> list[float]:
    return [value * SCALE for value in values]


def disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, **colours: object) -> None:
    draw.ellipse(scaled(x - radius, y - radius, x + radius, y + radius), **colours)


def curve(draw: ImageDraw.ImageDraw, points: list[Point], colour: tuple[int, ...], width: float) -> None:
    flat = [tuple(scaled(*point)) for point in points]
    draw.line(flat, fill=colour, width=round(width * SCALE), joint="curve")
    for x, y in (points[0], points[-1]):
        disc(draw, x, y, width / 2, fill=colour)


def brain() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Two hemispheres with a fissure and a few folds on a transparent ground."""
    image = Image.new("RGBA", (SIZE * SCALE, SIZE * SCALE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse(scaled(13, 5, 115, 123), fill=TISSUE, outline=OUTLINE, width=6 * SCALE)
    curve(draw, [(64, 8), (63, 30), (65, 52), (63, 76), (65, 98), (64, 120)], OUTLINE, 4)
    for side in (-1, 1):
        curve(draw, [(64 + side * x, y) for x, y in ((18, 20), (26, 26), (28, 34))], FOLD, 4)
        curve(draw, [(64 + side * x, y) for x, y in ((44, 56), (36, 60), (34, 68))], FOLD, 4)
        curve(draw, [(64 + side * x, y) for x, y in ((8, 56), (12, 64), (9, 73))], FOLD, 4)
        curve(draw, [(64 + side * x, y) for x, y in ((16, 108), (24, 102), (32, 100))], FOLD, 4)
    return image, draw


def microbleeds(draw: ImageDraw.ImageDraw, spots: tuple[tuple[float, float, float], ...] = BLEEDS) -> None:
    for x, y, radius in spots:
        disc(draw, x, y, radius, fill=BLEED)


def detection() -> Image.Image:
    """One of the microbleeds is found: it has a ring."""
    image, draw = brain()
    microbleeds(draw)
    disc(draw, 86, 72, 19, outline=MARK, width=6 * SCALE)
    return image


def training() -> Image.Image:
    """A small network over the lower right of the brain."""
    image, draw = brain()
    microbleeds(draw, BLEEDS[:1] + BLEEDS[2:])
    inputs, output = ((76.0, 72.0), (76.0, 112.0)), (114.0, 92.0)
    for node in inputs:
        curve(draw, [node, output], MARK, 5)
    for x, y in (*inputs, output):
        disc(draw, x, y, 11, fill=PAPER, outline=MARK, width=5 * SCALE)
    return image


def evaluation() -> Image.Image:
    """A tick: the detections were compared with a reference."""
    image, draw = brain()
    microbleeds(draw, BLEEDS[:1] + BLEEDS[2:])
    disc(draw, 94, 92, 29, fill=PAPER, outline=MARK, width=5 * SCALE)
    curve(draw, [(80, 93), (90, 104), (109, 80)], MARK, 8)
    return image


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(path, optimize=True)


def main() -> None:
    save(detection(), REPOSITORY / "CMBNet.png")
    icons = {"CMBNet": detection, "CMBNetTraining": training, "CMBNetEvaluation": evaluation}
    for module, drawing in icons.items():
        save(drawing(), REPOSITORY / module / "Resources" / "Icons" / f"{module}.png")


if __name__ == "__main__":
    main()
