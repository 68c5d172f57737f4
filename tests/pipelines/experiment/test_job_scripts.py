"""Scripts for sites whose scheduler starts many copies of one job."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pereggrn_data.cli.evaluate.evaluate_app import app
from pereggrn_data.cli.programs import SHARED
from pereggrn_data.core.errors import UsageError

METADATA: dict[str, Any] = {
    "unique_id": "trial",
    "nickname": "trial",
    "readme": "A small experiment on the embedded dataset.",
    "question": "?",
    "is_active": True,
    "factor_varied": "regression_method",
    "perturbation_dataset": "demo",
    "num_genes": 30,
    "regression_method": ["mean", "median"],
}
SHORT = ("--draws", "200", "--no-calibration")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Metadata in a folder whose name a shell would take apart."""
    folder = tmp_path / "one's own $HOME; experiments"
    folder.mkdir()
    file = folder / "trial.json"
    file.write_text(json.dumps(METADATA), "utf-8")
    return file


def called(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)], catch_exceptions=False)


def planned(*arguments: str | Path) -> str:
    result = called(*arguments, "--plan", "slurm-array")
    assert result.exit_code == 0, result.output
    return result.stdout


def tasks_of(script: str, folder: Path) -> list[list[str]]:
    """Run a script as Slurm does, with a program that prints what it is called with."""
    program = folder / "bin/pereggrn-eval"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\nfor given in "$@"; do printf "%s\\n" "$given"; done\n')
    program.chmod(0o755)
    (folder / "script.sh").write_text(script)
    ranges = re.findall(r"^#SBATCH --array=(.*)$", script, re.M)[0]
    found = []
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            done = subprocess.run(
                ["/bin/sh", str(folder / "script.sh")],
                env={
                    "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
                    "SLURM_ARRAY_TASK_ID": str(number),
                },
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(done.stdout.splitlines())
    return found


def hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of all files that do not say how long something took."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith(".")
        and path.name != "done.json"
        and path.parent.name != "train_resources"
    }


@pytest.mark.slow
def test_an_array_makes_what_one_process_makes(file: Path, tmp_path: Path) -> None:
    folder = file.parent
    tasks = tasks_of(planned(file, "-o", folder / "array", *SHORT), tmp_path)
    assert len(tasks) == 2
    assert not (folder / "array").exists()
    for task in reversed(tasks):
        assert called(*task[1:]).exit_code == 0
    assert called(file, "-o", folder / "serial", *SHORT).exit_code == 0
    assert hashes(folder / "array") == hashes(folder / "serial")
    assert (folder / "serial/evaluationPerPert.parquet").is_file()


def test_options_come_to_the_tasks_as_they_were_said(file: Path, tmp_path: Path) -> None:
    options = [
        "--limit-genes", "30", "--threads", "2", "--as-original", "--targeted-genes", "exclude",
        "--no-calibration", "--draws", "200", "--effects", "DEMOTF01", "--effects", "DEMO TF02",
    ]  # fmt: skip
    more = ["--force", "--insist", "X-not-log", "--collection", str(tmp_path)]
    script = planned(file, "-o", "out", "--only", "1,0", *options, *more)
    assert "#SBATCH --cpus-per-task=2\n" in script
    start = ["run", str(file.resolve()), "-o", str(Path("out").resolve())]
    assert tasks_of(script, tmp_path) == [
        [*start, *options, *more, "--only", number] for number in "01"
    ]


@pytest.mark.parametrize("flag", [flags[0] for _, flags, _ in SHARED])
def test_options_of_every_command_come_to_the_tasks(file: Path, tmp_path: Path, flag: str) -> None:
    # Whether files are trusted outlives a command of the same context.
    planning = copy_context()
    assert flag in tasks_of(planning.run(planned, file, flag), tmp_path)[0]
    assert flag not in planned(file)


@pytest.mark.parametrize(
    "useless",
    [
        ("--report", "page.html"),
        ("--scheduler", "slurm"),
        ("--scheduler-options", "slurm.yaml"),
        ("--json",),
        ("--jobs", "2"),
        ("--dry-run",),
        ("--blocks", "2"),
    ],
)
def test_what_makes_no_difference_to_an_array_is_refused(
    file: Path, useless: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError, match=f"^{useless[0]} makes no difference"):
        planned(file, *useless)


def test_tasks_get_the_memory_that_they_may_use(file: Path) -> None:
    for said, expected in (((), "8G"), (("--memory", "32GiB"), "48G")):
        assert f"#SBATCH --mem={expected}\n" in planned(file, *said)


def test_an_array_has_no_conditions_that_are_not_there(file: Path) -> None:
    with pytest.raises(UsageError, match="no condition 2"):
        planned(file, "--only", "1,2")
