"""How models become plain arrays and come back, so that they are stored without pickle.

A loader writes the arrays to a file (``numpy.savez``) and reads them again
with ``allow_pickle=False``: nothing in them can run. Each fitted model takes
itself apart and puts itself together with these; ``header`` says which one it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.strict_json import loads

FORMAT_VERSION = 1

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]


def packed_header(kind: str, **values: Any) -> Array:
    """Return the array that says which model this is, with its settings as JSON.

    Raises
    ------
    UsageError
        If a setting is neither a number nor text nor a list of them.
    """
    header = {"format_version": FORMAT_VERSION, "kind": kind, **values}
    return np.array(json.dumps(header, default=_plain))


def header_of(arrays: Mapping[str, Array]) -> Mapping[str, Any]:
    """Return what `packed_header` was given.

    Raises
    ------
    KeyError, ValueError, TypeError
        If there is no header, or it is of another version.
    """
    header: Mapping[str, Any] = loads(str(arrays["header"][()]), "the header of the model")
    if not isinstance(header, Mapping):
        raise TypeError("the header is no object")
    if header["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format version {header['format_version']}")
    return header


def packed_names(names: tuple[str, ...]) -> Array:
    """Return names as an array of text."""
    return np.array(names, dtype=np.str_)


def names_of(array: Array) -> tuple[str, ...]:
    """Return the names in an array of text."""
    return tuple(str(name) for name in array)


def numbers_of(array: Array, shape: tuple[int, ...]) -> Floats:
    """Return an array of numbers as float64.

    Raises
    ------
    ValueError
        If it has another shape, or holds no numbers.
    """
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype}, not {shape}")
    return np.asarray(array, dtype=np.float64)


def _plain(value: object) -> object:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise UsageError(
        "An argument of the method cannot be stored without pickle.",
        expected="numbers, text, or lists of them",
        got=repr(value),
    )
