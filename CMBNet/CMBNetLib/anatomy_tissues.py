"""What the anatomy network tells apart."""

from __future__ import annotations

# CSF is split by the brain mask: sulci belong to the brain, the space under the dura does not. So the mask is the sum
# of the classes 1 to 12.
TISSUES = (
    "background",
    "cortex",
    "white_matter",
    "caudate",
    "putamen",
    "pallidum",
    "thalamus",
    "ventral_dc",
    "hippocampus_amygdala",
    "brainstem",
    "cerebellum",
    "ventricle",
    "sulcal_csf",
    "outer_csf",
)
OUTER_CSF = TISSUES.index("outer_csf")
