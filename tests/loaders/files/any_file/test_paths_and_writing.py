"""Paths that are no readable file, and places that cannot be written to."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from pereggrn_data import open_network, validate
from pereggrn_data.core.errors import ExitCode, MissingFileError, PereggrnError, UsageError
from pereggrn_data.loaders.files.any_file.user_paths import existing_file, existing_path, user_path
from pereggrn_data.loaders.files.any_file.writing import (
    check_writable,
    write_table,
    write_text,
    written_in_one_step,
)
from pereggrn_data.loaders.files.datasets.anndata_files import write_h5ad, write_unfilled_h5ad
from pereggrn_data.loaders.files.split_files import read_split
from pereggrn_data.pipelines.collection import find_dataset, open_dataset

Make = Callable[[], AnnData]


def fifo(folder: Path) -> str:
    os.mkfifo(folder / "pipe.h5ad")
    return str(folder / "pipe.h5ad")


BAD_PATHS: dict[str, Callable[[Path], str]] = {
    "fifo": fifo,
    "folder": lambda folder: f"{folder}/",
    "long": lambda folder: f"{folder}/{'x' * 300}.h5ad",
    "no such user": lambda _: "~nosuchuser/x.h5ad",
    "memory": lambda _: "/proc/self/mem",
    "device": lambda _: "/dev/zero",
    "null": lambda folder: f"{folder}/a\0b.h5ad",
    "below a file": lambda _: f"{__file__}/x.h5ad",
    "missing": lambda folder: f"{folder}/x.h5ad",
}
READERS: dict[str, Callable[[str], object]] = {
    "validate": validate,
    "open_dataset": open_dataset,
    "read_split": lambda path: read_split(Path(path)),
    "open_network": open_network,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", BAD_PATHS)
def test_what_is_no_file(tmp_path: Path, kind: str, reader: str) -> None:
    path = BAD_PATHS[kind](tmp_path)
    with pytest.raises(UsageError) as caught:
        READERS[reader](path)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("kind", BAD_PATHS)
def test_path_that_a_template_names(tmp_path: Path, kind: str) -> None:
    """A stranger may have written it: it was tried, and nothing is told of what lies there."""
    with pytest.raises(UsageError, match="is not here") as caught:
        find_dataset("other", "1" * 64, BAD_PATHS[kind](tmp_path))
    assert "which is not the promised file" in str(caught.value.got)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "A path is empty"),
        ("https://example.org/a.h5ad", "https://example.org/a.h5ad is an address"),
        (Path("s3://bucket/a.h5ad"), "s3://bucket/a.h5ad is an address"),
        ("file:///data/a.h5ad", "leave out what is in front"),
    ],
)
def test_what_is_no_path(text: str | Path, message: str) -> None:
    for read in (existing_path, validate, open_network):
        with pytest.raises(MissingFileError, match=message):
            read(text)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    path.write_text("x")
    path.chmod(0)
    with pytest.raises(MissingFileError, match="cannot be read"):
        existing_file(path)


def test_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").write_text("x")
    assert existing_file("~/x") == tmp_path / "x" == user_path("~/x")
    assert existing_path("~") == tmp_path
    assert existing_path("~/y") is None


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let writing fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


FRAME = pd.DataFrame({"x": np.random.default_rng(0).random(20_000)})
WRITERS: dict[str, Callable[[Path, Make], object]] = {
    "a.txt": lambda path, _: write_text("x" * 200_000, path),
    "a.csv": lambda path, _: write_table(FRAME, path),
    "a.parquet": lambda path, _: write_table(FRAME, path),
    "a.h5ad": lambda path, make: write_h5ad(make(), path),
    "b.h5ad": lambda path, make: write_unfilled_h5ad(path, obs=make().obs, var=make().var, uns={}),
}


PLACES = ("below a file", "proc", "full disk", "folder of that name")
CASES = [
    (name, place)
    for name in WRITERS
    for place in PLACES
    # HDF5 tries again when it is collected, and complains to no one: see the next test.
    if (place, Path(name).suffix) != ("full disk", ".h5ad")
]


@pytest.mark.parametrize(("name", "place"), CASES)
def test_unwritable(tmp_path: Path, small_dataset: Make, name: str, place: str) -> None:
    (tmp_path / "file").write_text("x")
    folder = {"below a file": tmp_path / "file", "proc": Path("/proc/x")}.get(place, tmp_path)
    if place == "folder of that name":
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.iterdir())
    write = WRITERS[name]
    limit = largest_file(3000) if place == "full disk" else nullcontext()
    with limit, pytest.raises(UsageError, match="cannot be written") as caught:
        write(folder / name, small_dataset)
    assert caught.value.got
    assert caught.value.fix
    assert sorted(tmp_path.iterdir()) == before


def test_full_disk_as_hdf5_says_it(tmp_path: Path) -> None:
    def write(errno: str) -> None:
        with written_in_one_step(tmp_path / "a.h5ad") as temporary:
            temporary.write_text("x")
            raise RuntimeError(f"Set slist enabled failed (file write failed: {errno}buf = 0x5)")

    with pytest.raises(UsageError, match="No space left"):
        write("errno = 28, ")
    with pytest.raises(RuntimeError, match="slist"):
        write("")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    write_text("old", path)

    def fail() -> None:
        with written_in_one_step(path) as temporary:
            temporary.write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["x.txt"]


def test_check_writable(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "x", Path("/proc/x")):
        with pytest.raises(UsageError, match="cannot be written"):
            check_writable(folder)


def test_collection_variable_stops_only_what_needs_it(
    tmp_path: Path, small_dataset: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from pereggrn_data.cli.evaluate import evaluate_app as evaluate

    path = tmp_path / "d.h5ad"
    small_dataset().write_h5ad(path)
    pd.DataFrame({"regulator": ["A"], "target": ["B"]}).to_parquet(tmp_path / "n.parquet")
    monkeypatch.setenv("PEREGGRN_COLLECTION", "/nonexist")
    given = ["split", str(path), "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(evaluate.app, given).exit_code == 0
    assert open_network(str(tmp_path / "n.parquet")).n_edges == 1
    opened = open_dataset(str(path))
    assert find_dataset("other", opened.sha256, str(path)).sha256 == opened.sha256
    with pytest.raises(PereggrnError, match="PEREGGRN_COLLECTION names /nonexist"):
        open_dataset("other")
    result = CliRunner().invoke(evaluate.app, ["split", "other"])
    assert "PEREGGRN_COLLECTION names /nonexist" in str(result.exception)
    with pytest.raises(PereggrnError, match="--collection names"):
        open_dataset("other", collection="/nonexist/2")


def test_an_interrupt_while_hdf5_writes_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    from pereggrn_data.loaders.files.hdf5.hdf5_files import writing_hdf5

    class Interrupted(io.FileIO):
        def write(self, *_: object) -> int:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "open", lambda self, *_, **__: Interrupted(self, "w+"))
    with pytest.raises(KeyboardInterrupt), writing_hdf5(tmp_path / "x.h5") as file:
        file["x"] = np.zeros(1000)


def test_the_bytes_of_a_file_do_not_tell_who_held_its_handles(
    tmp_path: Path, small_dataset: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the profiler of a cluster's worker does, which looks at what other threads are at."""
    import h5py

    write_h5ad(small_dataset(), tmp_path / "a.h5ad")
    held: list[h5py.Dataset] = []
    create = h5py.Group.create_dataset

    def hold(self: h5py.Group, *given: object, **more: object) -> h5py.Dataset:
        held.append(create(self, *given, **more))
        return held[-1]

    monkeypatch.setattr(h5py.Group, "create_dataset", hold)
    write_h5ad(small_dataset(), tmp_path / "b.h5ad")
    assert held
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()


