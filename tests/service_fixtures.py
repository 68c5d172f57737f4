"""Fixtures that run commands, and the local server for them; a plugin, loaded by conftest.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from archive_server import ArchiveServer, Faults
from archives import RECORD, make_archives

from pereggrn_data.loaders.remote import HttpSettings

FAST = HttpSettings(
    connect_timeout=5, read_timeout=4, tries=4, backoff=0.01, longest_wait=3, api_interval=0
)


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> dict[str, Path]:
    return make_archives(tmp_path_factory.mktemp("archives"), shared)


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("PEREGGRN_CACHE", str(folder))
    monkeypatch.setattr("pereggrn_data.pipelines.collection.service.HttpSettings", lambda: FAST)
    for name in ("PEREGGRN_RELEASE", "PEREGGRN_LOCK", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture
def serve(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ArchiveServer]]:
    """Start a server with these files in the default record, and talk to it from now on."""
    with ExitStack() as stack:

        def start(
            files: dict[str, Path],
            faults: Faults | None = None,
            record: str = RECORD,
            **kw: object,
        ) -> ArchiveServer:
            made = ArchiveServer({record: files}, faults=faults, **kw)  # type: ignore[arg-type]
            server = stack.enter_context(made.running())
            monkeypatch.setenv("PEREGGRN_BASE_URL", server.url)
            return server

        yield start


@pytest.fixture
def command(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run `pereggrn-data` in this process, as its console script would."""
    from pereggrn_data.cli.data import main

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["pereggrn-data", *arguments])
        return ran(main, capsys)

    return run


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run `pereggrn-eval` in this process and in an empty folder."""
    from pereggrn_data.cli.evaluate.evaluate_app import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pereggrn-eval", *map(str, arguments)])
        done = ran(main, capsys)
        return done.code, done.out, done.err

    return call


def ran(main: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> Ran:
    """Call a console script, and return what it printed and its exit code."""
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    captured = capsys.readouterr()
    return Ran(code, captured.out, captured.err)
