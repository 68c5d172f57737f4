"""One way to say how much memory there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.sizes import UNITS, parse_memory


@given(st.integers(1, 1000), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_a_number_and_a_unit(number: int, unit: str, space: str) -> None:
    wanted = number * UNITS[unit]
    assert parse_memory(f"{number}{space}{unit}") == wanted
    assert parse_memory(f"{number}{unit.lower()}") == wanted


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("16", 16 * 10**9),
        ("0.5", 5 * 10**8),
        ("2048", 2 << 30),
        ("4G", 4 * 10**9),
        ("1.5GiB", 3 << 29),
    ],
)
def test_old_forms_that_can_mean_one_thing_only(text: str, n_bytes: int) -> None:
    assert parse_memory(text) == n_bytes


@pytest.mark.parametrize(
    "text", ["512", "64", "nan", "inf", "0", "-1GB", "4 gigs", "", "1e9", "9999999999TB"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="not a size") as raised:
        parse_memory(text)
    assert repr(text) in str(raised.value)
