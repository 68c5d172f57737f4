"""The program pereggrn-eval as a user runs it: stdout, stderr, exit codes, files."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.pipelines.split import splitting as split_pipeline


def refuse_constants(constant: str) -> Any:
    raise AssertionError(f"{constant} is not JSON")


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=refuse_constants)


def fill(folder: Path) -> Path:
    template = anndata.read_h5ad(folder / "predictions_template.h5ad")
    train = anndata.read_h5ad(folder / "train.h5ad")
    template.X[:] = np.asarray(train.X).mean(axis=0)
    template.write_h5ad("filled.h5ad")
    return Path("filled.h5ad")


def test_split_then_score(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("split", "demo")
    assert code == 0
    folder = tmp_path / "demo_interventional_seed0"
    assert "28 perturbations" in out
    assert str(folder.name) in out
    path = fill(folder)
    code, out, err = run("score", str(path))
    assert code == 0
    for name, metric in METRICS.items():
        assert (name in out) != metric.of_cells
    assert "SUMS of squared errors" in out
    assert "signature: software:pereggrn-data" in out
    assert "filled.h5ad_scores/summary.json" in err
    code, as_json, err = run("score", str(path), "--json", "-o", "elsewhere")
    assert code == 0
    printed = strict(as_json)
    written = strict((tmp_path / "elsewhere/summary.json").read_text())
    assert set(written.pop("files")) == {
        "scores.csv", "scores.parquet", "targets.parquet", "effects.parquet",
    }  # fmt: skip
    assert printed == written
    assert "wrote" in err
    assert "wrote" not in as_json


def test_names_with_line_breaks_are_shown_and_not_obeyed(run: Any, tmp_path: Path) -> None:
    """What begins a line is ours, whatever files and folders are called."""
    name = "x\nerror: forged\x1b[2K"
    said = [
        run("split", "demo", "-o", name),
        run("score", str(fill(tmp_path / name)), "-o", f"{name} 2", "--no-calibration"),
        run("score", name),
    ]
    assert [code for code, _, _ in said] == [0, 0, 2]
    assert all("x\\nerror: forged\\x1b[2K" in out + err for _, out, err in said)
    lines = [line for _, out, err in said for line in (out + err).splitlines()]
    assert not any("\x1b" in line or line.startswith("error: forged") for line in lines)


def test_split_json(run: Any) -> None:
    code, out, _ = run("split", "demo", "--seed", "1", "--num-genes", "50", "-o", "s", "--json")
    printed = strict(out)
    assert code == 0
    assert (printed["seed"], printed["num_genes"]) == (1, 50)
    assert len(printed["files"]) == 4
    for file in printed["files"]:
        assert Path(file).exists()


def test_metrics(run: Any) -> None:
    code, out, _ = run("metrics")
    assert code == 0
    assert all(name in out for name in METRICS)
    printed = strict(run("metrics", "--json")[1])
    assert [m["name"] for m in printed] == list(METRICS)
    assert printed == [strict(json.dumps(m.describe())) for m in METRICS.values()]


@pytest.mark.whole_forest
@pytest.mark.whole_strata
def test_demo(run: Any, tmp_path: Path) -> None:
    code, out, err = run("demo", "-o", "d")
    assert code == 0
    listed, what_next = out.split("Files:\n")[1].split("\n\nWhat next:\n")
    files = listed.split()
    assert files
    for file in files:
        assert (tmp_path / file).stat().st_size > 0
    assert {Path(f).name for f in files} >= {
        "train.h5ad", "split.json", "predictions_ridge.h5ad", "scores.csv", "summary.json",
    }  # fmt: skip
    assert files[-1].endswith("report.html") or "pip install altair" in what_next
    assert "better (right)" in out
    assert "simulating" in err
    assert_readme_shows(run, tmp_path / "d")
    assert_files_are_described(tmp_path / "d")


def assert_files_are_described(folder: Path) -> None:
    """Columns and keys are those of the page; what is not always there says "where"."""
    page = Path(__file__).resolve().parents[2] / "docs/reference/score_files.md"
    parts = re.split(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.MULTILINE)
    rows = {
        heading: re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    summary = strict((folder / "summary.json").read_text("utf-8"))
    written = {
        "scores.parquet, scores.csv": set(pd.read_parquet(folder / "scores.parquet")) - {*METRICS},
        "targets.parquet": set(pd.read_parquet(folder / "targets.parquet")),
        "effects.parquet": set(pd.read_parquet(folder / "effects.parquet")),
        "summary.json": set(summary),
        "verdict": set(summary["verdict"]),
        "intervals": set(summary["intervals"]),
        "metrics": set(summary["metrics"]["mae"]),
        "strata": set(summary["strata"][0]),
    }
    for heading, names in written.items():
        described = {name for name, _ in rows[heading]}
        always = {name for name, said in rows[heading] if not said.startswith("where ")}
        assert always <= names <= described, heading


def assert_readme_shows(run: Any, folder: Path) -> None:
    """The README's picture is of what the demo has just made."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    readme = Path(__file__).resolve().parents[2] / "README.md"
    (shown,) = re.findall(r"!\[.*\]\((docs/.*\.svg)\)", readme.read_text("utf-8"))
    assert run("plot", "heatmap", str(folder), "-o", str(folder / "new.svg"))[0] == 0
    old, new = (
        re.findall(r"<text[^>]*>([^<]*)<", file.read_text("utf-8"))
        for file in (readme.parent / shown, folder / "new.svg")
    )
    assert len(old) == len(new)
    for a, b in zip(old, new, strict=True):
        # The last digit may be another one with another library of linear algebra.
        digits = [t.replace("\N{MINUS SIGN}", "-").removesuffix(" ?") for t in (a, b)]
        try:
            assert float(digits[0]) == pytest.approx(float(digits[1]), abs=0.2)
        except ValueError:
            assert a == b


