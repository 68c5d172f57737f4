"""Containers that forecast: the command lines of their runtimes, with a stand-in for Docker."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pereggrn_data
from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    PereggrnError,
    UnknownNameError,
    UsageError,
)
from pereggrn_data.loaders.program.commands import Finished
from pereggrn_data.loaders.program.containers import container_run
from pereggrn_data.pipelines.predict.external import failure_of
from pereggrn_data.pipelines.predict.model_options import Program


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
    other = container_run("i", Path("/x"), extra=["--gpus all", "--network=bridge", "--user=0"])
    assert other.arguments[-5:] == ("--gpus", "all", "--network=bridge", "--user=0", "i")
    assert "none" not in other.arguments
    assert "HOME=/tmp" not in other.arguments
    assert other.name != made.name
    assert "sudo" not in other.arguments


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--gpus all", ["--gpus", "all"]),
        ("-e A=b c", ["-e", "A=b c"]),
        ("--env=A=b c", ["--env=A=b c"]),
        ("--gpus=all", ["--gpus=all"]),
    ],
)
def test_an_argument_with_its_value(given: str, words: list[str]) -> None:
    assert (
        list(container_run("i", Path("/x"), extra=[given]).arguments[-len(words) - 1 : -1])
        == words
    )
    assert "none" not in container_run("i", Path("/x"), extra=["--network host"]).arguments


@pytest.mark.parametrize("runtime", ["apptainer", "singularity"])
def test_arguments_of_apptainer(runtime: str, tmp_path: Path) -> None:
    image = tmp_path / "model.sif"
    image.touch()
    made = container_run(str(image), Path("/x"), runtime=runtime, extra=["--nv"])
    assert made.arguments == (
        *(runtime, "run", "--containall", "--bind", "/x:/from_to_docker", "--pwd", "/"),
        *("--net", "--network", "none", "--nv", str(image)),
    )
    by_name = container_run("me/model", Path("/x"), runtime=runtime, memory_bytes=10)
    assert by_name.arguments[-3:] == ("--memory", "10", "docker://me/model")
    online = container_run("i", Path("/x"), runtime=runtime, extra=["--net=false"])
    assert online.arguments[-2:] == ("--net=false", "docker://i")
    assert "none" not in online.arguments
    address = container_run("oras://a/B:c", Path("/x"), runtime=runtime)
    assert address.arguments[-1] == "oras://a/B:c"


def test_images_that_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.sif").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    made = container_run("~/model.sif", Path("/x"), runtime="apptainer")
    assert made.arguments[-1] == str(tmp_path / "model.sif")
    monkeypatch.chdir(tmp_path)
    assert container_run("model.sif", Path("/x"), runtime="apptainer").arguments[-1] == "model.sif"
    for missing in ("no.sif", "./model", "../x/model", "~/model", "/x/model"):
        with pytest.raises(MissingFileError, match="no file"):
            container_run(missing, Path("/x"), runtime="apptainer")
    for path in ("model.sif", "./model.sif"):
        with pytest.raises(UsageError, match="--runtime apptainer"):
            container_run(path, Path("/x"))


@pytest.mark.parametrize(
    "image",
    [
        "me/model",
        "model:1.0-b",
        "ghcr.io/me/my_model:Tag",
        "localhost:5000/a/b",
        "0123456789ab",
        "me/model@sha256:" + "0" * 64,
    ],
)
def test_names_of_images(image: str) -> None:
    assert container_run(image, Path("/x")).arguments[-1] == image
    by_apptainer = container_run(image, Path("/x"), runtime="apptainer")
    assert by_apptainer.arguments[-1] == f"docker://{image}"


@pytest.mark.parametrize(
    "image", ["", " ", "img name", "IMG:Tag", "--privileged", "a:b:c", "a//b"]
)
@pytest.mark.parametrize("runtime", ["docker", "apptainer"])
def test_what_is_no_name_of_an_image(image: str, runtime: str) -> None:
    with pytest.raises(UsageError, match="not the name of an image"):
        container_run(image, Path("/x"), runtime=runtime)


def test_containers_that_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="podmann"):
        container_run("i", Path("/x"), runtime="podmann")
    for runtime, folder in (("docker", "/a,b"), ("apptainer", "/a:b"), ("apptainer", "/a,b")):
        with pytest.raises(UsageError, match="cannot be given") as caught:
            container_run("i", Path(folder), runtime=runtime)
        assert "TMPDIR" in str(caught.value)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PereggrnError, match="no program 'docker'") as missing:
        pereggrn_data.predict("demo", program=Program(container="me/model"))
    assert "install docker" in str(missing.value)
    assert "--runtime" in str(missing.value)


@pytest.mark.parametrize(
    ("code", "memory", "kind", "message"),
    [
        (125, None, UsageError, "Docker itself failed"),
        (126, None, UsageError, "cannot be executed"),
        (127, None, UsageError, "was not found"),
        (137, 2e9, InvalidDataError, "was 2 GB of memory too little for the container"),
        (137, None, InvalidDataError, "out of memory"),
        (1, None, InvalidDataError, "exit code 1"),
    ],
)
def test_exit_codes_of_docker(
    code: int, memory: float | None, kind: type[PereggrnError], message: str
) -> None:
    program = Program(container="me/model", memory_limit=memory)
    failure = failure_of(program, Finished(code, timed_out=False, seconds=1))
    assert type(failure) is kind
    assert message in str(failure)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a stand-in for docker on the PATH, and return where it writes its calls."""

    def make(script: str) -> Path:
        calls = tmp_path / "calls"
        stand_in = tmp_path / "bin" / "docker"
        stand_in.parent.mkdir()
        stand_in.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{script}')
        stand_in.chmod(0o755)
        monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
        return calls

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return make


