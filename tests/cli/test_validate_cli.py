"""`pereggrn-data validate`: exit codes, and formats that their readers can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from anndata import AnnData

from pereggrn_data.cli.data import data_app as data
from pereggrn_data.cli.data.report_formats import as_github, as_junit, as_text
from pereggrn_data.core.format import Kind
from pereggrn_data.core.reports import Finding, Report, Severity
from pereggrn_data.validators.rules import RULES

Make = Callable[[], AnnData]
Files = dict[str, str]


@pytest.fixture
def files(small_dataset: Make, tmp_path: Path) -> Files:
    good, warned, bad = small_dataset(), small_dataset(), small_dataset()
    warned.X[0, 3] = -1
    bad.obs["perturbation"] = ["ctrl", "ctrl", "A", "B", "A,B", "Z Z"]
    paths = {}
    for name, adata in (("good", good), ("warned", warned), ("bad", bad)):
        paths[name] = str(tmp_path / f"{name}.h5ad")
        adata.write_h5ad(paths[name])
    paths["missing"] = str(tmp_path / "missing.h5ad")
    return paths


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pereggrn-data", "validate", *arguments])
        with pytest.raises(SystemExit) as left:
            data.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good"], 0),
        (["warned"], 0),
        (["bad"], 1),
        (["good", "warned"], 0),
        (["good", "bad"], 1),
        (["missing"], 2),
        (["bad", "missing"], 2),
    ],
)
@pytest.mark.parametrize("output", ["text", "json", "github", "junit"])
def test_exit_codes(run: Run, files: Files, names: list[str], code: int, output: str) -> None:
    left, out, err = run(*(files[n] for n in names), "--format", output)
    assert left == code
    assert ("missing" in names) == ("There is no file" in err)
    if "bad" in names:
        assert "perturbation-white-space" in out


def test_json_of_one_file(run: Run, files: Files) -> None:
    _, out, _ = run(files["bad"], "--json")
    report = json.loads(out)
    assert list(report) == ["path", "kind", "valid", "findings"]
    assert (report["path"], report["kind"], report["valid"]) == (files["bad"], "dataset", False)
    assert set(report["findings"][0]) == {
        *("code", "severity", "slot", "column", "n", "examples", "expected", "got", "fix")
    }


def test_json_of_several_files(run: Run, files: Files) -> None:
    _, out, _ = run(files["bad"], files["good"], "--format", "json")
    assert [r["valid"] for r in json.loads(out)] == [False, True]
    _, out, _ = run(files["good"], files["missing"], "--format", "json")
    assert [r["path"] for r in json.loads(out)] == [files["good"]]


def test_text_names_what_where_and_fix(run: Run, files: Files) -> None:
    _, out, _ = run(files["bad"])
    for part in ("INVALID", "obs['perturbation']", "cell_5", "'Z Z'", "expected:", "fix:"):
        assert part in out


@pytest.mark.parametrize("arguments", [[], ["--kind", "x", "f"], ["--role", "x", "f"]])
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err


def test_rules_are_listed(run: Run) -> None:
    assert [r["code"] for r in json.loads(run("--rules", "--json")[1])] == list(RULES)
    assert run("--rules")[1].count("\n") == len(RULES) + 2


HOSTILE = "a%b\r\n::error::x,y:z\x1b[31m]]>&<\x00\ud800é"


@pytest.fixture
def hostile() -> list[Report]:
    found = Finding(
        "level-count", Severity.ERROR, "obs", HOSTILE, 1, (HOSTILE,), HOSTILE, HOSTILE, HOSTILE
    )
    warned = Finding("X-negative", Severity.WARNING, "X", None, 1, (), "a", "b", "c")
    return [Report(HOSTILE, Kind.DATASET, (found, warned))]


def test_github_commands_are_one_line_each(hostile: list[Report]) -> None:
    first, second = as_github(hostile).split("\n")
    assert first.startswith("::error file=a%25b%0D%0A%3A%3Aerror%3A%3Ax%2Cy%3Az")
    assert ",title=level-count::" in first
    assert second.startswith("::warning file=")


def test_junit_is_valid_xml(hostile: list[Report]) -> None:
    root = ET.fromstring(as_junit(hostile))  # noqa: S314
    suite = root[0]
    cases = suite.findall("testcase")
    assert suite.attrib["failures"] == "1"
    assert suite.attrib["tests"] == str(len(cases))
    assert [c.attrib["name"] for c in cases if c.find("failure") is not None] == ["level-count"]
    warned = [c.attrib["name"] for c in cases if c.find("system-out") is not None]
    assert warned == ["X-negative"]


def test_text_from_a_file_cannot_control_the_terminal(hostile: list[Report]) -> None:
    text = as_text(hostile).replace("\x1b[0m", "")
    assert "\x1b[31m]]" not in text
    assert "\x00" not in text
    assert "\n::error" not in text
    text.encode("utf-8")
