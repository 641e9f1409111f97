"""The program as a person and as another program see it: output, events, files, exit codes. Real processes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from CMBNetLib.bundle import DEFAULT_MODEL, find_bundle
from CMBNetLib.volume import read_labels, write_volume
from head_phantom import SPOTS_RAS, head


def run(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "CMBNetLib", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120", **(environment or {})},
    )  # fmt: skip


def events(finished: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_volume(head((0.9, 0.9, 3.0)), tmp_path_factory.mktemp("in") / "sub-01_T2starw.nii.gz")


@pytest.fixture(scope="module")
def told(scan: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], Path]:
    """Events and result folder of one run by a program."""
    folder = tmp_path_factory.mktemp("out")
    finished = run("detect", scan, "-o", folder, "--json-events", "--probability")
    assert finished.returncode == 0, finished.stderr
    return events(finished), folder


def test_a_program_gets_stages_fractions_and_the_result(told: tuple[list[dict], Path]) -> None:
    lines, folder = told
    stages = [line["stage"] for line in lines if line["event"] == "stage"]
    assert stages == ["read", "anatomy", "prepare", "network", "candidates", "measure", "write"]
    fractions = [line["fraction"] for line in lines if line["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert lines[-1]["event"] == "result"
    assert lines[-1]["n_microbleeds"] == len(SPOTS_RAS)
    assert Path(lines[-1]["detection"]).parent == folder.resolve()


def test_all_files_of_a_run_agree(told: tuple[list[dict], Path]) -> None:
    lines, folder = told
    document = json.loads(Path(lines[-1]["detection"]).read_text())
    written = {Path(lines[-1]["detection"]).name, *document["files"].values()}
    assert {p.name for p in folder.iterdir()} == written
    mask = read_labels(folder / document["files"]["microbleeds"])
    assert mask.array.max() == len(SPOTS_RAS)
    with (folder / document["files"]["csv"]).open() as stream:
        assert len(list(csv.DictReader(stream))) == len(SPOTS_RAS)
    assert document["model"]["sha256"] == find_bundle().weights_sha256
    assert "T2*" in json.dumps(document["scan"])


def test_a_person_gets_a_table_and_the_names_of_the_files(scan: Path, tmp_path: Path) -> None:
    finished = run("detect", scan, "-o", tmp_path / "new" / "folder", "--operating-point", "specific")
    assert finished.returncode == 0, finished.stderr
    assert "for research use only" in finished.stdout
    assert "zone" in finished.stdout
    for path in (tmp_path / "new" / "folder").iterdir():
        assert path.name in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["detect", "nowhere.nii.gz"], 2, "No such file"),
        (["detect", "{scan}", "--model", "nobody"], 2, "There is no model 'nobody'"),
        (["detect", "{scan}", "--operating-point", "best"], 2, "choose one of sensitive, balanced, specific"),
        (["detect", "{scan}", "--threshold", "2"], 2, "between 0 and 1"),
        (["model", "show", "nobody"], 2, "There is no model 'nobody'"),
        (["model", "import", "{scan}"], 2, "not a zip file"),
    ],
)
def test_what_cannot_be_done_ends_with_a_sentence(
    arguments: list[str], code: int, words: str, scan: Path, tmp_path: Path
) -> None:
    finished = run(*(a.format(scan=scan) for a in arguments), "--json-events", environment={"HOME": str(tmp_path)})
    assert finished.returncode == code
    assert "Traceback" not in finished.stderr
    last = events(finished)[-1]
    assert last["event"] == "error"
    assert words in last["message"]


def test_a_gpu_that_is_not_there_is_a_problem_of_the_environment(scan: Path, tmp_path: Path) -> None:
    finished = run("detect", scan, "-o", tmp_path, "--device", "cuda", environment={"CUDA_VISIBLE_DEVICES": ""})
    assert finished.returncode == 3
    assert "--device cpu" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_way_to_get_it(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    finished = run("detect", scan, "-o", tmp_path / "out", environment={"PYTHONPATH": path})
    assert finished.returncode == 3
    assert "package torch is missing" in finished.stderr
    assert "cmbnet system" in finished.stderr


def test_the_system_report_lists_packages_and_devices() -> None:
    (report,) = events(run("system", "--json-events"))
    assert report["ready"] is True
    assert report["packages"]["torch"]
    assert report["devices"][0]["device"] == "cpu"
    assert "Detection can run." in run("system").stdout


def test_models_are_listed_shown_and_verified() -> None:
    assert DEFAULT_MODEL in run("model", "list").stdout
    assert run("model", "show", DEFAULT_MODEL).stdout.rstrip() == find_bundle().model_card.rstrip()
    network = find_bundle().load_network()
    # One network for thin and one for thick slices, of the same size.
    both = 2 * sum(parameter.numel() for parameter in network.parameters())
    assert f"is intact: {both:,} parameters" in run("model", "verify", DEFAULT_MODEL).stdout


@pytest.mark.parametrize("arguments", [[], ["detect"], ["nothing"], ["model"]])
def test_a_wrong_call_shows_how_it_is_used(arguments: list[str]) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert "usage: cmbnet" in finished.stderr


def test_help_needs_no_heavy_package() -> None:
    probe = (
        "import sys\nfrom CMBNetLib.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'SimpleITK', 'scipy', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert finished.stderr.strip() == "[]"
    for command in ("detect", "model", "system", "evaluate", "curate"):
        assert command in finished.stdout
