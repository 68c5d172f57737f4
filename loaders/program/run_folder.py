"""The folder in which a program works: made for one run, and kept or removed after it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.files.any_file import user_path
from pereggrn_data.loaders.program.exchange import ANSWERS
from pereggrn_data.loaders.program.processes import Endings, endings_noted

NAME, LOG = "from_to_docker", "log.txt"


@dataclass
class RunFolder:
    """Where a program works.

    Parameters
    ----------
    folder
        Of the exchange.
    log
        Gets the program's output.
    endings
        Whether we have been told to end meanwhile.
    kept
        Whether it stays although the run failed.
    left
        What could not be removed afterwards.
    """

    folder: Path
    log: Path
    endings: Endings
    kept: bool = False
    left: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know afterwards."""
        if self.kept:
            return (f"its folder is kept: {self.folder}",)
        if self.left is not None:
            return (
                f"{self.left} could not be removed: some of it belongs to another user "
                f"(a container that ran as root?). Remove it with: sudo rm -r {self.left}",
            )
        return ()


def check_can_keep(keep: str | Path) -> Path:
    """Return the path of a folder that is to be kept.

    Raises
    ------
    UsageError
        If it is a file, or has something in it.
    """
    path = Path(os.path.abspath(user_path(keep)))  # noqa: PTH100 - symlinks stay as given
    if path.is_dir() and not any(path.iterdir()):
        return path
    if os.path.lexists(path):
        raise UsageError(
            f"The program's folder cannot be {path}.",
            expected="--keep with a folder that is empty, or not there yet",
            got="a folder with something in it" if path.is_dir() else "no folder",
        )
    return path


@contextmanager
def open_run_folder(keep: str | Path | None, log: str | Path | None) -> Iterator[RunFolder]:
    """Give a program an empty folder.

    It is removed afterwards, also when SIGTERM or SIGHUP ends us, unless it is to
    be kept, or has answers that are refused: they may have taken long to make.

    Parameters
    ----------
    keep
        The folder, which stays; by default a temporary one.
    log
        Gets the output; by default a file beside the folder, or in the kept one.

    Raises
    ------
    UsageError
        If the folder cannot be made.
    """
    with endings_noted() as endings:
        above, folder = _made(keep)
        default = (folder if keep is not None else above) / LOG
        place = RunFolder(folder, default if log is None else user_path(log), endings)
        stays = keep is not None
        failed: Exception | None = None
        try:
            yield place
        except Exception as error:
            failed = error
            stays = stays or os.path.lexists(folder / ANSWERS)
            place.kept = stays
            raise
        finally:
            if not stays and not _removed(above):
                place.left = above
            if failed is not None:
                for note in place.notes:
                    failed.add_note(note)


def _made(keep: str | Path | None) -> tuple[Path, Path]:
    try:
        if keep is not None:
            folder = check_can_keep(keep)
            folder.mkdir(parents=True, exist_ok=True)
            return folder.parent, folder
        above = Path(tempfile.mkdtemp(prefix="pereggrn-"))
        (above / NAME).mkdir()
        return above, above / NAME
    except OSError as error:
        raise UsageError(
            "The program's folder cannot be made.",
            got=str(error),
            fix="set TMPDIR, or --keep, to a folder where you may write.",
        ) from error


def _removed(folder: Path) -> bool:
    """Remove a folder, also where a program has taken rights from itself."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for path, inside, _ in os.walk(folder):
            for sub in (Path(path) / name for name in inside):
                facts = sub.lstat()
                if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid():
                    sub.chmod(stat.S_IRWXU)
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