def test_demo_as_json_and_without_matplotlib(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = run("demo", "-o", "d", "--json")
    assert code == 0
    assert "percent_change.txt" in out
    assert set(strict(out)["metrics"]) == {n for n, m in METRICS.items() if not m.of_cells}
    assert "ridge" in (tmp_path / "d/percent_change.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["split", "dmo"], 2, "did you mean demo"),
        (["split", "no/such/file.h5ad"], 2, "no file"),
        (["split", "demo", "--type", "intervention"], 2, "did you mean interventional"),
        (["split", "demo", "--heldout-fraction", "2"], 2, "out of range"),
        (["split", "demo", "--seed", "-1"], 2, "--seed"),
        (["split"], 2, "Missing argument"),
        (["score", "none.h5ad"], 2, "no file"),
        (["score", "none.h5ad", "--split", "s", "--seed", "1"], 2, "either read or made"),
        (["nonsense"], 2, "No such command"),
        (["score", "empty.h5ad"], 1, "empty"),
    ],
)
def test_exit_codes(run: Any, tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    (tmp_path / "empty.h5ad").touch()
    got, out, err = run(*arguments)
    assert got == code
    assert says in err
    assert out == ""
    assert "Traceback" not in err


def test_debug_shows_the_traceback(run: Any) -> None:
    from pereggrn_data.core.errors import UnknownNameError

    for arguments in (["--debug", "split", "dmo"], ["split", "dmo", "--debug"]):
        with pytest.raises(UnknownNameError):
            run(*arguments)


def test_a_bug_of_ours_has_its_own_code(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(split_pipeline, "split_by_options", broken)
    code, _, err = run("split", "demo")
    assert code == 70
    assert "internal error: RuntimeError: on purpose" in err
    assert "--debug" in err


def test_help_documents_the_exit_codes(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "Exit codes" in out
    for command in ("split", "score", "demo", "metrics"):
        assert command in out


def test_as_installed_programs(tmp_path: Path) -> None:
    """Both console scripts exist, and a closed pipe is no error."""
    for program in ("pereggrn-eval", "pereggrn-data"):
        script = Path(sys.executable).with_name(program)
        done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{program} ")
    script = Path(sys.executable).with_name("pereggrn-eval")
    process = subprocess.Popen(
        [script, "metrics"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_calibrate_and_score_with_it(run: Any, tmp_path: Path) -> None:
    code, out, err = run("calibrate", "demo")
    assert code == 0
    assert "metrics, one half of the replicates of demo forecasts the other" in out
    assert "demo_calibration/calibration.json" in err
    code, as_json, _ = run("calibrate", "demo", "--json", "-o", "again")
    assert code == 0
    printed = strict(as_json)
    written = strict((tmp_path / "again/calibration.json").read_text())
    assert printed == {k: v for k, v in written.items() if k not in ("groups", "values")}
    # Every value of the file is in the table, or named below it.
    heading = next(line for line in out.splitlines() if line.startswith("metric "))
    below = next(line for line in out.splitlines() if line.startswith("Only in calibration.json"))
    for name in written["values"]:
        assert name.replace("_", " ") in heading or name in below, name
    assert printed["intervals"] == {"draws": 2000, "seed": 0}
    code, as_json, _ = run("calibrate", "demo", "--json", "-o", "few", "--draws", "300")
    assert (code, strict(as_json)["intervals"]) == (0, {"draws": 300, "seed": 0})
    run("split", "demo", "-o", "s")
    path = str(fill(tmp_path / "s"))
    code, _, _ = run("score", path, "--calibration", "again/calibration.json", "-o", "with")
    assert code == 0
    found = strict((tmp_path / "with/summary.json").read_text())["metrics"]["mse"]
    assert found["discriminates"] is True
    assert found["duplicate"] is not None
    code, _, err = run(
        "score", path, "--calibration", "again", "--targeted-genes", "exclude", "-o", "other"
    )
    assert code == 2
    assert "something else than what is scored" in err
    code, _, _ = run("score", path, "--no-calibration", "-o", "without")
    assert code == 0
    found = strict((tmp_path / "without/summary.json").read_text())["metrics"]["mse"]
    assert found["discriminates"] is None
