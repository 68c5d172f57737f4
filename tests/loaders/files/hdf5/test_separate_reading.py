"""What makes HDF5 hang, crash or flood does so in another process."""

from __future__ import annotations

import contextvars
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.foreign_reading import TRUST_VARIABLE, trust_files, trusting, trusts_files
from pereggrn_data.loaders.files.datasets import write_h5ad
from pereggrn_data.loaders.files.hdf5 import open_h5ad, separate_reading
from pereggrn_data.loaders.files.hdf5.separate_reading import Ending, look_through

pytestmark = pytest.mark.looks_through


@pytest.fixture
def file(tmp_path: Path, small_dataset: Callable[[], Any]) -> Path:
    write_h5ad(small_dataset(), tmp_path / "test.h5ad")
    return tmp_path / "test.h5ad"


def crash(path: Path) -> None:
    os.abort()


def run_on(path: Path) -> None:
    while True:
        pass


def stand_still(path: Path) -> None:
    time.sleep(600)


def flood(path: Path) -> None:
    raise MemoryError


def fail(path: Path) -> None:
    raise KeyError("a damaged element")


@pytest.mark.parametrize(
    ("walk", "ending"),
    [(crash, Ending.CRASHES), (stand_still, Ending.STANDS_STILL), (flood, Ending.MEMORY),
     (fail, Ending.FINE)],
)  # fmt: skip
def test_how_looking_through_ends(
    file: Path, monkeypatch: pytest.MonkeyPatch, walk: Callable[[Path], None], ending: Ending
) -> None:
    monkeypatch.setattr(separate_reading, "_walk", walk)
    monkeypatch.setattr(separate_reading, "PATIENCE", 0.3 if walk is stand_still else 60)
    assert separate_reading._forked(file, 1) is ending


@pytest.mark.parametrize("text", ["", "SOX2 \u2013 \u03b2", "x" * 3_000_000])
def test_text_comes_back_from_a_copy(file: Path, text: str) -> None:
    here = os.getpid()
    told = separate_reading.read_apart(file, lambda: f"{text}{os.getpid() != here}")
    assert told == (f"{text}True" if sys.platform == "linux" else None)


@pytest.mark.parametrize("read", [crash, run_on, stand_still, flood, fail])
def test_a_copy_that_comes_to_no_good_end_tells_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(separate_reading, "SECONDS_APART", 0.1)
    monkeypatch.setattr(separate_reading, "PATIENCE", 3 if read is stand_still else 600)
    monkeypatch.setattr(separate_reading, "_looked_through", {})
    assert separate_reading.read_apart(file, lambda: str(read(file))) is None
    assert not separate_reading._looked_through  # what the copy knows stays there


def test_a_copy_that_tells_too_much_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separate_reading, "MOST_TOLD", 1000)
    assert separate_reading.read_apart(file, lambda: "x" * 2000) is None


def test_the_limit_of_time_is_of_the_processor(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separate_reading, "_walk", run_on)
    monkeypatch.setattr(separate_reading, "PATIENCE", 1000)
    assert separate_reading._forked(file, 0.1) is Ending.HANGS


def test_the_limit_of_memory_holds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separate_reading, "_walk", lambda _: bytearray(4 << 30))
    assert separate_reading._forked(file, 20) is Ending.MEMORY


def test_only_a_new_process_condemns(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def spawned(path: Path, seconds: float) -> Ending:
        asked.append(path)
        return ending

    monkeypatch.setattr(separate_reading, "_forked", lambda *_: Ending.STANDS_STILL)
    monkeypatch.setattr(separate_reading, "_spawned", spawned)
    monkeypatch.setattr(separate_reading, "_looked_through", {})
    ending = Ending.CRASHES
    with pytest.raises(InvalidDataError, match="HDF5 crashes over it") as caught:
        look_through(file)
    assert "--trust" in str(caught.value.fix)
    ending = Ending.FINE
    look_through(file)
    look_through(file)
    assert asked == [file, file]  # once for each file, if it is fine


def test_a_file_that_hangs_is_not_tried_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def forked(path: Path, seconds: float) -> Ending:
        asked.append(path)
        return Ending.HANGS

    monkeypatch.setattr(separate_reading, "_forked", forked)
    monkeypatch.setattr(separate_reading, "_looked_through", {})
    for _ in range(2):
        with pytest.raises(InvalidDataError, match="does not come to an end"):
            look_through(file)
    assert asked == [file]


def test_a_new_process_looks_through_a_file(file: Path) -> None:
    assert separate_reading._spawned(file, 60) is Ending.FINE


def test_everything_is_opened_and_text_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    read = separate_reading._read_values

    def noted(values: h5py.Dataset, left: int) -> int:
        seen.append(str(values.name))
        return read(values, left)

    monkeypatch.setattr(separate_reading, "_read_values", noted)
    separate_reading._walk(file)
    with h5py.File(file) as opened:
        names: list[str] = []
        opened.visititems(lambda n, e: names.append(f"/{n}") if hasattr(e, "shape") else None)
    assert sorted(seen) == sorted(names)


def test_what_was_never_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.h5ad"
    with h5py.File(path, "w") as made:
        made.create_dataset("names", (2**40,), h5py.string_dtype(), chunks=True)
        made.create_dataset("X", (2**40, 4), np.float32, chunks=True)
    start = time.monotonic()
    separate_reading._walk(path)
    assert time.monotonic() - start < 60


def test_trusted_files_are_not_looked_through(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Ending:
        raise AssertionError("it was looked through")

    monkeypatch.setattr(separate_reading, "_forked", refuse)
    monkeypatch.setattr(separate_reading, "_looked_through", {})
    with trusting(), open_h5ad(file) as reader:
        assert reader.frame("obs", every=True)[1]
    monkeypatch.setenv(TRUST_VARIABLE, "1")
    look_through(file)
    monkeypatch.setenv(TRUST_VARIABLE, "0")
    with pytest.raises(AssertionError):
        look_through(file)


def test_trust_lasts_as_long_as_it_is_said() -> None:
    def of_a_command() -> bool:
        trust_files()
        return trusts_files()

    assert contextvars.copy_context().run(of_a_command)
    assert not trusts_files()
    with trusting(False):
        assert not trusts_files()
