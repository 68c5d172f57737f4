"""What ``--output`` means: a file or a folder, by one rule for all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from pereggrn_data.cli.data.data_app import app as data
from pereggrn_data.cli.evaluate.evaluate_app import app as evaluate
from pereggrn_data.cli.output_places import FILE_ENDINGS, IN_A_FOLDER, as_file, as_folder
from pereggrn_data.core.errors import UsageError


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda program, *arguments: CliRunner().invoke(program, list(arguments))


def outputs(program: typer.Typer, path: str = "") -> list[tuple[str, Any]]:
    """Return every command that has an --output, with the option."""
    found = []

    def walk(command: Any, name: str) -> None:
        for word, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {word}".strip())
        found.extend((name, p) for p in command.params if "--output" in p.opts)

    walk(typer.main.get_command(program), path)
    return found


EVERY = [*outputs(data), *outputs(evaluate)]


def test_every_output_says_whether_it_is_a_file_or_a_folder() -> None:
    assert len(EVERY) > 10
    for name, option in EVERY:
        help_text = " ".join(option.help.split())
        assert help_text.startswith("Folder to write") != (IN_A_FOLDER in help_text), name
        assert "-o" in option.opts, name


def test_the_help_says_where_files_go_by_default(run: Any, tmp_path: Path) -> None:
    for name, option in EVERY:
        help_text = " ".join(option.help.split())
        may_be_left_out = help_text.startswith("Folder to write") and not option.required
        assert ("(default: " in help_text) == (may_be_left_out and name != "qc"), name
    run(evaluate, "split", "demo")
    template = tmp_path / "demo_interventional_seed0/predictions_template.h5ad"
    filled = anndata.read_h5ad(template)
    filled.X = np.ones(filled.shape, np.float32)
    filled.write_h5ad(tmp_path / "p.h5ad")
    run(evaluate, "score", "p.h5ad", "--no-calibration", "--draws", "200")
    assert (tmp_path / "p.h5ad_scores/summary.json").exists()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (evaluate, "split demo"),
        (evaluate, "score absent.h5ad"),
        (evaluate, "calibrate demo"),
        (evaluate, "demo"),
        (data, "qc demo"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("place", ["x.h5ad", "here"])
def test_no_file_is_taken_for_a_folder(
    run: Any, tmp_path: Path, program: Any, words: str, place: str
) -> None:
    (tmp_path / "here").write_text("kept")
    result: Result = run(program, *words.split(), "-o", place)
    assert isinstance(result.exception, UsageError), result.output
    assert "--output is their folder" in str(result.exception)
    assert place in str(result.exception)
    # Nothing was computed or written.
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (evaluate, ["split", "demo", "-o", ""]),
        (evaluate, ["demo", "--output="]),
        (data, ["networks", "edges", "demo", "--output", ""]),
    ],
)
def test_what_is_empty_is_no_place(
    run: Any, tmp_path: Path, program: Any, words: list[str]
) -> None:
    """As a variable of the shell is that is not set; an empty path is the folder where one is."""
    result: Result = run(program, *words)
    assert (result.exit_code, "is empty" in result.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_may_be_called_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    nothing: Any = None
    assert as_folder(nothing, tmp_path / "x.csv") == tmp_path / "x.csv"
    assert as_folder(nothing, tmp_path / "seed0.5") == tmp_path / "seed0.5"
    assert as_folder(nothing, None) is None
    assert ".h5ad" in FILE_ENDINGS


def test_a_single_file_gets_its_usual_name_in_a_folder(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert as_file("new/", "x.csv") == Path("new/x.csv")
    assert as_file(str(tmp_path / "there"), "x.csv") == tmp_path / "there" / "x.csv"
    assert as_file("new", "x.csv") == Path("new")
    for place in ("there", "new/"):
        assert run(data, "networks", "edges", "demo", "-n", "5", "-o", place).exit_code == 0
        assert Path(place, "edges.csv").is_file()
    made = run(evaluate, "predict", "demo", "--model", "mean", "-o", "new/")
    assert made.exit_code == 0, made.output
    assert Path("new/predictions_mean.h5ad").is_file()
    edges = "regulator,target,weight\nA,B,1\nB,C,1\n"
    Path("net.csv").write_text(edges)
    assert run(data, "networks", "import", "net.csv", "-o", "there").exit_code == 0
    assert Path("there/net.parquet").is_file()
