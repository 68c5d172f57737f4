"""Recipes: the options of a conversion in a TOML file, so that it can be repeated and cited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pereggrn_data.conversion import options_from
from pereggrn_data.loaders.files import read_toml

MADE = "made"
"""Table of a recipe that says how the file came about; it is not read."""


def read_recipe(path: Path) -> dict[str, Any]:
    """Return the options of a recipe by name.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not TOML.
    UsageError
        If it has options that do not exist, or values of another type.
    """
    stored = read_toml(path, expected="a recipe: a line NAME = VALUE per option")
    stored.pop(MADE, None)
    return options_from(stored, str(path))


def recipe_text(options: Mapping[str, Any], made: Mapping[str, str]) -> str:
    """Return a recipe as TOML.

    Parameters
    ----------
    options
        Options by name; those that are None are left out.
    made
        How the output came about: the input, its checksum, the version of this package.
    """
    lines = [f"{name} = {_toml(v)}" for name, v in options.items() if v is not None]
    lines += ["", f"[{MADE}]", *(f"{name} = {_toml(v)}" for name, v in made.items()), ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML's texts are JSON's, except that DEL has to be escaped and pairs of
        # surrogates are not understood.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
