"""Read lists of transcription factors, one gene name per line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UsageError,
    near_matches,
    or_list,
)


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
        raise MissingFileError(f"There is no file {path}.", fix="check the path of the list.")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InvalidDataError(f"{path} is not text: {error}.", expected=_EXPECTED) from error
    names = tuple(dict.fromkeys(line for line in lines if line))
    strange = [name for name in names if any(mark in name for mark in "\t,;")]
    if not names or strange:
        raise InvalidDataError(
            f"{path} is not a list of transcription factors.",
            expected=_EXPECTED,
            got=repr(strange[0])[:60] if strange else "no name at all",
        )
    return names


_EXPECTED = "a text file with one gene name per line"


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
