"""What fetching costs, measured against a local server: bytes, requests, transfers.

Makes an archive of about 300 MB, serves it from this machine, and measures one
dataset out of it, a second run after a kill, and ten processes at once.

    python benchmarks/fetch.py
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from archive_server import ArchiveServer

RECORD = "15048156"
MEMBERS, MEMBER_BYTES = 60, 5_000_000
COMMAND = [
    sys.executable,
    "-c",
    "from pereggrn_data.cli.data import main; main()",
    "fetch",
]


def make_archive(path: Path) -> int:
    """Write the archive and return the compressed size of norman."""
    rng = random.Random(0)  # noqa: S311
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for i in range(MEMBERS):
            name = "norman" if i == MEMBERS // 2 else f"other{i}"
            data = b"\x89HDF\r\n\x1a\n" + rng.randbytes(MEMBER_BYTES)
            out.writestr(f"perturbation_data/perturbations/{name}/test.h5ad", data)
        return out.getinfo("perturbation_data/perturbations/norman/test.h5ad").compress_size


def start(cache: Path, server: ArchiveServer) -> subprocess.Popen[bytes]:
    """Fetch norman in another process."""
    environment = {
        **os.environ,
        "PEREGGRN_CACHE": str(cache),
        "PEREGGRN_BASE_URL": server.url,
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.Popen([*COMMAND, "norman", "--quiet"], env=environment, stdout=-3)


def one(cache: Path, server: ArchiveServer) -> float:
    """Fetch once and return the seconds."""
    started = time.perf_counter()
    if start(cache, server).wait():
        raise SystemExit("fetching failed")
    return time.perf_counter() - started


def killed(cache: Path, server: ArchiveServer) -> int:
    """Kill a fetch half-way and return the bytes that had arrived."""
    server.faults.bytes_per_second = 4_000_000
    process = start(cache, server)
    while not (parts := list((cache / RECORD / "parts").glob("*.part"))) or (
        parts[0].stat().st_size < MEMBER_BYTES // 2
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.faults.bytes_per_second = None
    return parts[0].stat().st_size


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "perturbation_data.zip"
        member = make_archive(path)
        server = ArchiveServer({RECORD: {"perturbation_data.zip": path}})
        with server.running():
            seconds = one(Path(folder) / "one", server)
            print(f"archive: {path.stat().st_size:,} bytes, {MEMBERS} members")
            print(f"member, compressed: {member:,} bytes")
            print(
                f"one dataset: {server.bytes_sent():,} bytes, {len(server.seen)} requests, "
                f"{server.bytes_sent() - member:,} bytes more than the member, {seconds:.1f} s"
            )
            arrived = killed(Path(folder) / "two", server)
            server.seen.clear()
            one(Path(folder) / "two", server)
            print(
                f"after a kill at {arrived:,} bytes: the second run transfers "
                f"{server.bytes_sent():,} bytes in {len(server.seen)} requests"
            )
            server.seen.clear()
            processes = [start(Path(folder) / "ten", server) for _ in range(10)]
            codes = [p.wait() for p in processes]
            transfers = sum(s.sent >= member for s in server.seen)
            print(
                f"ten processes: exit codes {sorted(set(codes))}, transfers: {transfers}, "
                f"{len(server.seen)} requests, {server.bytes_sent():,} bytes"
            )


if __name__ == "__main__":
    main()
