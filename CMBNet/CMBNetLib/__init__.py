"""Detection of cerebral microbleeds on SWI and T2*-weighted MRI, as a library without Slicer, Qt or VTK.

Coordinates are RAS millimetres, arrays are indexed ``[k, j, i]``, volumes are mm3, times s, echo times ms.
"""

from __future__ import annotations

__version__ = "0.10.0"
