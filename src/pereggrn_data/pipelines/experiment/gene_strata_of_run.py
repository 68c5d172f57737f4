"""Strata of genes of a finished run: every split of it, with all of its conditions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.loaders.files import read_split
from pereggrn_data.pipelines.compare import strata
from pereggrn_data.pipelines.experiment.experiment_folder import (
    CONDITIONS,
    LOCK_FILE,
    ExperimentFolder,
)

if TYPE_CHECKING:
    import pandas as pd


def is_run(path: Path) -> bool:
    """Say whether a path is the folder of a run."""
    return (path / LOCK_FILE).is_file() and (path / CONDITIONS).is_dir()


def strata_of_run(
    folder: str | Path, *, collection: str | None = None, **options: Any
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Divide genes split by split, and say what each part adds to the MAE of each condition.

    Parameters
    ----------
    folder
        Of a run that has a finished condition.
    collection
        Folder of the local collection.
    **options
        Of ``strata``: ``dataset``, ``network``, ``features`` and ``bins``.

    Returns
    -------
    DataFrame, tuple of str
        As ``strata`` returns it, with the number of the split in front. Methods are called by
        the number of their condition, their name, and the step where there are several.

    Raises
    ------
    InvalidDataError
        If the folder is not that of a run.
    UsageError
        If nothing is finished in it.
    """
    import pandas as pd

    run = ExperimentFolder(Path(folder))
    by_split: dict[str, list[str]] = {}
    for index, key in _conditions(run.path):
        said = run.done(key)
        if said is None:
            continue
        steps: Sequence[int] = said.get("steps", [1])
        for step in steps:
            name = f"{index} {said.get('method', '')}" + (f" {step}" if len(steps) > 1 else "")
            place = run.step(run.condition(key), step)
            by_split.setdefault(str(said.get("split", "")), []).append(
                f"{name.replace('=', ':')}={place}"
            )
    if not by_split:
        raise UsageError(f"Nothing is finished in {folder}.", fix="run it again.")
    tables, notes = [], {}
    for number, (key, runs) in enumerate(by_split.items()):
        split = read_split(run.split(key))
        table, said_of = strata(runs, split=split, collection=collection, **options)
        table.insert(0, "split", number)
        tables.append(table)
        notes.update(dict.fromkeys(said_of))
    return pd.concat(tables, ignore_index=True), tuple(notes)


def _conditions(folder: Path) -> list[tuple[str, str]]:
    """Return the number and the hash of each condition that the lock file names."""
    file = folder / LOCK_FILE
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        entries = said["conditions"]
        return [(str(i), str(e["key"])) for i, e in entries.items() if e.get("key")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidDataError(
            f"{folder} is not the folder of a run.",
            expected=f"a {LOCK_FILE} as `pereggrn-eval run` writes it",
            got=f"{type(error).__name__}: {error}",
        ) from error
