"""Programs and containers that forecast: what they are given, and what happens when they fail."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError
from pereggrn_data.loaders.program.commands import split_command
from pereggrn_data.pipelines.predict.external import checked_answers
from pereggrn_data.pipelines.predict.model_options import Program

WITH_ANNDATA = """
import json, pathlib, sys
import anndata, numpy as np, pandas as pd
folder = pathlib.Path(sys.argv[1])
train = anndata.read_h5ad(folder / "train.h5ad")
metadata = pd.read_csv(folder / "predictions_metadata.csv", index_col=0)
grammar = json.loads((folder / "ggrn_args.json").read_text())
arguments = json.loads((folder / "kwargs.json").read_text())
X = np.tile(np.asarray(train.X).mean(axis=0), (len(metadata), 1))
X += metadata["prediction_timescale"].to_numpy()[:, None] * arguments.get("shift", 0)
predictions = anndata.AnnData(X=X, obs=metadata, var=train.var[[]])
predictions.write_h5ad(folder / "predictions.h5ad")
"""
# The same without anndata, whose import takes a second of each program's time.
GOOD = """
import csv, json, pathlib, sys
import h5py, numpy as np
folder = pathlib.Path(sys.argv[1])
with h5py.File(folder / "train.h5ad") as train:
    mean, genes = train["X"][:].mean(axis=0), train["var/_index"].asstr()[:]
with open(folder / "predictions_metadata.csv", newline="") as file:
    names, *rows = csv.reader(file)
obs = dict(zip(names, np.array(rows, dtype=object).T))
arguments = json.loads((folder / "kwargs.json").read_text())
X = mean + obs["prediction_timescale"].astype(float)[:, None] * arguments.get("shift", 0)
"""
WRITE = """
with h5py.File(folder / "predictions.h5ad", "w") as out:
    out["X"] = X
    for name, frame in (("obs", obs), ("var", {"": genes})):
        index, *columns = frame
        for column, values in frame.items():
            out[f"{name}/{'_index' if column == index else column}"] = values
        out[name].attrs.update({
            "encoding-type": "dataframe", "encoding-version": "0.2.0",
            "_index": "_index", "column-order": np.array(columns, h5py.string_dtype()),
        })
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders of programs are made, some of which stay."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Any:
    def make(text: str) -> str:
        path = tmp_path / "my model.py"
        path.write_text(text)
        return f"'{sys.executable}' -W ignore '{path}' {{dir}}"

    return make


def run(command: str, **more: Any) -> pereggrn_data.PredictedExpression:
    choices = {name: more.pop(name) for name in ("steps", "arguments", "network") if name in more}
    return pereggrn_data.predict("demo", program=Program(command=command, **more), **choices)


def failure(command: str, **more: Any) -> tuple[str, str]:
    with pytest.raises(InvalidDataError) as caught:
        run(command, **more)
    return str(caught.value), "\n".join(getattr(caught.value, "__notes__", ()))


def test_a_program_forecasts_and_its_file_is_scored(script: Any, tmp_path: Path) -> None:
    predicted = run(script(WITH_ANNDATA))
    train = pereggrn_data.split("demo").train
    expected = np.asarray(train.X).mean(axis=0)
    np.testing.assert_allclose(predicted.adata.X[0], expected, rtol=1e-6)
    report = quick_score(predicted.write(tmp_path / "p.h5ad"))
    assert report.n_scored == report.n_expected == 28


def test_a_program_is_given_all_that_it_may_use_and_nothing_held_out(
    script: Any, tmp_path: Path
) -> None:
    keep = "\nimport shutil\nshutil.copytree(folder, sys.argv[0] + '.seen')\n"
    edges = pd.DataFrame({"regulator": ["DEMOTF01"], "target": ["DEMO001"]})
    run(script(GOOD + keep + WRITE), steps=(1, 3), arguments={"shift": 0.5}, network=edges)
    seen = tmp_path / "my model.py.seen"
    assert sorted(p.name for p in seen.iterdir()) == [
        "ggrn_args.json",
        "kwargs.json",
        "network.parquet",
        "predictions_metadata.csv",
        "train.h5ad",
    ]
    metadata = pd.read_csv(seen / "predictions_metadata.csv")
    task = pereggrn_data.split("demo")
    assert len(metadata) == 2 * len(task.test_perturbations)
    needed = ["timepoint", "cell_type", "perturbation", "expression_level_after_perturbation"]
    assert {*needed, "prediction_timescale"} <= set(metadata.columns)
    assert metadata["prediction_timescale"].unique().tolist() == [1, 3]
    assert json.loads((seen / "kwargs.json").read_text()) == {"shift": 0.5}
    assert json.loads((seen / "ggrn_args.json").read_text())["prediction_timescale"] == [1, 3]
    import anndata

    train = anndata.read_h5ad(seen / "train.h5ad")
    assert not set(train.obs_names) & set(task.split.test_observations)
    assert not set(train.obs["perturbation"]) & set(task.split.heldout_perturbations)
    assert {"cell_type", "timepoint"} <= set(train.obs)


