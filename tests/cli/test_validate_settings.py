"""What users' own repositories ask of `validate`: options, settings and the action."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import pereggrn_data
from pereggrn_data.cli.data.data_app import main
from pereggrn_data.core.errors import PereggrnError
from pereggrn_data.pipelines.validate_options import FailOn, ValidateOptions, settings_near

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = "obs-missing-column"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_dataset: Any) -> Path:
    """Make a repository with a dataset that has an error, and one that has a warning."""
    monkeypatch.chdir(tmp_path)
    wrong, warned = small_dataset(), small_dataset()
    del wrong.obs["perturbation_type"]
    wrong.write_h5ad("wrong.h5ad")
    warned.X[0, 3] = -1
    warned.write_h5ad("warned.h5ad")
    return tmp_path


def validate(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pereggrn-data", "validate", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def codes_of(path: str) -> set[str]:
    return {finding.code for finding in pereggrn_data.validate(path).findings}


def test_findings_are_ignored_and_counted(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert CODE in codes_of("wrong.h5ad")
    assert validate(monkeypatch, "wrong.h5ad") == 1
    words = [word for code in sorted(codes_of("wrong.h5ad")) for word in ("--ignore", code)]
    capsys.readouterr()
    assert validate(monkeypatch, "wrong.h5ad", *words) == 0
    captured = capsys.readouterr()
    assert f"{CODE} (1)" in captured.err
    assert CODE not in captured.out


def test_warnings_fail_if_asked(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = pereggrn_data.validate("warned.h5ad")
    assert report.valid
    assert report.findings
    assert validate(monkeypatch, "warned.h5ad") == 0
    assert validate(monkeypatch, "warned.h5ad", "--fail-on", "warning") == 1


def test_settings_are_read_from_here_upwards(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = ", ".join(f'"{code}"' for code in sorted(codes_of("wrong.h5ad")))
    (files / "pyproject.toml").write_text(
        f'[tool.pereggrn]\nignore = [{ignored}]\nfail-on = "warning"\n'
    )
    inner = files / "deep" / "er"
    inner.mkdir(parents=True)
    # One without the section does not end the search.
    (inner / "pyproject.toml").write_text("[tool.other]\n")
    monkeypatch.chdir(inner)
    assert validate(monkeypatch, "../../wrong.h5ad") == 0
    assert validate(monkeypatch, "../../warned.h5ad") == 1
    assert validate(monkeypatch, "../../warned.h5ad", "--fail-on", "error") == 0
    assert validate(monkeypatch, "../../wrong.h5ad", "--ignore", "edges-empty") in (1, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.pereggrn]\nignor = []\n", "ignore"),
        ("[tool.pereggrn]\nignore = 'obs-missing-column'\n", "a list of codes"),
        ("[tool.pereggrn]\nignore = [1]\n", "a list of codes"),
        ("[tool.pereggrn]\nignore = ['obs-missing-colum']\n", "obs-missing-column"),
        ("[tool.pereggrn]\nignore = ['file-unreadable']\n", "can be ignored"),
        ("[tool.pereggrn]\nfail-on = 'never'\n", "error or warning"),
        ("[tool]\npereggrn = 1\n", "a table of settings"),
        ("[tool.pereggrn\n", "cannot be read"),
    ],
)
def test_settings_that_mean_nothing(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(PereggrnError) as raised:
        settings_near(tmp_path)
    assert raised.value.exit_code == 2
    assert said in str(raised.value)


def test_the_defaults_are_what_validation_does_by_itself() -> None:
    assert ValidateOptions() == ValidateOptions(ignore=(), fail_on=FailOn.ERROR)


def test_each_kind_of_file_loads_its_own_libraries_only(files: Path) -> None:
    edges = {"regulator": ["A"], "target": ["B"], "weight": [1.0]}
    pd.DataFrame(edges).to_parquet("net.parquet")
    unwanted = {"anndata", "sklearn", "requests", "pooch", "intake", "matplotlib", "joblib"}
    for path, others in (("wrong.h5ad", {"duckdb"}), ("net.parquet", {"h5py"})):
        code = (
            f"import sys, pereggrn_data\nr = pereggrn_data.validate({path!r})\nprint(*sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert not (unwanted | others) & set(done.stdout.split())


def test_the_action_validates_the_files_of_a_repository(files: Path, tmp_path: Path) -> None:
    """Its last step is run as a runner would run it; the others only install."""
    if shutil.which("git") is None or shutil.which("bash") is None:
        pytest.skip("git and bash are needed")
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text("utf-8"))
    assert action["runs"]["using"] == "composite"
    assert set(action["inputs"]) >= {name.replace("_", "-") for name in ("ignore", "fail_on")}
    script = action["runs"]["steps"][-1]["run"]
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "wrong.h5ad"], check=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "FILES": action["inputs"]["files"]["default"],
        "IGNORE": "",
        "FAIL_ON": "",
    }
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 123, done.stderr  # of xargs, for a command that failed
    assert f"title={CODE}" in done.stdout
    environment["IGNORE"] = "\n".join(sorted(codes_of("wrong.h5ad")))
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
