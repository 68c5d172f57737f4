"""Ranks of methods by each metric: which of them are surely better than which others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.evaluators import group_keys
from pereggrn_data.evaluators.metrics import METRICS, Direction
from pereggrn_data.evaluators.summaries import EQUAL_WITHIN, Resampling
from pereggrn_data.pipelines.compare.scored_runs import group_columns, known_metrics

if TYPE_CHECKING:
    import pandas as pd

_SIGN: Mapping[Direction | None, int] = {Direction.HIGHER: 1, Direction.LOWER: -1}

Line = tuple[str, bool]
"""A method, and whether it is a baseline: one may be called as a baseline is."""


def ranked(
    rows: Sequence[dict[str, Any]],
    groups: Mapping[Line, pd.DataFrame | None],
    *,
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Give ranks metric by metric: 1 plus the number of methods that are surely better.

    Parameters
    ----------
    rows
        One per metric and method of a dataset, with ``low``, ``high`` and ``n_missing``.
    groups
        Scores per group of each method, where they are at hand. Methods that have the same
        groups in the same order are compared by the interval of their difference, others by
        their own intervals.
    draws, seed
        Of the intervals.

    Returns
    -------
    list of dict
        The rows with ``rank``, metric by metric; None where a method lacks values.
    """
    decided = _by_differences(groups, draws, seed)
    found = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        here = [row for row in rows if row["metric"] == metric]
        sign = _SIGN.get(METRICS[metric].direction) if metric in METRICS else None
        for row in here:
            rank = None
            if sign is not None and _comparable(row):
                others = [other for other in here if other is not row and _comparable(other)]
                rank = 1 + sum(
                    decided.get((metric, _line(other), _line(row)), _apart(other, row, sign))
                    for other in others
                )
            found.append({**row, "rank": rank})
    return found


def _line(row: Mapping[str, Any]) -> Line:
    return str(row["method"]), bool(row["is_baseline"])


def _comparable(row: Mapping[str, Any]) -> bool:
    """Whether a row has an interval, and of the groups that the metric is about."""
    return row["low"] is not None and not row["n_missing"]


def _apart(one: Mapping[str, Any], other: Mapping[str, Any], sign: int) -> bool:
    """Whether the whole interval of one is better than that of the other."""
    return bool(one["low"] > other["high"] if sign > 0 else one["high"] < other["low"])


def _by_differences(
    groups: Mapping[Line, pd.DataFrame | None], draws: int, seed: int
) -> dict[tuple[str, Line, Line], bool]:
    """Say by metric, for every two methods with the same groups, if the first is better."""
    frames = {line: frame for line, frame in groups.items() if frame is not None and len(frame)}
    decided: dict[tuple[str, Line, Line], bool] = {}
    tried, differences = [], []
    for one, other in combinations(frames, 2):
        mine, theirs = frames[one], frames[other]
        if not _same_groups(mine, theirs):
            continue
        for metric in known_metrics(mine):
            sign = _SIGN.get(METRICS[metric].direction)
            if sign is not None and metric in theirs:
                a, b = (frame[metric].to_numpy(float) for frame in (mine, theirs))
                # What float32 cannot help is no difference, as in verdicts.
                same = np.abs(a - b) <= EQUAL_WITHIN * np.abs(b)
                tried.append((metric, one, other))
                differences.append(np.where(same, 0.0, sign * (a - b)))
    if not tried:
        return decided
    first = next(iter(frames.values()))
    sampler = Resampling(first[PERTURBATION].to_numpy(object), draws=draws, seed=seed)
    weights = first["n_observations"].to_numpy(float)
    estimates = sampler.mean(np.column_stack(differences), weights)
    for (metric, one, other), estimate in zip(tried, estimates, strict=True):
        low, high = estimate.interval or (0.0, 0.0)
        decided[metric, one, other] = low > 0
        decided[metric, other, one] = high < 0
    return decided


def _same_groups(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    columns = group_columns(one)
    return (
        columns == group_columns(other)
        and len(one) == len(other)
        and bool(group_keys(one, columns).equals(group_keys(other, columns)))
    )
