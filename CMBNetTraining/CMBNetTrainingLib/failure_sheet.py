"""A picture of a model's surest mistakes, for its card: missed microbleeds left, false positives right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from CMBNetEvaluationLib.gallery import Painter, read_image
from CMBNetEvaluationLib.png import png_bytes
from CMBNetTrainingLib.training_validation import Mistake, ValidatedScan, mistakes_of, pair_of

ROWS = 6
GAP = 12


def failure_sheet(validated: Sequence[ValidatedScan], threshold: float) -> bytes | None:
    """PNG of up to six mistakes of each kind in three planes each; None where there are none."""
    columns = [_column(mistakes_of(validated, threshold, outcome)[:ROWS]) for outcome in ("FN", "FP")]
    drawn = [column for column in columns if column is not None]
    if not drawn:
        return None
    height = max(column.shape[0] for column in drawn)
    return png_bytes(np.concatenate([_padded(column, height) for column in drawn], axis=1))


def _column(mistakes: Sequence[Mistake]) -> np.ndarray | None:
    tiles = [_tile(mistake) for mistake in mistakes]
    return np.concatenate(tiles) if tiles else None


def _tile(mistake: Mistake) -> np.ndarray:
    image = read_image(pair_of(mistake.scan), [])
    painter = Painter(image, mistake.compared.prediction, mistake.compared.reference)
    return np.pad(painter.picture(np.array(mistake.call.center_ras)), ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


def _padded(column: np.ndarray, height: int) -> np.ndarray:
    return np.pad(column, ((0, height - column.shape[0]), (0, 0), (0, 0)), constant_values=255)