MEANS = """
import anndata, pandas, pathlib, sys
folder = pathlib.Path(sys.argv[1])
train = anndata.read_h5ad(folder / "train.h5ad")
wanted = pandas.read_csv(folder / "predictions_metadata.csv", index_col=0)
X = (train.X.mean(axis=0) + pandas.DataFrame(0, wanted.index, train.var_names)).to_numpy()
predictions = anndata.AnnData(X, obs=wanted, var=train.var[[]])
predictions.write_h5ad(folder / "predictions.h5ad")
"""


def test_a_container_runs_and_is_ended_by_name(docker: Any, tmp_path: Path) -> None:
    """With a stand-in that runs the model on the mounted folder."""
    model = tmp_path / "inside.py"
    model.write_text(MEANS)
    calls = docker(
        '[ "$1" = kill ] && exit 0\n'
        'while [ "$1" != "--mount" ]; do shift; done\n'
        "folder=${2#*source=}; folder=${folder%%,*}\n"
        'for last; do :; done\n[ "$last" = hangs ] && sleep 600\n'
        f'exec {sys.executable} -W ignore {model} "$folder"\n'
    )
    made = pereggrn_data.predict("demo", program=Program(container="me/model"))
    assert made.model == "me/model"
    assert made.adata.n_obs == 84
    with pytest.raises(InvalidDataError, match="it and all it had started were ended"):
        pereggrn_data.predict("demo", program=Program(container="hangs", time_limit=0.5))
    *_, started, killed = calls.read_text().splitlines()
    assert killed == "kill " + started.split("--name ")[1].split()[0]


def test_a_container_that_cannot_be_ended_is_named(docker: Any) -> None:
    docker('[ "$1" = kill ] && { echo "permission denied" >&2; exit 1; }\nsleep 600\n')
    with pytest.raises(InvalidDataError, match="may still be running") as caught:
        pereggrn_data.predict("demo", program=Program(container="hangs", time_limit=0.5))
    assert "the container pereggrn-" in str(caught.value)
    assert "permission denied" in str(caught.value)


def test_what_docker_says_is_shown(docker: Any) -> None:
    docker('echo "docker: unknown flag: --gpu" >&2; exit 125\n')
    with pytest.raises(UsageError, match="Docker itself failed") as caught:
        pereggrn_data.predict("demo", program=Program(container="me/model"))
    assert "unknown flag" in "\n".join(caught.value.__notes__)
