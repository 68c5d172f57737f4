"""Adapters: their environments, made by a stand-in for uv, and what they forecast."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pereggrn_data
from pereggrn_data import Program
from pereggrn_data.adapters import adapters
from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingExtraError,
    MissingFileError,
    NetworkError,
    UnknownNameError,
    UsageError,
)
from pereggrn_data.loaders.program import Finished, environments
from pereggrn_data.pipelines.predict import environment_named, external, install_adapter

PROGRAM = """\
# /// script
# requires-python = ">=3.11"
# dependencies = ["anndata"]
#
# [tool.pereggrn]
# summary = "The mean of the training data."
# reference = "nobody"
# licence = "none at all"
# needs = "nothing"
# size = "1 MB"
# tried = "here"
# heeds = ["seed"]
# notes = ["It knows no perturbations."]
# check = { shift = 2 }
#
# [tool.pereggrn.options]
# shift = { help = "Added to all." }
# table = { help = "A file.", path = true }
# allow_missing = { help = "Leave out the first perturbation." }
# ///
import json, pathlib, sys
import anndata, numpy as np, pandas as pd
folder = pathlib.Path(sys.argv[1])
arguments = json.loads((folder / "kwargs.json").read_text())
train = anndata.read_h5ad(folder / "train.h5ad")
wanted = pd.read_csv(folder / "predictions_metadata.csv", index_col=0, dtype=str)
x = np.tile(np.asarray(train.X).mean(axis=0), (len(wanted), 1)) + arguments.get("shift", 0)
if "allow_missing" in arguments:
    x[wanted["perturbation"] == wanted["perturbation"].iloc[0]] = np.nan
print("table:", arguments.get("table"))
anndata.AnnData(x, obs=wanted, var=train.var[[]]).write_h5ad(folder / "predictions.h5ad")
"""

UV = """\
#!/bin/sh
echo "$@" >> "{calls}"
if [ -e "{fails}" ]; then cat "{fails}"; exit 2; fi
for last; do :; done
case "$1" in venv)
    mkdir -p "$last/bin"
    printf '#!/bin/sh\\nexec "{python}" -W ignore "$@"\\n' > "$last/bin/python"
    chmod +x "$last/bin/python" ;;
esac
"""


UV_CACHE = os.environ.get("UV_CACHE_DIR") or str(
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
)
"""The user's own: packages of several gigabytes are not fetched again for a test."""


