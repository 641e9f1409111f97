"""Keeps Python 3.10 and 3.11 alive through a long test with PySide6.

PySide6 6.10 and 6.11 return None without counting the reference: every Qt call without a result takes one away, and
after some ten thousand calls Python ends with "deallocating None". From Python 3.12 on None is immortal and nothing is
lost. Measured: 1000 calls of `QLabel.setText` lower `sys.getrefcount(None)` by 1000 on Python 3.11.
"""

from __future__ import annotations

import ctypes
import sys

_ENOUGH = 1 << 40


def hold() -> None:
    """Give None more references than any test can take away; does nothing from Python 3.12 on."""
    if sys.version_info < (3, 12) and sys.getrefcount(None) < _ENOUGH:
        ctypes.c_ssize_t.from_address(id(None)).value += _ENOUGH
