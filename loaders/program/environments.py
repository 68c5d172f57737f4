"""Environments of adapters: made once by uv from a lock, kept in the cache, never ours.

An environment lies in the cache under the name of its adapter and the checksum of what it
was made from, so that a changed lock gets a new one. It is whole when its mark is there,
which is written last: what an interrupted run has left is made again. Once made, it needs
neither uv nor a connection.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.adapters import Adapter
from pereggrn_data.core.errors import (
    MissingExtraError,
    MissingFileError,
    NetworkError,
    PereggrnError,
    UsageError,
)
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.core.version import software
from pereggrn_data.loaders.cache import Cache, free_bytes
from pereggrn_data.loaders.program.commands import last_lines, run_limited
from pereggrn_data.loaders.program.processes import endings_noted

FOLDER, MARK = "adapters", "made.json"
LONGEST = 7200.0
"""Seconds that installing may take; a connection that hangs ends then."""

_VERSION = re.compile(r"[0-9]+\.[0-9]+")
_UNREACHED = re.compile(
    r"failed to fetch|error sending request|dns error|could not connect|connection (?:refused|"
    r"reset)|connectivity is disabled|timed out|failed to download",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ProgramEnvironment:
    """Where the packages of an adapter are, or would be.

    Parameters
    ----------
    adapter
        Whose they are.
    folder
        Of the environment.
    """

    adapter: Adapter
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def is_made(self) -> bool:
        """Whether it is there and whole."""
        return (self.folder / MARK).is_file() and self.python.exists()

    def command(self, folder: Path) -> list[str]:
        """Return what runs the program on the folder of an exchange.

        Isolated (``-I``), so that neither the user's packages nor the program's own folder
        come before those of the environment.
        """
        return [str(self.python), "-I", str(self.adapter.program), str(folder)]


def environment_of(adapter: Adapter, cache: Cache) -> ProgramEnvironment:
    """Return the environment of an adapter, made or not.

    Raises
    ------
    MissingFileError
        If the adapter has no lock.
    """
    try:
        locked = adapter.lock.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(
            f"The adapter {adapter.name} has no lock.",
            expected=str(adapter.lock),
            fix=f"make it: pereggrn-eval adapters lock {adapter.program}",
        ) from None
    digest = hashlib.sha256(adapter.requires_python.encode() + b"\0" + locked).hexdigest()[:16]
    return ProgramEnvironment(adapter, cache.root / FOLDER / f"{adapter.name}-{digest}")


def require_environment(adapter: Adapter, cache: Cache) -> ProgramEnvironment:
    """Return the environment of an adapter, which has to be there.

    Raises
    ------
    UsageError
        If it was not made yet: what it would take, and how to make it.
    """
    found = environment_of(adapter, cache)
    if not found.is_made:
        raise UsageError(
            f"The environment of the adapter {adapter.name} is not installed.",
            details=adapter.lines,
            fix=f"pereggrn-eval adapters install {shown(adapter)} (or --yes with predict).",
        )
    return found


def shown(adapter: Adapter) -> str:
    """Return how users name an adapter: its name, or the path of one that is not ours."""
    from pereggrn_data.adapters import adapters

    return adapter.name if adapter in adapters() else str(adapter.program)


def make_environment(adapter: Adapter, cache: Cache) -> ProgramEnvironment:
    """Make the environment of an adapter, if it is not there.

    Raises
    ------
    MissingExtraError
        If there is no uv.
    NetworkError
        If packages cannot be fetched.
    UsageError
        If there is no room, or no such Python, or uv fails otherwise.
    """
    made = environment_of(adapter, cache)
    if made.is_made:
        return made
    uv = find_uv()
    cache.make_folder(made.folder.parent)
    if (free := free_bytes(made.folder.parent)) < adapter.size_bytes:
        raise UsageError(
            f"There is no room for the environment of {adapter.name}.",
            expected=f"{adapter.size} in {made.folder.parent}",
            got=f"{free / 1e9:.1f} GB free",
            fix="make room, or name another folder by PEREGGRN_CACHE.",
        )
    with cache.locked(f"adapter-{made.folder.name}"):
        if environment_of(adapter, cache).is_made:  # by the process that we have waited for
            return made
        log = made.folder.parent / f"{made.folder.name}.log"
        # A half of an environment is taken away, links of uv's cache included.
        shutil.rmtree(made.folder, ignore_errors=True)
        place = ["--directory", str(made.folder.parent)]
        wanted = ["--python", adapter.requires_python]
        _run_uv([uv, "venv", "--no-project", *place, *wanted, str(made.folder)], log, adapter)
        sync = [uv, "pip", "sync", "--require-hashes", *place]
        _run_uv([*sync, "--python", str(made.python), str(adapter.lock)], log, adapter)
        mark = {"adapter": adapter.name, "lock": adapter.lock.name, "software": software()}
        cache.write_text(dumps(mark) + "\n", made.folder / MARK)
        log.unlink(missing_ok=True)
    return made


def write_lock(adapter: Adapter) -> Path:
    """Write the lock beside a program: all packages, for every system, with checksums.

    It names no server: packages come from wherever uv is told to look.

    Raises
    ------
    MissingExtraError, NetworkError, UsageError
        As :func:`make_environment`.
    """
    version = _VERSION.search(adapter.requires_python)
    if version is None:
        raise UsageError(
            f"requires-python of {adapter.program.name} names no version.",
            expected='for example "==3.11.*"',
            got=repr(adapter.requires_python),
        )
    command = [
        *(find_uv(), "pip", "compile", str(adapter.program), "--universal", "--generate-hashes"),
        *("--python-version", version[0], "--no-annotate", "--no-header", "--upgrade"),
        *("--no-emit-index-url", "--no-emit-find-links", "--output-file", str(adapter.lock)),
    ]
    if adapter.exclude_newer is not None:
        command += ["--exclude-newer", adapter.exclude_newer]
    log = adapter.lock.with_suffix(".log")
    _run_uv(command, log, adapter)
    log.unlink(missing_ok=True)
    return adapter.lock


def find_uv() -> str:
    """Return the path of uv: the one on the PATH, or that of the extra ``adapters``.

    Raises
    ------
    MissingExtraError
        If there is none.
    """
    if (found := shutil.which("uv")) is not None:
        return found
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        raise MissingExtraError(
            "There is no uv, which makes the environments of adapters.",
            expected="uv on the PATH, or the extra `adapters`",
            fix="pip install 'pereggrn-data[adapters]'",
        ) from None


def _run_uv(command: list[str], log: Path, adapter: Adapter) -> None:
    with endings_noted() as endings:
        ended = run_limited(command, log, seconds=LONGEST, check=endings.check)
    if ended.returncode == 0 and not ended.timed_out:
        return
    said = last_lines(log)
    error: PereggrnError
    if ended.timed_out or _UNREACHED.search(said):
        error = NetworkError(
            f"Packages of the adapter {adapter.name} could not be fetched.",
            got="no end within two hours" if ended.timed_out else None,
            fix="where there is a connection, run pereggrn-eval adapters install "
            f"{shown(adapter)} with PEREGGRN_CACHE on a folder that this machine sees, too, "
            "or fill uv's cache there; uv heeds UV_INDEX_URL, UV_FIND_LINKS and proxies.",
        )
    else:
        error = UsageError(
            f"uv could not make the environment of the adapter {adapter.name}.",
            expected=f"Python {adapter.requires_python} and the packages of {adapter.lock.name}",
            fix="the end of what uv says tells why; all of it is in " + str(log) + ".",
        )
    error.add_note("the end of what uv says:")
    for line in said.splitlines():
        error.add_note(f"  {line}")
    raise error
