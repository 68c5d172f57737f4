"""Locks have an end where they may be left over, and say which file it is."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.cache import process_locks
from pereggrn_data.loaders.cache.folders import NOWHERE, Cache, open_cache
from pereggrn_data.loaders.cache.process_locks import has_flock, one_of_locks


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_flock_is_found(tmp_path: Path) -> None:
    assert has_flock(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_flock")
def test_its_absence_is_found(tmp_path: Path) -> None:
    assert not has_flock(tmp_path)


@pytest.mark.usefixtures("no_flock")
def test_files_that_flock_left_are_no_locks(tmp_path: Path) -> None:
    cache, said = Cache(tmp_path), []
    folder = tmp_path / ".locks"
    folder.mkdir()
    (folder / "x.lock").touch()
    cache = Cache(tmp_path, said.append)
    with cache.locked("x"):
        names = sorted(p.name for p in folder.iterdir())
        assert names == ["x.lock", "x.lock.held", "x.lock.held.holder"]
    assert [p.name for p in folder.iterdir()] == ["x.lock"]
    assert not said


@pytest.mark.usefixtures("no_flock")
@pytest.mark.parametrize("n", [1, 2])
def test_the_wait_ends(n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_locks, "LONGEST_WAIT", 0.3)
    files = [tmp_path / f"{i}.lock" for i in range(n)]
    for file in files:
        # As a process on another machine writes it, of which nobody can know whether it lives.
        file.with_name(file.name + ".held").write_text("1\nanother-machine\n")
    said: list[str] = []
    with (
        pytest.raises(UsageError, match=r"0\.lock\.held.*there since \d{4}-\d\d-\d\d") as ended,
        one_of_locks(files, waiting_for="the lock", say=said.append),
    ):
        pytest.fail("it was taken")
    assert "remove the file" in str(ended.value)
    assert len(said) == 1
    assert "0.lock.held" in said[0]


def test_the_first_that_is_free_is_taken(tmp_path: Path) -> None:
    said: list[str] = []
    held, free = tmp_path / "a.lock", tmp_path / "b.lock"
    with (
        one_of_locks([held], waiting_for="it", say=said.append),
        one_of_locks([held, free], waiting_for="it", say=said.append),
    ):
        assert not said


@pytest.mark.parametrize("named", [None, "~/cache"])
def test_no_home(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that runs as a user its system does not know."""

    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "XDG_CACHE_HOME", "PEREGGRN_CACHE"):
        monkeypatch.delenv(name, raising=False)
    if named:
        monkeypatch.setenv("PEREGGRN_CACHE", named)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    cache = open_cache()
    assert cache.root == NOWHERE
    assert cache.records() == []
    with pytest.raises(UsageError, match=f"user id {os.getuid()} is not known"):
        cache.make_folder(cache.root)
    with pytest.raises(UsageError, match="PEREGGRN_CACHE"), cache.locked("x"):
        pytest.fail("there is nothing to lock")
