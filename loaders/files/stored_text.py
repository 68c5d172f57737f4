"""Read small files of text that came from anywhere: JSON, TOML, lists.

One place for what goes wrong with all of them: no file, another encoding, a file that is far
too long to be one, brackets in brackets. What is in them is for the caller to check.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.foreign_reading import FORMATS, ForeignFormat, reading
from pereggrn_data.core.strict_json import loads
from pereggrn_data.loaders.files.user_paths import AnyPath, required_file

LONGEST = 1 << 30
"""Bytes of a file that is read as one text: a split of 10 million cells has 300 MB."""


def read_text(path: AnyPath, form: ForeignFormat = FORMATS["text"]) -> str:
    """Read a file as text in UTF-8, with or without a byte order mark.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not UTF-8, or longer than :data:`LONGEST`.
    """
    file = required_file(path)
    with reading(path, form):
        return _bytes_of(file, form).decode("utf-8-sig")


def read_json(path: AnyPath, *, expected: str | None = None) -> Any:
    """Read a JSON file; see :func:`~pereggrn_data.core.strict_json.loads` for what is refused.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not JSON that can be read.
    """
    return loads(_bytes_of(required_file(path), FORMATS["json"]), path, expected=expected)


def read_toml(path: AnyPath, *, expected: str | None = None) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not TOML that can be read.
    """
    text = read_text(path, FORMATS["toml"])

    def problem(error: Exception) -> InvalidDataError:
        got = "brackets in brackets without end" if isinstance(error, RecursionError) else error
        return InvalidDataError(
            f"{path} is not TOML that can be read.",
            expected=expected or FORMATS["toml"].expected,
            got=f"{got!s:.200}",
            fix=FORMATS["toml"].fix,
        )

    with reading(path, FORMATS["toml"], problem=problem):
        return tomllib.loads(text)


def _bytes_of(file: Path, form: ForeignFormat) -> bytes:
    if (size := file.stat().st_size) > LONGEST:
        raise InvalidDataError(
            f"{file} is too long to be read as {form.name}.",
            expected=f"at most {LONGEST:,} bytes",
            got=f"{size:,} bytes",
        )
    return file.read_bytes()
