"""Data sets, refinement of collections, synthesis and training for SlicerCMBNet; no Slicer import anywhere."""