def test_every_array_that_is_written_has_a_checksum(tmp_path: Path, small_dataset: Make) -> None:
    """A byte that a disk changes cannot become another number: zlib, or fletcher32, tells."""
    import h5py

    write_h5ad(small_dataset(), tmp_path / "a.h5ad")
    write_unfilled_h5ad(
        tmp_path / "b.h5ad", obs=small_dataset().obs, var=small_dataset().var, uns={}
    )
    for name in ("a.h5ad", "b.h5ad"):
        bare: list[str] = []

        def look(where: str, element: object, bare: list[str] = bare) -> None:
            is_array = isinstance(element, h5py.Dataset) and element.shape
            if is_array and not (element.compression or element.fletcher32):
                bare.append(where)

        with h5py.File(tmp_path / name, "r") as file:
            file.visititems(look)
        assert not bare


class TestFullDisk:
    PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
import anndata, numpy as np
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.files.datasets import write_h5ad

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
adata = anndata.AnnData(np.random.default_rng(0).normal(size=(200, 100)))
for limit in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_h5ad(adata, Path(sys.argv[1]))
    except UsageError as error:
        refused = str(error)
    else:
        refused = "written"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(repr(refused), os.listdir(Path(sys.argv[1]).parent))
"""
    LIMITS = (0, 100, 3_000, 50_000)

    @pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
    def test_h5ad_that_does_not_fit_is_an_error_and_no_crash(self, tmp_path: Path) -> None:
        target = tmp_path / "x.h5ad"
        done = subprocess.run(
            [sys.executable, "-c", self.PROGRAM, str(target), *map(str, self.LIMITS)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
        assert len(said) == len(self.LIMITS)
        for line in said:
            assert f"{target} cannot be written" in line
            assert "File too large" in line
            assert line.endswith(" []"), "nothing is left there"
