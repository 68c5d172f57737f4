"""Fetching across processes: killed half-way, and ten at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import ArchiveServer, Faults
from archives import RECORD, stand_in

from pereggrn_data.loaders.archive.zip_index import TAIL
from pereggrn_data.pipelines.collection import fetch

Serve = Callable[..., ArchiveServer]
SIZE = 3_000_000


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        for name in ("nakatake", "norman"):
            out.writestr(f"perturbations/{name}/test.h5ad", stand_in(name, SIZE))
        out.writestr("perturbations/zz/test.h5ad", stand_in("zz", TAIL))
    return path


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from pereggrn_data.cli.data import main; main()"]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )


def part_of(cache_folder: Path) -> Path:
    return next(iter((cache_folder / RECORD / "parts").glob("*.part")))


def kill_half_way(server: ArchiveServer, cache_folder: Path, enough: int) -> int:
    """Start fetching norman, kill the process without warning, return what had arrived."""
    server.faults.bytes_per_second = 2_000_000
    process = start("fetch", "norman", "--quiet")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        parts = list((cache_folder / RECORD / "parts").glob("*.part"))
        if parts and parts[0].stat().st_size > enough:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.faults.bytes_per_second = None
    return part_of(cache_folder).stat().st_size


def test_a_killed_process_goes_on_where_it_stopped(
    serve: Serve, archive: Path, cache_folder: Path
) -> None:
    server = serve({"perturbation_data.zip": archive})
    arrived = kill_half_way(server, cache_folder, SIZE // 4)
    assert not list((cache_folder / RECORD).rglob("test.h5ad"))
    server.seen.clear()
    fetch("norman")
    assert sum(s.sent for s in server.seen) <= SIZE + 200 - arrived
    (path,) = (cache_folder / RECORD).rglob("test.h5ad")
    assert path.read_bytes() == stand_in("norman", SIZE)
    assert not list(cache_folder.rglob("*.part*"))


def test_a_whole_archive_goes_on_where_it_stopped_too(
    serve: Serve, archive: Path, cache_folder: Path
) -> None:
    server = serve({"perturbation_data.zip": archive}, Faults(only_rest_ranges=True))
    arrived = kill_half_way(server, cache_folder, SIZE)
    server.seen.clear()
    fetch("norman")
    last = server.file_requests()[-1]
    assert (last.range, last.status) == (f"bytes={arrived}-", 206)
    assert last.sent == archive.stat().st_size - arrived
    assert (cache_folder / RECORD / "perturbations/norman/test.h5ad").read_bytes() == stand_in(
        "norman", SIZE
    )


def test_parts_are_used_if_the_server_sends_them_now(
    serve: Serve, archive: Path, cache_folder: Path
) -> None:
    server = serve({"perturbation_data.zip": archive}, Faults(ranges=False))
    kill_half_way(server, cache_folder, SIZE // 4)
    server.faults.ranges = True  # as when another machine behind the address answers
    server.seen.clear()
    fetch("norman")
    assert all(s.range for s in server.file_requests())
    assert server.bytes_sent() < SIZE + TAIL + 1000


def test_a_whole_archive_starts_again_if_the_server_cannot_go_on(
    serve: Serve, archive: Path, cache_folder: Path
) -> None:
    server = serve({"perturbation_data.zip": archive}, Faults(ranges=False))
    kill_half_way(server, cache_folder, SIZE)
    said: list[str] = []
    fetch("norman", say=said.append)
    assert any("cannot go on" in s for s in said)
    assert (cache_folder / RECORD / "perturbations/norman/test.h5ad").read_bytes() == stand_in(
        "norman", SIZE
    )


def test_a_file_that_changed_in_between_starts_again_and_says_so(
    serve: Serve, archive: Path, cache_folder: Path
) -> None:
    server = serve({"perturbation_data.zip": archive})
    kill_half_way(server, cache_folder, SIZE // 4)
    server.version += 1  # another ETag
    said: list[str] = []
    fetch("norman", say=said.append)
    assert any("has changed at the service: starting again" in s for s in said)
    assert (cache_folder / RECORD / "perturbations/norman/test.h5ad").read_bytes() == stand_in(
        "norman", SIZE
    )


def test_processes_that_ask_at_once_transfer_once(
    serve: Serve, archive: Path, cache_folder: Path
) -> None:
    server = serve({"perturbation_data.zip": archive})
    server.faults.delay = 0.2
    processes = [start("fetch", "norman", "--quiet") for _ in range(6)]
    done = [p.communicate() for p in processes]
    assert [p.returncode for p in processes] == [0] * 6, done
    assert {out for out, _ in done} == {
        f"{cache_folder / RECORD / 'perturbations/norman/test.h5ad'}\n"
    }
    assert len(server.seen) == 3, "one each for the record, the index and the member"


def test_at_most_two_transfers_at_a_time(serve: Serve, archive: Path, cache_folder: Path) -> None:
    from service_fixtures import FAST

    names = ["nakatake", "norman", "dixit", "joung"]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
        for name in names:
            out.writestr(f"perturbations/{name}/test.h5ad", stand_in(name, TAIL))
    server = serve({"perturbation_data.zip": archive})
    fetch(names[0], settings=FAST)
    server.most_at_once = 0
    server.faults.delay = 0.3
    threads = [threading.Thread(target=fetch, args=(n,)) for n in names[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.most_at_once == 2


def test_ctrl_c_keeps_what_has_arrived(serve: Serve, archive: Path, cache_folder: Path) -> None:
    server = serve({"perturbation_data.zip": archive})
    server.faults.bytes_per_second = 2_000_000
    process = start("fetch", "norman")
    while not list((cache_folder / RECORD / "parts").glob("*.part")):
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in err
    assert part_of(cache_folder).stat().st_size > 0


@pytest.mark.slow
def test_a_member_behind_four_gigabytes(serve: Serve, tmp_path: Path, cache_folder: Path) -> None:
    """A sparse archive of 4.4 GB: its last member needs zip64 offsets, its first zip64 sizes."""
    path = sparse_zip64(tmp_path / "perturbation_data.zip", 4_400_000_000)
    assert path.stat().st_blocks * 512 < 50_000_000, "it must not really take its size"
    server = serve({"perturbation_data.zip": path})
    fetch("norman")
    assert (cache_folder / RECORD / "perturbations/norman/test.h5ad").read_bytes() == stand_in(
        "norman", 1_000_000
    )
    assert server.bytes_sent() < 1_000_000 + TAIL + 20_000
    path.unlink()


def sparse_zip64(path: Path, size: int) -> Path:
    """Write an archive with a hole of `size` bytes as its first member."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as out:
        info = zipfile.ZipInfo("perturbations/nakatake/test.h5ad")
        with out.open(info, "w", force_zip64=True) as member:
            member.write(b"\0")
        # Stretch the member by a hole: its CRC is wrong, which nobody reads.
        start_of_next = out.fp.tell() + size  # type: ignore[union-attr]
        out.fp.seek(start_of_next)  # type: ignore[union-attr]
        out.start_dir = start_of_next
        info.file_size = info.compress_size = size + 1
        out.writestr("perturbations/norman/test.h5ad", stand_in("norman", 1_000_000))
    return path
