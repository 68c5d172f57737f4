"""What a library raises over a file becomes our one error, and nothing else does."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from pereggrn_data.core import foreign_reading
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.foreign_reading import FORMATS, reading
from pereggrn_data.core.strict_json import loads


def raised(error: BaseException) -> Callable[[], Any]:
    def read() -> None:
        raise error

    return read


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), KeyError("x"), RuntimeError(), RecursionError(), EOFError(), SystemError(),
     AttributeError("of the library"), OSError("no code"), OSError(errno.EINVAL, "seek")],
    ids=repr,
)  # fmt: skip
def test_whatever_a_library_raises_names_the_file(error: BaseException) -> None:
    with (
        pytest.raises(InvalidDataError, match=r"some\.parquet cannot be read") as caught,
        reading("some.parquet", FORMATS["parquet"]),
    ):
        raised(error)()
    assert caught.value.__cause__ is error
    assert type(error).__name__ in str(caught.value.got)


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(3), UsageError("ours"), MemoryError(),
     OSError(errno.ENOSPC, "no space"), OSError(errno.EACCES, "not for you")],
    ids=repr,
)  # fmt: skip
def test_what_says_nothing_of_the_file_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, reading("some.h5ad", FORMATS["h5ad"]):
        raised(error)()
    assert caught.value is error


def test_a_lack_of_memory_names_the_file() -> None:
    with pytest.raises(MemoryError) as caught, reading("some.h5ad", FORMATS["h5ad"]):
        raise MemoryError
    assert caught.value.__notes__ == ["while some.h5ad was read"]


def test_a_slip_in_a_line_of_ours_is_not_blamed_on_a_file() -> None:
    slip: dict[str, Any] = {"__name__": "pereggrn_data.loaders.files.some_reader"}
    exec("def read(): return None.shape", slip)  # noqa: S102 - a line of a module of ours
    with pytest.raises(AttributeError), reading("some.h5ad", FORMATS["h5ad"]):
        slip["read"]()
    theirs: dict[str, Any] = {"__name__": "h5py._hl.base"}
    exec("def read(): return None.shape", theirs)  # noqa: S102 - a line of a library
    with pytest.raises(InvalidDataError), reading("some.h5ad", FORMATS["h5ad"]):
        theirs["read"]()


def test_a_long_message_of_a_library_is_cut() -> None:
    with pytest.raises(InvalidDataError) as caught, reading("x", FORMATS["text"]):
        raise ValueError("y" * 10_000)
    assert len(str(caught.value.got)) < foreign_reading.LONGEST_CAUSE + 10


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"a":' * 100_000, b"\xff", '"\\ud800"', '{"a": 1, "a": 2}',
     "9" * 5000, "NaN", "[-Infinity]", b"[1] \xfe"],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_json_that_a_later_step_would_stumble_over_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidDataError, match=r"x\.json is not JSON"):
        loads(text, "x.json")


def test_json_is_read_with_and_without_a_byte_order_mark() -> None:
    assert loads("\ufeff[1, null]", "x") == loads(b"\xef\xbb\xbf[1, null]", "x") == [1, None]
    assert loads('"\\ud83d\\ude00"', "x") == "\N{GRINNING FACE}"
