"""Read and write ``split.json``, and the files that go with a split."""

from __future__ import annotations

import json
from pathlib import Path

from pereggrn_data.core.errors import InvalidDataError, MissingFileError
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps


def read_split(path: Path) -> Split:
    """Read a split.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not JSON, or not a split.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no file {path}.", fix="check the path of the split.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidDataError(
            f"{path} is not JSON: {error}.",
            expected="a split.json as written by `pereggrn-eval split`",
        ) from error
    return Split.from_dict(values, source=str(path))


def write_text(text: str, path: Path) -> None:
    """Write a text file in one step: it appears under its name only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_split(split: Split, path: Path) -> None:
    """Write ``split.json``."""
    write_text(dumps(split.to_dict()) + "\n", path)
