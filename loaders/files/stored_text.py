"""Read small files of text that came from anywhere: JSON, TOML, lists of factors.

One place for what goes wrong with all of them: no file, another encoding, a file that is far
too long to be one, brackets in brackets. What is in them is for the caller to check.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UsageError,
    near_matches,
    or_list,
)
from pereggrn_data.core.foreign_reading import FORMATS, ForeignFormat, reading
from pereggrn_data.core.strict_json import loads
from pereggrn_data.loaders.files.any_file import AnyPath, required_file

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


def read_tf_list(path: Path) -> tuple[str, ...]:
    """Read gene names, one per line; empty lines and repetitions are left out.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not text, names no gene, or has more than one column.
    """
    if not path.is_file():
        raise MissingFileError.at(path, fix="check the path of the list.")
    lines = [line.strip() for line in read_text(path).splitlines()]
    names = tuple(dict.fromkeys(line for line in lines if line))
    strange = [name for name in names if any(mark in name for mark in "\t,;")]
    if not names or strange:
        raise InvalidDataError(
            f"{path} is not a list of transcription factors.",
            expected=_LIST,
            got=repr(strange[0])[:60] if strange else "no name at all",
        )
    return names


_LIST = "a text file with one gene name per line"


def tf_list_of(species: str, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Read the list of a species.

    Raises
    ------
    UsageError
        If there is none.
    """
    if species not in files:
        near = near_matches(species, list(files))
        hint = f"did you mean {or_list(near)}? Else " if near else ""
        raise UsageError(
            f"There is no list of transcription factors for the species {species!r}.",
            expected=f"one of {', '.join(sorted(files))}" if files else "a list of one's own",
            got=f"{len(files)} lists in the local collection and among fetched data",
            fix=f"{hint}give a file by --tf-list, or `pereggrn-data fetch tf_lists`, "
            "or use --eligible-regulators all.",
        )
    return read_tf_list(files[species])
