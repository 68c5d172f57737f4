"""Whose a cache is: modes, links in the place of files, a cache that may only be read."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from archive_server import ArchiveServer
from archives import RECORD
from service_fixtures import FAST, Ran

from pereggrn_data.catalog import LockedArchive
from pereggrn_data.core.errors import IntegrityError, UsageError
from pereggrn_data.loaders.archive.transfer import ByteSpan, NoProgress, Transfer
from pereggrn_data.loaders.cache import Cache, HashStore, open_cache
from pereggrn_data.loaders.cache.unlinked import open_new, open_old, read_small
from pereggrn_data.loaders.remote import Http, RemoteFile
from pereggrn_data.pipelines.collection import fetch

Serve = Callable[..., ArchiveServer]
Command = Callable[..., Ran]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*")}


@pytest.mark.parametrize("mask", [0o077, 0o022])
def test_the_umask_is_respected(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, mask: int
) -> None:
    serve(archives)
    with umask(mask):
        fetch("nakatake")
    found = modes(cache_folder)
    assert f"{RECORD}/perturbations/nakatake/test.h5ad" in found
    assert not {path: oct(mode) for path, mode in found.items() if mode & mask}


def test_a_group_shares_what_is_asked_for(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    cache_folder.mkdir()
    cache_folder.chmod(0o2770)
    theirs = cache_folder / RECORD
    theirs.mkdir()
    theirs.chmod(0o700)
    with umask(0o077):
        fetch("nakatake")
    found = modes(cache_folder)
    assert found.pop(RECORD) == 0o700, "modes of what others made are not changed"
    for path, mode in found.items():
        wanted = 0o2070 if (cache_folder / path).is_dir() else 0o060
        assert mode & wanted == wanted, (path, oct(mode))
        assert not mode & 0o007, (path, oct(mode))


def transfer_of(cache: Cache) -> Transfer:
    archive = LockedArchive(key="a.zip", size=9, md5=None, link=None)
    file = RemoteFile(Http(FAST, offline=True), ["http://127.0.0.1:9/x"])
    part = cache.part("1", "a", 0, 9)
    span = ByteSpan(file.links[0], 0, 9)
    return Transfer(file, archive, span, part, lambda _: None, NoProgress(), cache)


def test_links_in_the_place_of_parts_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    begun = transfer_of(Cache(tmp_path / "cache"))
    begun.part.parent.mkdir(parents=True)
    for link in (begun.part, begun.sidecar):
        link.symlink_to(precious)
        with pytest.raises(UsageError, match="is a link"):
            open_old(link)
    with pytest.raises(UsageError, match="is a link"):
        read_small(begun.sidecar)
    with open_new(begun.sidecar) as file:
        file.write(b"{}")
    assert not begun.sidecar.is_symlink()
    assert precious.read_text() == "mine"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder in ("1/parts", ".locks"):
        cache = Cache(tmp_path / f"cache of {folder[-5:]}")
        (cache.root / folder).parent.mkdir(parents=True)
        (cache.root / folder).symlink_to(elsewhere)
        with pytest.raises(UsageError, match="is a link"):
            transfer_of(cache) if folder == "1/parts" else cache.pace(0)
    assert not list(elsewhere.iterdir())


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no file"):
        open_old(tmp_path / "pipe")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"format_version": 1, "files": []}',
        b'{"format_version": 1, "files": {"a": {"sha256": 3, "size": 1, "mtime_ns": 1,'
        b' "origin": "lock", "recorded": "x"}}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_record_of_checksums_is_named(
    cache_folder: Path, command: Command, content: bytes
) -> None:
    place = cache_folder / RECORD / "hashes.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"hashes\.json is damaged"):
        HashStore(Cache(cache_folder), RECORD).all()
    ran = command("verify")
    assert (ran.code, str(place) in ran.err) == (4, True)


def test_no_such_user(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setenv("PEREGGRN_CACHE", "~nosuchuser/cache")
    assert "there is no user 'nosuchuser'" in str(open_cache().nowhere)
    assert command("list").code == 0
    ran = command("fetch", "nakatake", "--offline")
    assert ran.code in (2, 3)


READ_ONLY = """
import ctypes, os, sys
if os.geteuid() == 0:  # root without its powers: modes hold for it, too
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()):
        sys.exit(99)
from pereggrn_data.cli.data import main
sys.argv[:] = ["pereggrn-data", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="takes the powers of root by capset")
def test_a_cache_that_may_only_be_read(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    fetch("nakatake")
    try:
        for path in [cache_folder, *cache_folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = {p: p.stat().st_mtime_ns for p in cache_folder.rglob("*")}
        asked = {
            ("fetch", "nakatake"): 0,
            ("verify",): 0,
            ("list",): 0,
            ("path", "nakatake"): 0,
            ("fetch", "norman"): 2,
            ("cache", "clean", "nakatake", "--yes"): 2,
        }
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        started = {
            words: subprocess.Popen(
                [sys.executable, "-c", READ_ONLY, *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for words in asked
        }
        said = {words: process.communicate() for words, process in started.items()}
        found = {words: process.returncode for words, process in started.items()}
        if set(found.values()) == {99}:
            pytest.skip("the powers of root cannot be laid down here")
        assert found == asked, said
        assert not [err for _, err in said.values() if "Traceback" in err]
        assert before == {p: p.stat().st_mtime_ns for p in cache_folder.rglob("*")}
    finally:
        for path in [cache_folder, *cache_folder.rglob("*")]:
            path.chmod(0o755)


HOLDER = """
import sys, time
from pathlib import Path
from pereggrn_data.loaders.cache import Cache, process_locks
process_locks.BETWEEN_SIGNS = 0.1
with Cache(Path(sys.argv[1])).locked("x"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_stopped_holder_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at work is waited for, and says who it is; one that is stopped is not, and is named."""
    import signal

    said: list[str] = []
    cache = Cache(tmp_path, said.append)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        stopping = time.monotonic() + 1.5
        monkeypatch.setenv("PEREGGRN_LOCK_WAIT", "0.7")

        def stop() -> None:
            time.sleep(1.5)
            process.send_signal(signal.SIGSTOP)

        import threading

        thread = threading.Thread(target=stop)
        thread.start()
        with (
            pytest.raises(UsageError, match=rf"process {process.pid}.* since \d{{4}}") as ended,
            cache.locked("x", waiting_for="the lock"),
        ):
            pytest.fail("it was taken")
        thread.join()
        assert time.monotonic() > stopping, "while it gave signs of life it was waited for"
        assert "kill -CONT" in str(ended.value)
        assert f"waiting for the lock: held by process {process.pid}" in said[0]
    finally:
        process.kill()
        process.communicate()
    with cache.locked("x"):
        holder = json.loads((tmp_path / ".locks" / "x.lock.holder").read_text())
        assert holder["process"] == os.getpid()
    assert not list((tmp_path / ".locks").glob("*.holder"))


def test_the_time_to_wait_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from pereggrn_data.loaders.cache.process_locks import longest_wait

    monkeypatch.setenv("PEREGGRN_LOCK_WAIT", "7")
    assert longest_wait() == 7
    for text in ("soon", "-1", "nan", "inf"):
        monkeypatch.setenv("PEREGGRN_LOCK_WAIT", text)
        with pytest.raises(UsageError, match="PEREGGRN_LOCK_WAIT"):
            longest_wait()
