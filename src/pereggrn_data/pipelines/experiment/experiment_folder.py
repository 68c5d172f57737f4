"""The folder of a run: where each condition's files lie, and which of them are finished."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pereggrn_data.core.strict_json import dumps
from pereggrn_data.loaders.cache import one_of_locks
from pereggrn_data.loaders.files.any_file import write_text

CONDITIONS, SPLITS = "conditions", "splits"
CONDITIONS_CSV, LOCK_FILE = "conditions.csv", "experiment.lock.json"
DONE, ERROR = "done.json", "error.json"
PREDICTIONS = "predictions.h5ad"
_OUR_LOCK = ".lock"


@dataclass(frozen=True)
class ExperimentFolder:
    """Where a run is written.

    Parameters
    ----------
    path
        The folder.
    """

    path: Path

    def condition(self, key: str) -> Path:
        """Return the folder of a condition, by its hash."""
        return self.path / CONDITIONS / key

    def split(self, key: str) -> Path:
        """Return the folder of what the conditions of one split share."""
        return self.path / SPLITS / key

    @staticmethod
    def step(condition: Path, step: int) -> Path:
        """Return the folder of a condition's scores after some steps."""
        return condition / f"step_{step}"

    def done(self, key: str) -> dict[str, Any] | None:
        """Return what the done-file of a condition says; None where it is not finished.

        A file that it names and that is not there, or has another size, undoes it.
        """
        folder = self.condition(key)
        said = _read(folder / DONE)
        files = said.get("files") if said is not None else None
        if said is None or not isinstance(files, Mapping):
            return None
        for name, size in files.items():
            try:
                if (folder / name).stat().st_size != size:
                    return None
            except OSError:
                return None
        return said

    def error(self, key: str) -> dict[str, Any] | None:
        """Return why a condition failed the last time; None if it did not."""
        return _read(self.condition(key) / ERROR)

    def finish(self, key: str, said: Mapping[str, Any]) -> None:
        """Write the done-file of a condition, as the last of its files and in one step."""
        folder = self.condition(key)
        files = {
            str(path.relative_to(folder)): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            and path.name not in (DONE, ERROR)
            # Hidden folders are what killed processes have left of files half written.
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        }
        write_text(dumps({**said, "files": files}) + "\n", folder / DONE, sync=True)
        (folder / ERROR).unlink(missing_ok=True)

    def fail(self, key: str, said: Mapping[str, Any]) -> None:
        """Write why a condition failed."""
        write_text(dumps(said) + "\n", self.condition(key) / ERROR)

    def undo(self, key: str) -> None:
        """Take the done-file away, first of all that is to be made anew."""
        (self.condition(key) / DONE).unlink(missing_ok=True)

    def with_same_fit(self, fit: str) -> Path | None:
        """Return finished predictions of the same fit, whatever they were scored by."""
        folder = self.path / CONDITIONS
        if not folder.is_dir():
            return None
        for other in sorted(folder.iterdir()):
            said = self.done(other.name)
            if said is not None and said.get("fit") == fit:
                return other / PREDICTIONS
        return None

    @contextmanager
    def locked(self, key: str | None = None) -> Iterator[None]:
        """Keep other processes from the same condition, or from the tables of the run."""
        folder = self.path if key is None else self.condition(key)
        folder.mkdir(parents=True, exist_ok=True)
        what = "the tables of this run" if key is None else f"condition {key}"
        with one_of_locks([folder / _OUR_LOCK], waiting_for=what, say=lambda _: None):
            yield


def place(source: Path, target: Path) -> None:
    """Show a file under another name, without a copy where the disk knows how."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        if target.samefile(source):
            return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
