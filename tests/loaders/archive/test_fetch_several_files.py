"""Entries of several files: killed while unpacking, nothing is brought twice or left behind."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from archives import RECORD, stand_in
from test_fetch import Command, Serve, target

from pereggrn_data.loaders.archive import member_download
from pereggrn_data.loaders.archive.zip_member import unpack
from pereggrn_data.pipelines.collection import fetch

FILES = ("train.h5ad", "test.h5ad", "screen.csv")


class KilledError(BaseException):
    """Stands for a signal that no code of ours sees."""


@pytest.fixture
def series(tmp_path: Path) -> Path:
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        out.writestr("perturbations/fantom4/train.h5ad", stand_in("train", 900_000))
        out.writestr("perturbations/fantom4/test.h5ad", stand_in("test", 900_000))
        out.writestr("perturbations/fantom4/screen.csv", b"gene,effect\n")
    return path


@pytest.mark.parametrize("unpacked_before", [0, 1, 2])
def test_what_was_brought_before_a_kill_is_not_brought_again(
    serve: Serve,
    series: Path,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    unpacked_before: int,
) -> None:
    server = serve({"perturbation_data.zip": series})
    calls: list[object] = []

    def killed(*given: object) -> object:
        calls.append(given)
        if len(calls) > unpacked_before:
            raise KilledError
        return unpack(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(member_download, "unpack", killed)
    with pytest.raises(KilledError):
        fetch("fantom4")
    assert len(list(cache_folder.rglob("fantom4/*"))) == unpacked_before
    monkeypatch.undo()
    monkeypatch.setenv("PEREGGRN_CACHE", str(cache_folder))
    monkeypatch.setenv("PEREGGRN_BASE_URL", server.url)
    server.seen.clear()
    fetch("fantom4")
    assert server.file_requests() == [], "all raw bytes were here"
    assert {p.name for p in target(cache_folder, "fantom4").parent.iterdir()} == set(FILES)
    assert not list((cache_folder / RECORD / "parts").iterdir())


def test_one_lost_file_is_brought_alone(serve: Serve, series: Path, cache_folder: Path) -> None:
    server = serve({"perturbation_data.zip": series})
    fetch("fantom4")
    target(cache_folder, "fantom4", "screen.csv").unlink()
    server.seen.clear()
    fetch("fantom4")
    assert server.bytes_sent() < 1_000


def test_files_are_unpacked_apart_from_the_entry(
    serve: Serve, series: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve({"perturbation_data.zip": series})
    direct = cache_folder / RECORD / "perturbations" / "fantom4"
    seen: list[set[str]] = []

    def watched(*given: object) -> object:
        seen.append({p.name for p in direct.iterdir()})
        return unpack(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(member_download, "unpack", watched)
    fetch("fantom4")
    assert [len(names) for names in seen] == [0, 1, 2]
    assert {p.name for p in direct.iterdir()} == set(FILES)


def test_leftovers_of_killed_processes_are_cleaned(
    serve: Serve, series: Path, cache_folder: Path, command: Command
) -> None:
    serve({"perturbation_data.zip": series})
    fetch("fantom4")
    stray = target(cache_folder, "fantom4").with_name("tmpab12_x9z")
    stray.write_bytes(b"half")
    ran = command("cache", "clean", "--yes")
    assert (ran.code, stray.exists()) == (0, False)
    assert str(stray) in ran.err
    assert target(cache_folder, "fantom4").exists()
