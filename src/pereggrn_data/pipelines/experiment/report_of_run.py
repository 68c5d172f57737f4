"""The finished conditions of a run as a report: one file, or one for each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.pipelines.report import write_report


def write_report_of_run(
    folders: Mapping[str, Sequence[str]], path: Path, *, name: str
) -> tuple[list[Path], list[str]]:
    """Write the report of a run's finished conditions.

    Parameters
    ----------
    folders
        Of scores, by the hash of their split, each as ``NAME=PATH``.
    path
        The file. Where conditions differ in more than the method and the seed, they have no
        table in common; then each split has a report of its own, whose name ends with the
        first eight digits of the split's hash.
    name
        Of the experiment, for the heading.

    Returns
    -------
    files
        What was written.
    notes
        What the user should know: that there are several reports, or none.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    UsageError
        If the file cannot be written.
    """
    if not folders:
        return [], [f"{path} is not written: no condition is finished."]
    every = [folder for of_split in folders.values() for folder in of_split]
    title = f"Experiment {name}"
    try:
        return [write_report(every, path, title=title)], []
    except InvalidDataError as error:
        if len(folders) == 1:
            return [], [f"{path} is not written: {error}"]
        why = error.what
    files: list[Path] = []
    notes = [f"Conditions have no report in common, and each split has its own: {why}"]
    for split, of_split in folders.items():
        file = path.with_name(f"{path.stem}-{split[:8]}{path.suffix}")
        try:
            files.append(write_report(of_split, file, title=f"{title}, split {split[:8]}"))
        except InvalidDataError as error:
            notes.append(f"{file} is not written: {error}")
    return files, notes