def test_a_validation_side_is_given_where_there_is_one(script: Any, tmp_path: Path) -> None:
    import anndata

    made = pereggrn_data.split("demo", validation_fraction=0.2)
    keep = tmp_path / "kept"
    program = Program(command=script(GOOD + WRITE), keep=keep)
    pereggrn_data.predict(made, program=program)
    given = anndata.read_h5ad(keep / "validation.h5ad")
    assert made.validation is not None
    assert list(given.obs_names) == list(made.validation.obs_names)
    assert not set(given.obs_names) & set(anndata.read_h5ad(keep / "train.h5ad").obs_names)


def test_steps_of_a_program_are_told_apart(script: Any, tmp_path: Path) -> None:
    predicted = run(script(GOOD + WRITE), steps=(3, 1), arguments={"shift": 0.05})
    x = np.asarray(predicted.adata.X)
    n = len(x) // 2
    np.testing.assert_allclose(x[n:] - x[:n], 0.1, rtol=1e-4)
    path = predicted.write(tmp_path / "p.h5ad")
    with pytest.raises(UsageError, match="1, 3"):
        quick_score(path)
    assert quick_score(path, step=3).n_scored == 28


def test_nothing_is_left_behind_in_the_working_directory(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    run(script(GOOD + WRITE))
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("predictions = predictions[:-1].copy()", "another number of rows"),
        ("predictions = predictions[:, :-1].copy()", "other genes"),
        ("predictions.var_names = ['X' + g for g in predictions.var_names]", "other genes"),
        ("predictions.X[2, 3] = np.nan", "missing or infinite"),
        ("predictions.X[2, 3] = np.inf", "missing or infinite"),
        ("predictions = predictions[::-1].copy()", "another order"),
        ("predictions.obs = predictions.obs[[]]", "does not say what each row predicts"),
        ("predictions.X = None", "no X"),
        ("predictions.X = predictions.X > 3", "does not hold numbers"),
        ("predictions.obs.iloc[0, 1] = '1.6'", "mislabelled"),
    ],
)
def test_predictions_that_are_not_what_was_asked_for(change: str, message: str) -> None:
    predictions, requests, genes = asked_for()
    scope = {"predictions": predictions, "np": np}
    exec(change, scope)  # noqa: S102
    with pytest.raises(InvalidDataError, match=message) as caught:
        checked_answers(scope["predictions"], requests, genes)
    assert caught.value.expected


def asked_for() -> tuple[Any, pd.DataFrame, list[str]]:
    """Return good answers, as a program leaves them, what was asked for, and the genes."""
    import anndata

    names = [f"obs_{i}" for i in range(4)]
    requests = pd.DataFrame(
        {
            "perturbation": ["A", "B", "A,B", "NA"],
            "expression_level_after_perturbation": ["1.5", "nan", "1.5,nan", "2"],
            "prediction_timescale": 1,
        },
        index=names,
    )
    read = pd.read_csv(io.StringIO(requests.to_csv()), index_col=0)
    genes = ["A", "B", "C", "NA", "E"]
    x = np.arange(20.0).reshape(4, 5)
    return anndata.AnnData(X=x, obs=read, var=pd.DataFrame(index=genes)), requests, genes


def test_labels_may_have_been_through_a_csv_file() -> None:
    predictions, requests, genes = asked_for()
    np.testing.assert_array_equal(checked_answers(predictions, requests, genes), predictions.X)
    predictions.obs["prediction_timescale"] = 1.0
    checked_answers(predictions, requests, genes)


def test_genes_in_another_order_are_matched_by_name() -> None:
    predictions, requests, genes = asked_for()
    turned = checked_answers(predictions[:, ::-1].copy(), requests, genes)
    np.testing.assert_array_equal(turned, predictions.X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "X, obs = X[:-1], {name: column[:-1] for name, column in obs.items()}",
            "another number of rows",
        ),
        ("X[2, 3] = np.nan", "missing or infinite"),
    ],
)
def test_a_program_that_predicts_something_else(script: Any, change: str, message: str) -> None:
    said, _ = failure(script(GOOD + change + WRITE))
    assert message in said


