"""Programs and containers that forecast: what they are given, and what happens when they fail."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UnknownNameError, UsageError
from pereggrn_data.loaders.containers import container_run
from pereggrn_data.pipelines.external import checked_answers
from pereggrn_data.pipelines.model_options import Program

GOOD = """
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
"""
WRITE = '\npredictions.write_h5ad(folder / "predictions.h5ad")\n'


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
    predicted = run(script(GOOD + WRITE))
    train = pereggrn_data.split("demo").train
    expected = np.asarray(train.X).mean(axis=0)
    np.testing.assert_allclose(predicted.adata.X[0], expected, rtol=1e-6)
    report = pereggrn_data.score(predicted.write(tmp_path / "p.h5ad"))
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


def test_steps_of_a_program_are_told_apart(script: Any, tmp_path: Path) -> None:
    predicted = run(script(GOOD + WRITE), steps=(3, 1), arguments={"shift": 0.05})
    x = np.asarray(predicted.adata.X)
    n = len(x) // 2
    np.testing.assert_allclose(x[n:] - x[:n], 0.1, rtol=1e-4)
    path = predicted.write(tmp_path / "p.h5ad")
    with pytest.raises(UsageError, match="1, 3"):
        pereggrn_data.score(path)
    assert pereggrn_data.score(path, step=3).n_scored == 28


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
        ("predictions = predictions[:-1].copy()", "another number of rows"),
        ("predictions.X[2, 3] = np.nan", "missing or infinite"),
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


def test_a_program_that_writes_nothing_or_something_else(script: Any) -> None:
    said, _ = failure(script("print('done')"))
    assert "wrote no predictions.h5ad" in said
    said, _ = failure(
        script("import sys, pathlib\n(pathlib.Path(sys.argv[1]) / 'predictions.h5ad').mkdir()")
    )
    assert "wrote no predictions.h5ad" in said
    said, _ = failure(
        script(
            "import sys, pathlib\n"
            "(pathlib.Path(sys.argv[1]) / 'predictions.h5ad').write_text('a,b')"
        )
    )
    assert "not an HDF5 file" in said
    said, _ = failure(
        script("import sys, os\nos.symlink('/etc/hosts', sys.argv[1] + '/predictions.h5ad')")
    )
    assert "wrote no predictions.h5ad" in said


def test_a_program_that_hangs_ends_with_all_that_it_started(script: Any, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    hangs = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "print('waiting', flush=True)\n"
        "time.sleep(600)\n"
    )
    began = time.monotonic()
    said, notes = failure(script(hangs), time_limit=2.0)
    assert time.monotonic() - began < 30
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
    assert "MemoryError" in notes


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python my_model.py", "where the folder goes"),
        ("python 'my_model.py {dir}", "cannot be read"),
        ("no-such-program {dir}", "no program"),
        ("", "where the folder goes"),
    ],
)
def test_commands_that_cannot_run(command: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(command)


def test_no_shell_reads_the_command(script: Any, tmp_path: Path) -> None:
    victim = tmp_path / "made by a shell"
    command = script(GOOD + WRITE) + f" ; touch '{victim}' $(touch '{victim}')"
    run(command)
    assert not victim.exists()


def test_a_program_is_a_command_or_a_container_within_limits() -> None:
    for arguments in ({}, {"command": "a {dir}", "container": "b"}):
        with pytest.raises(UsageError, match="either a command or a container"):
            Program(**arguments)  # type: ignore[arg-type]
    for limits in ({"time_limit": 0}, {"time_limit": float("nan")}, {"memory_limit": 0}):
        with pytest.raises(UsageError, match="not positive"):
            Program(command="a {dir}", **limits)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="held-out"):
        pereggrn_data.predict(
            "demo", program=Program(command="a {dir}"), starting_expression="heldout"
        )


def test_arguments_of_docker() -> None:
    made = container_run("me/model:1", Path("/mine/from_to_docker"), memory_bytes=4_000_000_000)
    assert made.arguments == (
        *("docker", "run", "--rm", "--name", made.name),
        *("--mount", "type=bind,source=/mine/from_to_docker,destination=/from_to_docker"),
        *("--security-opt", "no-new-privileges"),
        *("--network", "none"),
        *("--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp"),
        *("--memory", "4000000000", "--memory-swap", "4000000000"),
        "me/model:1",
    )
    other = container_run("i", Path("/x"), extra=["--gpus=all", "--network=bridge", "--user=0"])
    assert other.arguments[-4:] == ("--gpus=all", "--network=bridge", "--user=0", "i")
    assert "none" not in other.arguments
    assert "HOME=/tmp" not in other.arguments
    assert other.name != made.name
    assert "sudo" not in other.arguments


@pytest.mark.parametrize("runtime", ["apptainer", "singularity"])
def test_arguments_of_apptainer(runtime: str, tmp_path: Path) -> None:
    image = tmp_path / "model.sif"
    image.touch()
    made = container_run(str(image), Path("/x"), runtime=runtime, extra=["--nv"])
    assert made.arguments == (
        *(runtime, "run", "--containall", "--bind", "/x:/from_to_docker", "--pwd", "/"),
        *("--nv", str(image)),
    )
    by_name = container_run("me/model", Path("/x"), runtime=runtime, memory_bytes=10)
    assert by_name.arguments[-3:] == ("--memory", "10", "docker://me/model")


def test_containers_that_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="podmann"):
        container_run("i", Path("/x"), runtime="podmann")
    for image, folder in (("", "/x"), ("--privileged", "/x"), ("i", "/a,b")):
        with pytest.raises(UsageError, match="cannot be run"):
            container_run(image, Path(folder))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PereggrnError, match="no program 'docker'"):
        pereggrn_data.predict("demo", program=Program(container="me/model"))


def test_a_container_runs_and_is_ended_by_name(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for docker that runs the model on the mounted folder."""
    model = tmp_path / "inside.py"
    model.write_text(GOOD + WRITE)
    calls = tmp_path / "calls"
    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\n[ "$1" = kill ] && exit 0\n'
        'while [ "$1" != "--mount" ]; do shift; done\n'
        "folder=${2#*source=}; folder=${folder%%,*}\n"
        f'for last; do :; done\n[ "$last" = hangs ] && sleep 600\n'
        f'exec {sys.executable} -W ignore {model} "$folder"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    made = pereggrn_data.predict("demo", program=Program(container="me/model"))
    assert made.model == "me/model"
    assert made.adata.n_obs == 84
    with pytest.raises(InvalidDataError, match="did not end in time"):
        pereggrn_data.predict("demo", program=Program(container="hangs", time_limit=1.0))
    *_, started, killed = calls.read_text().splitlines()
    assert killed == "kill " + started.split("--name ")[1].split()[0]


def test_the_model_of_the_documentation_runs(tmp_path: Path) -> None:
    """The program of docs/your_own_model.md, as it stands there."""
    page = Path(__file__).resolve().parent.parent / "docs" / "your_own_model.md"
    program = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 20
    (tmp_path / "my_model.py").write_text(program)
    made = run(f"'{sys.executable}' '{tmp_path}/my_model.py' {{dir}}")
    report = pereggrn_data.score(made.adata)
    assert report.n_scored == 28
    value = report.metrics["mae"].value
    assert value is not None
    assert np.isfinite(value)
