"""Rules that join columns: labels with levels, levels with X, labels with lists of genes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.format import (
    IS_CONTROL,
    LEVEL,
    LEVEL_TOLERANCE,
    PERTURBATION,
    PERTURBATION_TYPE,
    PerturbationType,
)
from pereggrn_data.core.labels import genes_of, levels_of
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.validators.distinct import Distinct, Ragged
from pereggrn_data.validators.findings import row_finding, show
from pereggrn_data.validators.rules import RULES
from pereggrn_data.validators.schemas import is_level, is_number

Rows = npt.NDArray[np.intp]

_AS_BOOL = {"True": True, "False": False, "1": True, "0": False, "1.0": True, "0.0": False}


def controls(obs: pd.DataFrame) -> npt.NDArray[np.bool_] | None:
    """Say which observations are controls, as far as the column can be understood.

    A column of another type is an error of its own; 0 and 1, and the words,
    are understood so that the other rules can still be checked.
    """
    if IS_CONTROL not in obs:
        return None
    distinct = Distinct.of(obs[IS_CONTROL])
    known = [_AS_BOOL.get(str(v)) for v in distinct.values]
    codes = distinct.codes
    if any(known[i] is None for i in np.unique(codes)):
        return None
    return np.array([bool(k) for k in known])[codes]


@dataclass(frozen=True)
class StatedLevels:
    """Which expression each observation states for each measured gene that it targets.

    Parameters
    ----------
    rows, columns
        Positions in X.
    levels
        Stated natural-log expression; never NaN.
    """

    rows: Rows
    columns: Rows
    levels: npt.NDArray[np.float64]


_NO_LEVELS = StatedLevels(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))


def level_findings(
    obs: pd.DataFrame, genes: pd.Index[Any], is_control: npt.NDArray[np.bool_] | None
) -> tuple[list[Finding], StatedLevels]:
    """Compare the numbers of genes and levels, and list the levels that X must show.

    Parameters
    ----------
    obs
        Observations; nothing is found where a column is missing.
    genes
        Names of the measured genes.
    is_control
        Controls state no level that X must show.

    Returns
    -------
    findings, levels
        Levels of overexpression and knockdown, and those of knockouts that are not 0.
    """
    if PERTURBATION not in obs or LEVEL not in obs:
        return [], _NO_LEVELS
    labels = Distinct.of(obs[PERTURBATION])
    column = obs[LEVEL]
    level_codes, levels, readable = _levels(column)
    targets = [genes_of(v) if isinstance(v, str) else () for v in labels.values]
    position = {gene: j for j, gene in enumerate(genes)}
    places = Ragged.of([[position.get(g, -1) for g in names] for names in targets], np.intp)
    n_genes, n_levels = places.lengths[labels.codes], levels.lengths[level_codes]
    comparable = (n_genes > 0) & readable[level_codes]
    unknown = np.append(np.isnan(levels.flat), True)[levels.starts[level_codes]] & (n_levels == 1)
    differ = comparable & (n_genes != n_levels)
    found = [
        row_finding(code, LEVEL, _labelled(obs), np.flatnonzero(mask).tolist())
        for code, mask in (
            ("level-count", differ & ~unknown),
            ("level-unknown-for-several-genes", differ & unknown),
        )
        if mask.any()
    ]
    if PERTURBATION_TYPE not in obs:
        return found, _NO_LEVELS
    shown, knocked_out = _shown_in_x(obs)
    checked = comparable & ~differ & (shown | knocked_out)
    rows = np.flatnonzero(checked if is_control is None else checked & ~is_control)
    at = np.repeat(rows, n_genes[rows])
    where, stated = places.take(labels.codes[rows]), levels.take(level_codes[rows])
    keep = (where >= 0) & ~np.isnan(stated) & (shown[at] | (stated != 0))
    return found, StatedLevels(at[keep], where[keep], stated[keep])


def _levels(column: pd.Series[Any]) -> tuple[Rows, Ragged, npt.NDArray[np.bool_]]:
    """Parse the stated levels: a code per row, the lists, and which lists could be read."""
    if is_number(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        codes = np.arange(len(values), dtype=np.intp)
        lists = Ragged(values, codes, np.ones(len(values), np.intp))
        return codes, lists, ~np.isinf(values)
    distinct = Distinct.of(column)
    readable = np.array([is_level(v) for v in distinct.values])
    parsed = [
        levels_of(v) if ok else (math.nan,)
        for v, ok in zip(distinct.values, readable, strict=True)
    ]
    codes = np.where(distinct.codes < 0, len(parsed) - 1, distinct.codes)
    return codes, Ragged.of(parsed, np.float64), readable


def _shown_in_x(obs: pd.DataFrame) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Say of which rows X shows all levels, and of which it does so unless they are 0."""
    types = Distinct.of(obs[PERTURBATION_TYPE])
    shown = (PerturbationType.OVEREXPRESSION, PerturbationType.KNOCKDOWN)
    return (
        types.rows(lambda v: isinstance(v, str) and v in shown),
        types.rows(lambda v: isinstance(v, str) and v == PerturbationType.KNOCKOUT),
    )


def _labelled(obs: pd.DataFrame) -> pd.DataFrame:
    """Return the levels, each row named with its label as well."""
    names = [f"{n} ({label})" for n, label in zip(obs.index, obs[PERTURBATION], strict=True)]
    return obs[[LEVEL]].set_axis(names, axis=0)


def levels_in_x_findings(
    obs: pd.DataFrame,
    genes: pd.Index[Any],
    stated: StatedLevels,
    in_x: npt.NDArray[np.float64],
) -> list[Finding]:
    """Compare stated levels with X; a NaN in X is a finding of its own.

    Those of knockouts are a warning: the original accepts any.
    """
    distance = np.abs(in_x - stated.levels)
    wrong = np.flatnonzero(np.isfinite(in_x) & ~(distance <= LEVEL_TOLERANCE))
    if not len(wrong):
        return []
    types = obs[PERTURBATION_TYPE].iloc[stated.rows[wrong]].astype(object)
    only_knockouts = bool((types == PerturbationType.KNOCKOUT).all())
    few = wrong[:EXAMPLES_SHOWN]
    return [
        RULES["level-differs-from-X"].found(
            f"a difference of up to {distance[wrong].max():.6g}, in {len(wrong)} of "
            f"{len(in_x)} levels",
            column=LEVEL,
            n=len(np.unique(stated.rows[wrong])),
            severity=Severity.WARNING if only_knockouts else Severity.ERROR,
            examples=[
                f"{obs.index[stated.rows[k]]}: {genes[stated.columns[k]]} is stated as "
                f"{stated.levels[k]:.7g} and is {in_x[k]:.7g} in X"
                for k in few
            ],
        )
    ]


def names_in(value: Any) -> list[str] | None:
    """Return a list of gene names stored in ``uns``, or None if it is something else.

    A single name is a list of one: R writes vectors of length 1 as single values.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, (bytes, Mapping)) or value is None:
        return None
    try:
        items = list(np.asarray(value, dtype=object).ravel()) if np.ndim(value) == 1 else None
    except (TypeError, ValueError):
        return None
    if items is None or not all(isinstance(v, str) for v in items):
        return None
    return items


def list_finding(code: str, key: str, names: Iterable[str], total: int) -> list[Finding]:
    """Make a finding about names of one list, if there are any."""
    names = sorted(names)
    if not names:
        return []
    shown = ", ".join(show(n) for n in names[:3]) + (", ..." if len(names) > 3 else "")
    got = f"{len(names)} genes without that ({total} are listed): {shown}"
    return [RULES[code].found(got, column=key, n=len(names), examples=names)]
