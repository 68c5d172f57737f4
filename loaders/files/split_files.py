"""Read and write ``split.json``, and the files that go with a split."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import IntegrityError, InvalidDataError, PereggrnError
from pereggrn_data.core.foreign_reading import FORMATS, reading
from pereggrn_data.core.format import PEREGGRN_UNS, SPLIT_SHA256_UNS
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.loaders.files.any_file import (
    existing_path,
    recorded_parts,
    refuse_other_kind,
    required_file,
    sha256_of_file,
    with_parts,
    write_text,
)
from pereggrn_data.loaders.files.stored_text import read_json, read_text
from pereggrn_data.validators.predictions import parse_header

SPLIT_FILE = "split.json"


def read_split(path: Path) -> Split:
    """Read a split: a file, or the ``split.json`` in a folder.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    InvalidDataError
        If it is not JSON, or not a split.
    IntegrityError
        If a file beside it that goes with it is not the one that was written with it.
    """
    found = existing_path(path)
    file = required_file(path / SPLIT_FILE if found is not None and found.is_dir() else path)
    # Other text is no JSON, which the parser says better.
    refuse_other_kind(file, ("json", "table", "text", "unknown", "empty"), "a split.json")
    values = read_json(file, expected="a split.json as written by `pereggrn-eval split`")
    split = Split.from_dict(values, source=str(path))
    # Under another name, or elsewhere, its neighbours are nobody's business.
    if file.name == SPLIT_FILE:
        for name, sha256 in recorded_parts(values).items():
            _require_part(file.with_name(name), sha256, split)
    return split


def write_split(split: Split, path: Path, *, parts: Iterable[Path] = ()) -> None:
    """Write ``split.json``, with the sha256 of the files that go with it."""
    write_text(dumps(with_parts(split.to_dict(), parts)) + "\n", path)


def _require_part(part: Path, sha256: str, split: Split) -> None:
    """Check that a file beside ``split.json`` is the one that was written with it.

    A template may have been filled in since: then it says itself which split it is of.
    """
    if not part.is_file() or (found := sha256_of_file(part)) == sha256:
        return
    uns = _uns_of(part) if part.suffix == ".h5ad" else {}
    if PEREGGRN_UNS in uns and parse_header(uns[PEREGGRN_UNS]).split.is_same_as(split):
        return
    raise IntegrityError(
        f"{part} is not the file that was written with {SPLIT_FILE}.",
        expected=f"sha256 {sha256}",
        got=f"sha256 {found}",
        fix="make the split again; if the file is another one on purpose, move split.json to a "
        "folder of its own.",
    )


def split_of_training(path: Path) -> str | None:
    """Return the digest of the split whose training part a file says it is; None if none."""
    try:
        said = _uns_of(path).get(SPLIT_SHA256_UNS) if path.is_file() else None
    except PereggrnError:  # whoever reads it will hear what is wrong with it
        return None
    return said if isinstance(said, str) else None


def _uns_of(path: Path) -> dict[str, Any]:
    from pereggrn_data.loaders.files.hdf5 import open_h5ad

    with open_h5ad(path) as reader:
        return reader.uns(every=False)


NAME_COLUMNS = ("observation", "obs_names", "index", "name")
"""Headings under which a table of one column names observations."""


def read_test_set(path: Path) -> tuple[str, ...]:
    """Read the names of the observations that a custom split holds out.

    Parameters
    ----------
    path
        A JSON list of names; or a CSV with a column ``observation``, or with the
        names in its first column.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it holds no names, or one of them twice.
    """
    names = _names_in_json(path) if path.suffix == ".json" else _names_in_csv(path)
    seen = set(names)
    if not names or len(seen) < len(names):
        raise InvalidDataError(
            f"{path} is not a test set.",
            expected=_TEST_SET,
            got=f"{len(names) - len(seen)} names that occur again" if names else "no names",
        )
    return tuple(names)


_TEST_SET = "a JSON list of observation names, each once, or a CSV with a column 'observation'"


def _names_in_json(path: Path) -> list[str]:
    values = read_json(path, expected=_TEST_SET)
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InvalidDataError(
            f"{path} is not a test set.", expected=_TEST_SET, got=f"{values!r:.60}"
        )
    return values


def _names_in_csv(path: Path) -> list[str]:
    text = read_text(path)
    with reading(path, FORMATS["text"]):
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if not rows:
        return []
    header = [cell.strip() for cell in rows[0]]
    if NAME_COLUMNS[0] in header:
        column = header.index(NAME_COLUMNS[0])
        return [row[column] for row in rows[1:] if len(row) > column]
    # One column without a heading is a plain list; a table has a heading.
    has_heading = len(header) > 1 or header[0] == "" or header[0].lower() in NAME_COLUMNS
    return [row[0] for row in rows[has_heading:]]