class Uv:
    """A stand-in that makes environments of the present one, and notes what it was told."""

    def __init__(self, folder: Path) -> None:
        self.calls, self.fails = folder / "calls", folder / "fails"
        program = folder / "bin" / "uv"
        program.parent.mkdir()
        program.write_text(UV.format(calls=self.calls, fails=self.fails, python=sys.executable))
        program.chmod(0o755)

    def told(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uv:
    stand_in = Uv(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PEREGGRN_CACHE", str(tmp_path / "cache"))
    # Answers that are refused are kept, among the temporary files.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.fixture
def mine(uv: Uv, tmp_path: Path) -> str:
    path = tmp_path / "mine_adapter.py"
    path.write_text(PROGRAM)
    (tmp_path / "mine_adapter.py.lock").write_text("anndata==0.12.7 --hash=sha256:0\n")
    return str(path)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the program here: starting one, which imports anndata, takes longer than all else."""

    def here(arguments: list[str], log: Path, **_: Any) -> Finished:
        *_, program, folder = arguments
        with monkeypatch.context() as patch, log.open("w") as out, redirect_stdout(out):
            patch.setattr(sys, "argv", [program, folder])
            runpy.run_path(program, run_name="__main__")
        return Finished(0, timed_out=False, seconds=0.0)

    monkeypatch.setattr(external, "run_limited", here)


def test_an_environment_is_made_once_and_from_its_lock(uv: Uv, mine: str) -> None:
    said: list[str] = []
    assert install_adapter(mine, confirm=lambda _: False) is None
    assert not uv.told()
    made = install_adapter(mine, say=said.append)
    assert made is not None
    assert made.is_made
    venv, sync = uv.told()
    assert venv.startswith("venv --no-project")
    assert venv.endswith(f"--python >=3.11 {made.folder}")
    assert sync.startswith("pip sync --require-hashes")
    assert sync.endswith(f"--python {made.python} {mine}.lock")
    assert "minutes" in said[0]
    assert not list(made.folder.parent.glob("*.log"))
    # The second time needs no uv; another lock, another environment.
    assert install_adapter(mine, confirm=lambda _: False) == made
    assert len(uv.told()) == 2
    Path(f"{mine}.lock").write_text("anndata==0.12.8 --hash=sha256:0\n")
    assert environment_named(mine).folder != made.folder
    assert not environment_named(mine).is_made


def test_what_uv_cannot_do_is_told_and_made_again_the_next_time(uv: Uv, mine: str) -> None:
    uv.fails.write_text("error: Failed to fetch: `anndata`\n")
    with pytest.raises(NetworkError, match="could not be fetched") as caught:
        install_adapter(mine)
    assert "Failed to fetch" in "".join(caught.value.__notes__)
    uv.fails.write_text("error: No interpreter found for Python >=3.11\n")
    with pytest.raises(UsageError, match="uv could not make") as other:
        install_adapter(mine)
    assert "No interpreter" in "".join(other.value.__notes__)
    uv.fails.unlink()
    left = environment_named(mine)
    (left.folder / "half").mkdir(parents=True)
    assert not left.is_made
    assert install_adapter(mine) == left
    assert left.is_made
    assert not (left.folder / "half").exists()


def test_without_uv_room_or_lock_it_is_said_what_to_do(
    mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(environments, "free_bytes", lambda _: 999_999)
        with pytest.raises(UsageError, match="no room"):
            install_adapter(mine)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        patch.setitem(sys.modules, "uv", None)
        with pytest.raises(MissingExtraError, match=r"pereggrn-data\[adapters\]"):
            install_adapter(mine)
    Path(f"{mine}.lock").unlink()
    with pytest.raises(MissingFileError, match="pereggrn-eval adapters lock"):
        install_adapter(mine)


def test_a_lock_is_written_for_a_program_of_ones_own(uv: Uv, mine: str, run: Any) -> None:
    code, out, _ = run("adapters", "lock", mine)
    assert (code, out.strip()) == (0, f"{mine}.lock")
    (told,) = uv.told()
    assert told.startswith(f"pip compile {mine} --universal --generate-hashes")
    assert "--python-version 3.11" in told
    assert "--no-emit-index-url" in told


def test_an_adapter_forecasts_by_its_path(mine: str) -> None:
    made = pereggrn_data.split("demo")
    with pytest.raises(UsageError, match="is not installed") as caught:
        pereggrn_data.predict(made, mine)
    assert "licence: none at all" in str(caught.value)
    assert f"adapters install {mine}" in str(caught.value)
    install_adapter(mine)
    predicted = pereggrn_data.predict(made, mine, arguments={"shift": 1})
    expected = np.asarray(made.train.X).mean(axis=0) + 1
    np.testing.assert_allclose(predicted.adata.X[3], expected, rtol=1e-6)
    assert predicted.model == "mine"
    assert "It knows no perturbations." in predicted.notes
    assert len(predicted.adata) == len(made.test_perturbations)


@pytest.mark.usefixtures("in_process")
def test_rows_may_be_missing_only_where_that_was_allowed(mine: str) -> None:
    install_adapter(mine)
    made = pereggrn_data.split("demo")
    first = str(made.test_perturbations["perturbation"].iloc[0])
    program = Program(adapter=mine)
    partly = pereggrn_data.predict(made, program=program, arguments={"allow_missing": True})
    assert first not in set(partly.adata.obs["perturbation"])
    assert np.isfinite(partly.adata.X).all()
    assert any(first in note and "--allow-missing" in note for note in partly.notes)
    with pytest.raises(InvalidDataError, match="missing or infinite"):
        pereggrn_data.predict(made, program=program, arguments={"allow_missing": 0})


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"steps": 2}, "does not heed"),
        ({"network": "demo"}, "does not heed"),
        ({"arguments": {"shifts": 1}}, "shift"),
        ({"arguments": {"table": "absent.csv"}}, "absent.csv"),
    ],
)
def test_choices_that_make_no_difference_are_refused(
    mine: str, choices: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        pereggrn_data.predict("demo", mine, **choices)


@pytest.mark.usefixtures("in_process")
def test_nothing_is_installed_without_being_asked_for(uv: Uv, mine: str, run: Any) -> None:
    code, _, err = run("predict", "demo", "--model", mine)
    assert code == 2
    for line in ("licence: none at all", "environment: 1 MB", "add --yes"):
        assert line in err
    # Wrong arguments are told before anything is installed.
    code, _, err = run("predict", "demo", "--adapter", mine, "--yes", "-a", "shifts=1")
    assert code == 2
    assert not uv.told()
    assert run("predict", "demo", "--model", mine, "--yes", "-o", "p.h5ad")[0] == 0
    assert Path("p.h5ad").exists()
    assert len(uv.told()) == 2


@pytest.mark.usefixtures("in_process")
def test_adapters_are_listed_found_and_checked(mine: str, run: Any) -> None:
    code, out, _ = run("adapters", "list", "--json")
    listed = json.loads(out)
    assert [entry["name"] for entry in listed] == [adapter.name for adapter in adapters()]
    assert not any(entry["is_installed"] for entry in listed)
    code, out, _ = run("adapters", "list")
    assert all(adapter.licence in out for adapter in adapters())
    code, out, _ = run("adapters", "path", mine, "--json")
    assert json.loads(out)["program"] == mine
    code, out, _ = run("adapters", "check", mine, "--yes", "--json")
    assert code == 0
    assert json.loads(out)["adapter"] == "mine"
    code, out, _ = run("adapters", "path", mine)
    assert out.split()[0] == mine
    assert (Path(out.split()[2]) / "made.json").exists()
    code, _, err = run("adapters", "path", "gear")
    assert code == 2
    assert "did you mean gears" in err


def test_a_misspelt_adapter_is_told_the_right_name() -> None:
    with pytest.raises(UnknownNameError, match="gearz") as caught:
        pereggrn_data.predict("demo", "gearz")
    assert "did you mean gears" in str(caught.value)


def test_an_adapter_is_a_program_as_others_are() -> None:
    with pytest.raises(UsageError, match="one of --command"):
        Program(command="x {dir}", adapter="gears")
    with pytest.raises(UsageError, match="nothing to save"):
        pereggrn_data.predict("demo", "gears", save_model="m.npz")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a cache without environments; those of the real uv are removed afterwards."""
    monkeypatch.setenv("UV_CACHE_DIR", UV_CACHE)
    monkeypatch.setenv("PEREGGRN_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache" / "adapters"
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)


@pytest.mark.slow
@pytest.mark.installs
@pytest.mark.parametrize("name", [adapter.name for adapter in adapters()])
def test_adapters_of_this_package_run(name: str, run: Any, fresh: Path) -> None:
    assert run("adapters", "check", name, "--yes")[0] == 0
    assert len(list(fresh.glob(f"{name}-*"))) == 1
    # The second time, from what is there, without a connection.
    assert run("adapters", "check", name)[0] == 0


@pytest.mark.slow
@pytest.mark.installs
@pytest.mark.shared
@pytest.mark.usefixtures("fresh")
def test_gears_forecasts_real_cells(run: Any, shared: Path, tmp_path: Path) -> None:
    sets = shared / "reference" / "go_biological_process_2021.gmt"
    place = ["--collection", str(shared / "data")]
    sizes = ["-a", f"gene2go={sets}", "-a", "epochs=1", "-a", "allow_missing=true"]
    output = str(tmp_path / "p.h5ad")
    told = run("predict", "papalexi", "--model", "gears", *sizes, *place, "--yes", "-o", output)
    assert told[0] == 0
    assert run("score", output, *place)[0] == 0
