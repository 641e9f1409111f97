"""Ready configurations, by name: what a user begins with, and what the panel offers."""

from __future__ import annotations

from dataclasses import replace

from CMBNetLib.bundle import DEFAULT_MODEL

from .training_config import (
    EVERY_SLICE_MM,
    THICK_FROM_MM,
    NetworkConfig,
    OptimiserConfig,
    PhaseConfig,
    SamplingConfig,
    SynthesisConfig,
    TrainingConfig,
    ValidationConfig,
)

_TWO_PHASES = (
    PhaseConfig(
        "pretrain",
        ("synthetic", "negative", "real"),
        {"synthetic": 0.7, "negative": 0.1, "real": 0.2},
        steps=20_000,
    ),
    PhaseConfig("finetune", ("real",), steps=5000, learning_rate=5e-4, patience=5, begin_with="froc"),
)
# MicrobleedNet's numbers where they are known: batch 5, a constant 5e-5, no weight decay besides L2 of 1e-5.
_SEED_PHASES = (
    PhaseConfig("pretrain", steps=100_000, learning_rate=5e-5, schedule="constant", warm_up=0),
    PhaseConfig(
        "finetune", ("real",), steps=100_000, learning_rate=5e-5, schedule="constant", warm_up=0, begin_with="loss"
    ),
)

_SYNTHESIS = SynthesisConfig(
    validation_maps=4, scans_per_map=60, validation_scans_per_map=8, block_mm=68.0, microbleeds=9.0,
    # Thick slices are most of what clinics send, and the hardest.
    slice_mm=(0.8, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 2.5, 4.5, 6.0),
)  # fmt: skip

# Goes on with a network that learned from all slices.
_SPECIALIST = TrainingConfig(
    loss="dice-soft-ce",
    init=DEFAULT_MODEL,
    sampling=SamplingConfig(hard=0.25, fresh_lesions=0.4),
    optimiser=OptimiserConfig(average_decay=0.998),
    validation=ValidationConfig(every=3000, most_scans=4, mined_scans=36),
    synthesis=_SYNTHESIS,
    phases=(PhaseConfig(steps=9000, learning_rate=1.5e-3),),
)

# A panel of the usual width shows some 40 letters of name and title.
TITLES = {
    "default": "all scans, one phase, hours",
    "thin": "go on with slices under 3.5 mm",
    "thick": "go on with thicker slices",
    "two-phase": "simulated, then real scans",
    "finetune": "go on with your own scans",
    "seed": "the recipe of MicrobleedNet",
    "tiny": "small and quick, to try out",
}
PRESETS = {
    # Without label maps nothing is simulated.
    "default": TrainingConfig(
        loss="dice-soft-ce",
        network=NetworkConfig(first_probability=0.01),
        sampling=SamplingConfig(hard=0.2, fresh_lesions=0.4),
        validation=ValidationConfig(every=1500, most_scans=4, mined_scans=40),
        synthesis=_SYNTHESIS,
        phases=(PhaseConfig(steps=12_000),),
    ),
    "thin": replace(_SPECIALIST, slices_mm=(EVERY_SLICE_MM[0], THICK_FROM_MM)),
    "thick": replace(_SPECIALIST, slices_mm=(THICK_FROM_MM, EVERY_SLICE_MM[1])),
    "two-phase": TrainingConfig(phases=_TWO_PHASES),
    "finetune": TrainingConfig(
        loss="dice-soft-ce",
        init=DEFAULT_MODEL,
        phases=(PhaseConfig("finetune", steps=2000, learning_rate=5e-4, patience=4),),
        validation=ValidationConfig(every=200),
    ),
    "seed": TrainingConfig(
        batch=5,
        loss="tversky-ce",
        augmentation="seed",
        network=NetworkConfig(filters=(32, 64, 128, 256, 320), classes=2, pixel_mm=0.5, thinnest_slice_mm=0.5),
        sampling=SamplingConfig("seed"),
        optimiser=OptimiserConfig(weight_decay=1e-5),
        validation=ValidationConfig(every=5000, checkpoints=("best_f1", "loss"), hard_negatives=False),
        phases=_SEED_PHASES,
    ),
    "tiny": TrainingConfig(
        batch=4,
        workers=2,
        network=NetworkConfig(filters=(8, 16, 32), pixel_mm=1.0, thinnest_slice_mm=2.0),
        # Simulated calcifications look like microbleeds but for their place: learning from the model's own false
        # positives raised the sensitivity at one false positive a scan from 0.2 to 0.7.
        sampling=SamplingConfig(pixels=48, slices=12, hard=0.3),
        optimiser=OptimiserConfig(average_decay=0.98),
        validation=ValidationConfig(every=150, checkpoints=("average_precision",), gallery=12, mined_scans=8),
        synthesis=SynthesisConfig(
            scans_per_map=4, microbleeds=25.0, fine_mm=1.0, pixel_mm=1.0, slice_mm=(2.0,), validation_maps=1
        ),
        phases=(
            PhaseConfig(steps=1500, learning_rate=1e-2, warm_up=20),
            PhaseConfig("refine", steps=300, learning_rate=5e-3, warm_up=20),
        ),
    ),
}
