"""Strict JSON: every parser reads it, because a missing number is null, never NaN.

What comes from outside is read by :func:`loads`, which refuses what a later step would
stumble over: text that is not UTF-8 or no Unicode, brackets in brackets without end, fields
that stand twice.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.foreign_reading import FORMATS, reading


def plain(value: Any) -> Any:
    """Turn dataclasses, NumPy values and enums into what JSON knows; NaN and infinities to None.

    Examples
    --------
    >>> plain({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # Where NumPy is not loaded, none of its values can be here, and --help need not wait for it.
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)):
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    return str(value)


def dumps(value: Any, *, indent: int | None = 2) -> str:
    """Write `value` as strict JSON text.

    Examples
    --------
    >>> dumps({"x": float("inf")}, indent=None)
    '{"x": null}'
    """
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def loads(data: bytes | str, source: object, *, expected: str | None = None) -> Any:
    """Read JSON that came from outside.

    Parameters
    ----------
    data
        The text, or its bytes in UTF-8; a byte order mark in front does not matter.
    source
        What is read, for the message: a path, or an address.
    expected
        What it should be, for the message.

    Raises
    ------
    InvalidDataError
        If it is not JSON, not Unicode, nested too deeply, or has a field twice.

    Examples
    --------
    >>> loads(b'{"a": [1]}', "x.json")
    {'a': [1]}
    """

    def problem(error: Exception) -> InvalidDataError:
        deep = isinstance(error, RecursionError)
        got = "brackets in brackets without end" if deep else str(error)
        return InvalidDataError(
            f"{source} is not JSON that can be read.",
            expected=expected or FORMATS["json"].expected,
            got=f"{got:.200}",
            fix=FORMATS["json"].fix,
        )

    with reading(source, FORMATS["json"], problem=problem):
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data.removeprefix("\ufeff")
        values = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_number)
        if "\\u" in text:  # half a character can be written, and breaks whatever writes it again
            json.dumps(values, ensure_ascii=False).encode()
        return values


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON; what is missing is null")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what two readers could understand in two ways."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a field stands twice among {sorted(names)}")
    return values