def test_a_crash_shows_the_end_of_the_output(script: Any, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.txt"
    said, notes = failure(script("print('loading')\nraise SystemError('no such layer')"), log=log)
    assert "exit code 1" in said
    assert "no such layer" in notes
    assert "loading" in log.read_text()


@pytest.mark.parametrize(
    ("end", "message", "got"),
    [
        ("", "wrote no predictions.h5ad", "kwargs.json"),
        ("path.mkdir()", "is no file", "a folder"),
        ("path.symlink_to('/etc/hosts')", "is no file", "a link"),
        ("os.mkfifo(path)", "is no file", "a pipe"),
        ("path.write_text('a,b')", "cannot be read", "is a text file"),
        ("path.touch()", "cannot be read", "is empty"),
        ("shutil.rmtree(path.parent)", "removed the folder", ""),
    ],
)
def test_a_program_that_writes_nothing_or_something_else(
    script: Any, end: str, message: str, got: str
) -> None:
    begin = (
        "import os, pathlib, shutil, sys\npath = pathlib.Path(sys.argv[1], 'predictions.h5ad')\n"
    )
    said, _ = failure(script(begin + end))
    assert message in said
    assert got in said
    assert "downloaded" not in said


def test_answers_that_are_refused_are_kept(script: Any, temporary: Path) -> None:
    said, notes = failure(script(GOOD + "X[2, 3] = np.nan" + WRITE))
    assert "missing or infinite" in said
    (folder,) = temporary.glob("pereggrn-*/from_to_docker")
    assert f"its folder is kept: {folder}" in notes
    assert (folder / "predictions.h5ad").is_file()


def test_nothing_is_kept_without_answers(script: Any, temporary: Path) -> None:
    failure(script("raise SystemExit(3)"))
    run(script(GOOD + "(folder / 'deep').mkdir(mode=0o500)" + WRITE))
    assert list(temporary.iterdir()) == []


def test_a_folder_to_keep(script: Any, temporary: Path, tmp_path: Path) -> None:
    keep = tmp_path / "runs" / "one"
    run(script("print('hello', flush=True)\n" + GOOD + WRITE), keep=keep)
    assert (keep / "predictions.h5ad").is_file()
    assert "hello" in (keep / "log.txt").read_text()
    with pytest.raises(UsageError, match="something in it"):
        run("true {dir}", keep=keep)
    again = run(f"cp {keep}/predictions.h5ad {{dir}}/", keep=None)
    assert again.adata.n_obs == 84


def test_what_cannot_be_removed_is_named(
    script: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    made = run(script(GOOD + WRITE))
    (left,) = temporary.iterdir()
    assert any(str(left) in note and "could not be removed" in note for note in made.notes)


def test_a_repeated_gene_name_is_said_once(script: Any, recwarn: Any) -> None:
    said, _ = failure(script(GOOD + "genes[-1] = genes[0]" + WRITE))
    assert "1 more than once" in said
    assert not [w for w in recwarn if "not unique" in str(w.message)]


def test_a_program_that_hangs_ends_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    # A shell is up at once, also on a busy machine, so that the time is enough to say that.
    hangs = f"sh -c 'sleep 600 & echo $! > \"{pid_file}\"; echo waiting; wait' {{dir}}"
    said, notes = failure(hangs, time_limit=2.0)
    assert "within 2 seconds" in said
    assert "waiting" in notes
    assert ended(int(pid_file.read_text()))


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet collected by whoever inherited it."""
    for _ in range(50):
        status = Path(f"/proc/{pid}/stat")
        try:
            os.kill(pid, 0)
            if status.is_file() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce RLIMIT_AS")
def test_memory_is_limited(script: Any) -> None:
    said, notes = failure(script("x = bytearray(4 * 10**9)"), memory_limit=10**9)
    assert "exit code 1" in said
    assert "was 1 GB of memory too little" in said
    assert "MemoryError" in notes


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python my_model.py", "where the folder goes"),
        ("python 'my_model.py {dir}", "cannot be read"),
        ("no-such-program {dir}", "no program"),
        ("", "where the folder goes"),
        ("true {dir} > log.txt", "No shell reads the command, so > "),
        ("true {dir} 2>&1", "so 2>&1 would"),
        ("true {dir} >>log", "so >>log would"),
        ("true < {dir}", "so < would"),
        ("true {dir} | tee x", "so | would"),
        ("true {dir} && true", "so && would"),
        ("true {dir} &", "so & would"),
        ("true {dir}; true", "so {dir}; would"),
    ],
)
def test_commands_that_cannot_run(command: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(command)


def test_no_shell_reads_the_command(script: Any, tmp_path: Path) -> None:
    victim = tmp_path / "made by a shell"
    command = script(GOOD + WRITE) + f" ';' touch '{victim}' $(touch '{victim}') \">\" '|'"
    run(command)
    assert not victim.exists()


def test_words_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/my home")
    split = split_command("true ~/m.py --out={dir} it\\'s ~x", Path("/f o"))
    assert split == ["true", "/my home/m.py", "--out=/f o", "it's", "~x"]
    assert split_command(["true", "a > b", ">", "{dir}"], Path("/f")) == [
        "true",
        "a > b",
        ">",
        "/f",
    ]
    program = Program(command=["python", "my model.py", "{dir}"])
    assert program.name == "python 'my model.py' '{dir}'"


@pytest.mark.parametrize("limit", [None, 10**9])
@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("echo hello", 0o755, "#!"),
        ("#!/no/such/interpreter\n", 0o755, "not there"),
        ("#!/bin/sh\nno-such-command-here\n", 0o755, "not there"),
    ],
)
def test_programs_that_the_system_cannot_start(
    tmp_path: Path, limit: int | None, text: str, mode: int, message: str
) -> None:
    path = tmp_path / "it.sh"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(UsageError, match=message):
        run(f"'{path}' {{dir}}", memory_limit=limit)


def test_a_program_is_a_command_or_a_container_within_limits() -> None:
    for arguments in ({}, {"command": "a {dir}", "container": "b"}):
        with pytest.raises(UsageError, match="a command, a container or an adapter"):
            Program(**arguments)  # type: ignore[arg-type]
    for limits in ({"time_limit": 0}, {"time_limit": float("nan")}, {"memory_limit": 0}):
        with pytest.raises(UsageError, match="not positive"):
            Program(command="a {dir}", **limits)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is in bytes"):
        Program(command="a {dir}", memory_limit=4)
    for wrong in (float("inf"), float("nan"), "4"):
        with pytest.raises(UsageError, match="memory limit"):
            Program(command="a {dir}", memory_limit=wrong)  # type: ignore[arg-type]
    for more in ({"command": 3}, {"command": ["a", 3]}, {"container": 3}, {"command": "a\0"}):
        with pytest.raises(UsageError, match="cannot be understood"):
            Program(**more)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be understood"):
        Program(container="a", container_arguments="--gpus=all")
    with pytest.raises(UsageError, match="there is no container"):
        Program(command="a {dir}", container_arguments=["--gpus=all"])
    with pytest.raises(UnknownNameError, match="podmann"):
        Program(container="a", runtime="podmann")
    with pytest.raises(UsageError, match="Program\\(command="):
        pereggrn_data.predict("demo", program="a {dir}")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="held-out"):
        pereggrn_data.predict(
            "demo", program=Program(command="a {dir}"), starting_expression="heldout"
        )


def documented(tmp_path: Path) -> str:
    """Return a command with the program of docs/howto/your_own_model.md, as it stands there."""
    page = Path(__file__).resolve().parents[3] / "docs/howto/your_own_model.md"
    program = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert len([line for line in program.splitlines() if line.strip()]) <= 20
    (tmp_path / "my_model.py").write_text(program)
    return f"'{sys.executable}' '{tmp_path}/my_model.py' {{dir}}"


def test_the_model_of_the_documentation_runs(tmp_path: Path) -> None:
    made = run(documented(tmp_path))
    report = quick_score(made.adata)
    assert report.n_scored == 28
    value = report.metrics["mae"].value
    assert value is not None
    assert np.isfinite(value)


def test_the_model_of_the_documentation_reads_every_label(tmp_path: Path) -> None:
    import anndata

    genes = ["1", "2", "04", "NA", "None", "nan", "1e3"]
    labels = ["ctrl"] * 4 + genes + ["1,2", "04,NA"]
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": [label == "ctrl" for label in labels],
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": [
                "nan" if label == "ctrl" else ",".join("0" for _ in label.split(","))
                for label in labels
            ],
        },
        index=[f"o{i}" for i in range(len(labels))],
    )
    x = np.arange(len(labels) * len(genes), dtype=float).reshape(len(labels), -1) % 7 + 0.5
    data = anndata.AnnData(X=x, obs=obs, var=pd.DataFrame(index=genes))
    data.var["highly_variable_rank"] = np.arange(len(genes))
    data.raw = data.copy()
    data.uns["perturbed_and_measured_genes"] = genes
    data.uns["perturbed_but_not_measured_genes"] = []
    for seed in (0, 1):  # each label is held out by one of them, or nearly
        options = pereggrn_data.SplitOptions(seed=seed, heldout_fraction=0.6)
        made = pereggrn_data.predict(
            data, program=Program(command=documented(tmp_path)), split_options=options
        )
        assert np.isfinite(np.asarray(made.adata.X)).all()
