"""Parts of some work: on several threads, where there are several parts."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pereggrn_data.core.resources import Resources, share_out, using
from pereggrn_data.evaluators.metrics import discrimination


def test_one_part_takes_no_thread() -> None:
    for parts, limits in (([1], Resources(threads=4)), ([1, 2, 3], Resources(threads=1))):
        where: list[int] = []
        with using(limits):
            share_out(lambda _, where=where: where.append(threading.get_ident()), parts)
        assert where == [threading.get_ident()] * len(parts)
    share_out(where.append, [], 4)


def test_several_parts_are_done_at_once_and_errors_are_raised() -> None:
    both = threading.Barrier(2, timeout=60)
    share_out(lambda _: both.wait(), [1, 2], 2)

    def fail(part: int) -> None:
        if part == 2:
            raise LookupError(part)

    for threads in (1, 2):
        with pytest.raises(LookupError):
            share_out(fail, [1, 2, 3], threads)


@pytest.mark.parametrize("terms", [1, 1 << 22])
def test_distances_do_not_depend_on_the_parts(terms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discrimination, "_TERMS_AT_A_TIME", terms)
    predicted, candidates = np.random.default_rng(0).normal(size=(2, 40, 7))
    values, _ = discrimination.DISTANCES["l1"](predicted, candidates)
    expected = np.abs(predicted[:, None] - candidates).sum(axis=2)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
