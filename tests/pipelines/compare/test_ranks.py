"""Ranks by differences, perturbation by perturbation, and by intervals where these are all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pereggrn_data.pipelines.compare.ranks import Line, ranked

HARD = np.linspace(0.1, 1.0, 12)
"""Errors of any method: some perturbations are hard for all."""


def groups(errors: Any, *, first: int = 0) -> pd.DataFrame:
    labels = [f"G{first + i}" for i in range(len(errors))]
    return pd.DataFrame({"perturbation": labels, "n_observations": 3, "mae": errors})


def ranks(of: dict[str, pd.DataFrame | None], metric: str = "mae", **more: Any) -> dict[str, Any]:
    rows = [
        {"metric": metric, "method": name, "is_baseline": name == "mean", "low": 0.3, "high": 0.8,
         "n_missing": 0, **more.get(name, {})}
        for name in of
    ]  # fmt: skip
    lines: dict[Line, pd.DataFrame | None] = {(n, n == "mean"): frame for n, frame in of.items()}
    return {row["method"]: row["rank"] for row in ranked(rows, lines, draws=300, seed=0)}


def test_what_is_hard_for_all_methods_cancels() -> None:
    rng = np.random.default_rng(0)
    worse = groups(HARD * 1.05 + rng.normal(0, 0.002, 12))
    of = {
        "a": groups(HARD),
        "b": worse,
        "mean": groups(HARD * 2),
        "twin": groups(HARD * (1 + 1e-9)),
    }
    assert ranks(of) == {"a": 1, "b": 3, "mean": 4, "twin": 1}


def test_a_difference_that_may_be_chance_is_none() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 12)
    assert ranks({"a": groups(HARD), "b": groups(HARD + noise - noise.mean())}) == {"a": 1, "b": 1}


@pytest.mark.parametrize("other", [None, groups(HARD * 3, first=1), groups(HARD[:9] * 3)])
def test_intervals_decide_where_groups_are_not_the_same(other: pd.DataFrame | None) -> None:
    of = {"a": groups(HARD), "b": other}
    assert ranks(of) == {"a": 1, "b": 1}
    assert ranks(of, b={"low": 0.9, "high": 1.2}) == {"a": 1, "b": 2}


def test_no_rank_without_all_values_or_a_direction() -> None:
    of = {"a": groups(HARD), "b": groups(HARD * 2), "c": groups(HARD * 3)}
    assert ranks(of, a={"n_missing": 1}) == {"a": None, "b": 1, "c": 2}
    assert ranks(of, metric="pvalue_effect_direction") == {"a": None, "b": None, "c": None}
