"""The commands of `make lesion-model`, as `make` would run them."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from CMBNetLib.cli import _parser
from CMBNetTrainingLib.training_presets import PRESETS

ROOT = Path(__file__).parents[2]


def commands(tmp_path: Path) -> list[list[str]]:
    """Arguments of each call of `cmbnet`, those of a loop once for each round."""
    printed = subprocess.run(
        ["make", "--dry-run", "lesion-model", "MAPS=map_", "SCAN=scan.nii.gz", f"MODELS={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    found = []
    for line in printed.replace("\\\n", " ").splitlines():
        if "/cmbnet " in line:
            loop = re.match(r"for (\w+) in ([^;]+);", line)
            variable, rounds = (f"${loop[1]}", loop[2].split()) if loop else ("", [""])
            call = line.split("/cmbnet ", 1)[1].split("||")[0]
            found += [shlex.split(call.replace(variable, value)) for value in rounds]
    return found


def test_each_step_is_a_command_that_the_program_has_and_takes_what_an_earlier_one_made(tmp_path: Path) -> None:
    steps = [_parser(arguments).parse_args(arguments) for arguments in commands(tmp_path)]
    assert [step.command for step in steps] == ["train", "train", "train", *["synthesize"] * 4, "export"]
    assert [str(step.config) for step in steps[:3]] == ["default", "thin", "thick"]
    assert {str(step.config) for step in steps[:3]} <= set(PRESETS)
    assert len(steps[0].label_maps) == 16
    made = {str(step.output) for step in steps}
    taken = [*steps[1].manifest, steps[1].init, steps[-1].folder, steps[-1].thick, *steps[-1].check]
    for path in taken:
        assert any(str(path) == folder or str(path).startswith(f"{folder}/") for folder in made), path
    held_out = {str(path) for path in steps[0].label_maps[-PRESETS["default"].synthesis.validation_maps :]}
    for step in steps[5:7]:
        assert {str(path) for path in step.sources} == held_out
    assert steps[5].seed != steps[6].seed
