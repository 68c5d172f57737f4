"""Which lock is in force: the one that is named, PEREGGRN_LOCK on its own release, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import ArchiveServer
from archives import RECORD
from service_fixtures import Ran

from pereggrn_data.catalog import load_catalog
from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError
from pereggrn_data.loaders.archive import LOCK_VARIABLE, lock_in_force
from pereggrn_data.pipelines.collection import fetch

Serve = Callable[..., ArchiveServer]
Command = Callable[..., Ran]
OTHER = "13345104"


def lock_file(path: Path, record: str) -> Path:
    values = {"format_version": 1, "record": record, "resolved": "2026-01-01", "archives": []}
    path.write_text(json.dumps(values))
    return path


def test_the_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, said = load_catalog().release(RECORD), list[str]()
    shipped = load_catalog().locks.get(RECORD)
    own, other = (lock_file(tmp_path / f"{r}.json", r) for r in (RECORD, OTHER))
    monkeypatch.delenv(LOCK_VARIABLE, raising=False)
    assert lock_in_force(release, None, said.append) is shipped
    given = lock_in_force(release, own, said.append)
    assert given is not None
    assert given.record == RECORD
    with pytest.raises(UsageError, match="of another release"):
        lock_in_force(release, other, said.append)
    monkeypatch.setenv(LOCK_VARIABLE, str(own))
    assert lock_in_force(release, None, said.append) == given
    assert said == []
    monkeypatch.setenv(LOCK_VARIABLE, str(other))
    assert lock_in_force(release, own, said.append) == given
    assert said == []
    assert lock_in_force(release, None, said.append) is shipped
    assert said == [
        f"{LOCK_VARIABLE} names a lock of release {OTHER}: it is not enforced on release {RECORD}."
    ]


def test_a_setting_that_names_no_lock_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = load_catalog().release(RECORD)
    monkeypatch.setenv(LOCK_VARIABLE, str(tmp_path / "none.json"))
    with pytest.raises(MissingFileError, match=r"none\.json"):
        lock_in_force(release, None, lambda _: None)
    (tmp_path / "none.json").write_text("{")
    with pytest.raises(InvalidDataError, match="not JSON that can be read"):
        lock_in_force(release, None, lambda _: None)


def test_a_standing_lock_of_another_release_stops_nothing_that_does_not_use_it(
    serve: Serve,
    archives: dict[str, Path],
    cache_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    serve(archives)
    monkeypatch.setenv(LOCK_VARIABLE, str(lock_file(tmp_path / "lock.json", OTHER)))
    ran = command("fetch", "demo")
    assert (ran.code, "nothing to fetch" in ran.err) == (0, True)
    ran = command("verify")
    assert (ran.code, "There is nothing in the cache" in ran.err) == (0, True)
    note = f"not enforced on release {RECORD}"
    ran = command("fetch", "nakatake", "--quiet")
    assert (ran.code, ran.err.count(note)) == (0, 1)
    for arguments in (["verify"], ["verify", "nakatake"], ["verify", "nakatake", "nakatake"]):
        ran = command(*arguments)
        assert (ran.code, ran.err.count(note), "first seen" in ran.out) == (0, 1, True)
    for arguments in (["list"], ["info", "nakatake"], ["path", "nakatake"], ["doctor"]):
        assert command(*arguments).code == 0


def test_a_standing_lock_is_enforced_on_its_own_release(
    serve: Serve,
    archives: dict[str, Path],
    cache_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    serve(archives)
    fetch("nakatake")
    lock = tmp_path / "lock.json"
    assert command("lock", "--output", str(lock)).code == 0
    monkeypatch.setenv(LOCK_VARIABLE, str(lock))
    (fetched,) = fetch("nakatake")
    assert fetched.files[0].origin == "lock"
    values = json.loads(lock.read_text())
    for member in (m for a in values["archives"] for m in a["members"] or ()):
        member["sha256"] = member["sha256"] and "0" * 64
    lock.write_text(json.dumps(values))
    assert command("verify").code == 4
    assert command("verify", "nakatake").code == 4
    assert command("fetch", "nakatake").code == 4
    assert command("fetch", "demo").code == 0
