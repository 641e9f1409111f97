"""Evaluation of microbleed detectors and readers: matching, metrics, intervals, strata, agreement, results.

No module here imports slicer, qt, ctk or vtk. Rules and formulas: ``Docs/evaluation.md``.
"""

__version__ = "0.10.0"
