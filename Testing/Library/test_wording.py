"""Numbers in sentences."""

from __future__ import annotations

from CMBNetLib.wording import number_of, were


def test_one_is_singular_and_every_other_number_plural() -> None:
    assert [number_of(n, "scan") for n in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]
    assert [number_of(n, "patch", "patches") for n in (1, 2)] == ["1 patch", "2 patches"]
    assert [were(n) for n in (0, 1, 2)] == ["were", "was", "were"]
