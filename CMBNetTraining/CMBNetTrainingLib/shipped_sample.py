"""The sample scan of the extension, made of one label map that no training sees."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from CMBNetLib.volume import write_volume
from CMBNetTrainingLib.head import draw_block, read_head_map
from CMBNetTrainingLib.protocol import draw_protocol
from CMBNetTrainingLib.synthesis import fine_grid, synthesize
from CMBNetTrainingLib.whole_scans import FIELD_OF_VIEW_MM, as_volumes

NAME = "CMBNetSample"
SEED, PIXEL_MM, SLICE_MM, SNR, MICROBLEEDS = 2026, 0.75, 2.0, 35.0, 12


def make_sample(label_map: Path, folder: Path) -> None:
    """Write ``CMBNetSample_swi.nii.gz`` and ``CMBNetSample_truth.nii.gz``."""
    head = read_head_map(label_map)
    rng = np.random.default_rng([SEED, 77])
    drawn = draw_protocol(rng, pixel_mm=PIXEL_MM, slice_spacing_mm=SLICE_MM, sequence="SWI")
    protocol = replace(drawn, snr=SNR)
    shape, spacing, per_slice = fine_grid(FIELD_OF_VIEW_MM, protocol)
    block = draw_block(rng, shape, spacing, head.brain_center + rng.normal(0, 2, 3), protocol.slice_rotation)
    image, truth = as_volumes(synthesize(rng, head, block, protocol, per_slice, MICROBLEEDS))
    # Half as many grey levels, still far finer than the noise, keep the file under 6 MB.
    image = image.with_array(np.rint(image.array / 2).astype(np.int16))
    write_volume(image, folder / f"{NAME}_swi.nii.gz")
    write_volume(truth, folder / f"{NAME}_truth.nii.gz")


def main() -> None:
    """Command line: `python -m CMBNetTrainingLib.shipped_sample LABEL_MAP -o FOLDER`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_map", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    make_sample(args.label_map, args.output)


if __name__ == "__main__":
    main()
