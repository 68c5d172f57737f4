"""A full disk, or SIGKILL, after each call that names a file: never half a result.

Whatever happens, what is at the target is complete, or nothing; a full disk is said in a few
lines, with exit code 2; and the next run goes on as if nothing had been.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer
from archives import RECORD, stand_in

from pereggrn_data.core.errors import ExitCode
from pereggrn_data.loaders.files.any_file import integrity, writing

RUNNER = Path(__file__).resolve().parents[1] / "fault_runner.py"
CONTENT = stand_in("norman", 200_000)
SAMPLE = 2
"""Calls that are tried in the normal suite; the slow tests try all."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits files")
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[ArchiveServer]:
    path = place / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("perturbations/norman/test.h5ad", CONTENT)
    with ArchiveServer({RECORD: {path.name: path}}).running() as server:
        yield server


@pytest.fixture(scope="module")
def run(place: Path, server: ArchiveServer) -> Iterator[Run]:
    for name in ("home", "cache", "tmp"):
        (place / name).mkdir()
    environment = {
        **os.environ, "HOME": str(place / "home"), "PEREGGRN_CACHE": str(place / "cache"),
        "TMPDIR": str(place / "tmp"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "NO_PROXY": "127.0.0.1", "PEREGGRN_BASE_URL": server.url,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(RUNNER), str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip

    def ask(program: str, *arguments: object, at: int = 10**9, kind: str = "none") -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        words = [str(a) for a in arguments]
        asked = {"program": program, "arguments": words, "at": at, "kind": kind}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.communicate()


@pytest.fixture(scope="module")
def made(run: Run, place: Path) -> Path:
    """A split with predictions, to go on from."""
    folder = place / "made"
    for arguments in (
        ("split", "demo", "-o", folder / "split"),
        ("predict", "demo", "-m", "mean", "-o", folder / "p.h5ad"),
    ):
        done = run("pereggrn-eval", *arguments)
        assert done["code"] == 0, done
    return folder


def is_whole(folder: Path, manifest: str) -> bool:
    """Say whether a folder holds a complete result; it must hold all of it or no manifest."""
    if not (folder / manifest).exists():
        return False
    parts = writing.recorded_parts(json.loads((folder / manifest).read_text("utf-8")))
    assert parts
    for name, sha256 in parts.items():
        assert integrity.sha256_of_file(folder / name) == sha256, name
    return True


def visible(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def check(done: dict[str, Any], kind: str, complete: bool, target: object) -> None:
    assert "Traceback" not in done["said"], done
    if kind == "kill":
        assert done["code"] in (0, -9), done
    elif not complete:
        assert done["code"] == ExitCode.USAGE, done
        assert "error: " in done["said"], done
        assert "No space left" in done["said"] or "File too large" in done["said"], done
    else:
        assert done["code"] in (0, ExitCode.USAGE), done
    if done["code"] == 0:
        assert complete, (target, done)


def points(calls: int, *, all_of_them: bool) -> list[int]:
    assert calls > 0
    if all_of_them:
        return list(range(calls))
    return sorted({calls * k // SAMPLE for k in range(SAMPLE)} | {calls - 1})


VERBS = ("split", "split over another", "score", "predict")
KINDS = ("kill", "full")
CASES = [
    pytest.param("split over another", "full", False, marks=pytest.mark.slow),
    pytest.param("predict", "kill", False, marks=pytest.mark.slow),
    *(
        pytest.param(verb, kind, True, marks=(pytest.mark.slow, pytest.mark.trial))
        for verb, kind in itertools.product(VERBS, KINDS)
    ),
]


@pytest.mark.parametrize(("verb", "kind", "every"), CASES)
def test_all_or_nothing(
    run: Run, made: Path, place: Path, verb: str, kind: str, every: bool
) -> None:
    out = place / "out"
    arguments: dict[str, tuple[object, ...]] = {
        "split": ("split", "demo", "-o", out),
        "split over another": ("split", "demo", "--seed", 1, "-o", out),
        "score": (
            "score",
            made / "p.h5ad",
            "--split",
            made / "split" / "split.json",
            "-o",
            out,
            "--draws",
            200,
        ),
        "predict": ("predict", "demo", "-m", "mean", "-o", out / "q.h5ad"),
    }
    manifest = {"score": "summary.json", "predict": "q.h5ad"}.get(verb, "split.json")

    def complete() -> bool:
        if verb == "predict":
            return (out / manifest).exists()
        return is_whole(out, manifest)

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)
        if verb == "split over another":
            shutil.copytree(made / "split", out)

    prepare()
    done = run("pereggrn-eval", *arguments[verb])
    assert complete(), done
    calls = done["calls"]
    names = visible(out)
    for at in points(calls, all_of_them=every):
        prepare()
        done = run("pereggrn-eval", *arguments[verb], at=at, kind=kind)
        check(done, kind, complete(), (verb, at))
        if verb != "split over another" and kind == "full" and not complete():
            assert not visible(out), (verb, at)
        done = run("pereggrn-eval", *arguments[verb])
        assert (done["code"], complete()) == (0, True), (verb, at, done)
        assert visible(out) == names
        left = sorted(p.name for p in out.iterdir())
        assert left == names, "nothing is left of the run before"


@pytest.mark.slow
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.trial)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fetch_is_complete_or_not_there(
    run: Run, place: Path, kind: str, *, every: bool
) -> None:
    cache = place / "cache"
    target = cache / RECORD / "perturbations" / "norman" / "test.h5ad"

    def complete() -> bool:
        if not target.exists():
            return False
        assert target.read_bytes() == CONTENT
        return True

    shutil.rmtree(cache, ignore_errors=True)
    calls = run("pereggrn-data", "fetch", "norman")["calls"]
    assert complete()
    for at in points(calls, all_of_them=every):
        shutil.rmtree(cache)
        done = run("pereggrn-data", "fetch", "norman", at=at, kind=kind)
        check(done, kind, complete(), at)
        for verb in ("fetch", "verify"):
            done = run("pereggrn-data", verb, "norman")
            assert (done["code"], complete()) == (0, True), (at, done)
        assert not list(cache.rglob("*.part*")), at
        assert not [p for p in cache.rglob("*") if p.suffix == ".unpacking"], at
