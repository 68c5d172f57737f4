"""Simulated expression in the uniform format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.format import (
    HIGHLY_VARIABLE_RANK,
    IS_CONTROL,
    LARGEST_LOG_EXPRESSION,
    LEVEL,
    MATCHED_CONTROL,
    MEASURED,
    NOT_MEASURED,
    OVERLAP,
    PERTURBATION,
    PERTURBATION_TYPE,
    SEPARATOR,
    TIMEPOINT,
    PerturbationType,
)
from pereggrn_data.loaders.files.datasets import StoredData, StoredRaw
from pereggrn_data.simulate.perturbations import Perturbation
from pereggrn_data.simulate.runs import UNPERTURBED, Run

if TYPE_CHECKING:
    from anndata import AnnData

INITIAL = "initial"
"""Rows of initial states end with this, all others with a number."""

REPLICATE = "replicate"
"""Column that numbers the initial states, so rows with one number start alike."""

SIMULATION = "simulation"
"""Key of ``uns`` under which a simulated dataset says how it was made."""

COUNTS_PER_UNIT = 100
"""Raw counts are this times exp(X) - 1."""


def uniform_format(run: Run, control_label: str = "control") -> AnnData:
    """Lay out a simulation in the uniform format.

    Parameters
    ----------
    run
        What was simulated.
    control_label
        Perturbation label of the controls; must not be the name of a gene.

    Raises
    ------
    UsageError
        If the control label cannot be told from a gene, or if expression
        leaves the range of log expression.
    """
    return uniform_parts(run, control_label).to_memory()


def uniform_parts(run: Run, control_label: str = "control") -> StoredData:
    """As :func:`uniform_format`, without anndata, which takes longer to import than to fill."""
    _check_control_label(control_label, run)
    values = np.concatenate([run.final, run.initial])
    _check_range(values)
    var = pd.DataFrame(
        {HIGHLY_VARIABLE_RANK: variability_rank(values)}, index=_text_index(run.influence.genes)
    )
    return StoredData(
        obs=_observations(run, control_label),
        var=var,
        uns=_unstructured(run),
        X=values,
        raw=StoredRaw(counts(values), var[[]].copy()),
    )


def counts(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return counts whose log expression is about `values`, 0 where that is negative.

    Parameters
    ----------
    values
        Natural-log expression.

    Examples
    --------
    >>> counts(np.array([0.0, 1.0, -0.1]))
    array([  0, 172,   0], dtype=int32)
    """
    expected: npt.NDArray[np.float64] = np.expm1(np.maximum(values, 0.0)) * COUNTS_PER_UNIT
    return np.rint(expected).astype(np.int32)


def variability_rank(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Rank genes by their variance, 0 for the largest; equal ones by position.

    Parameters
    ----------
    values
        Observations by genes.

    Examples
    --------
    >>> variability_rank(np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 9.0]]))
    array([2, 1, 0])
    """
    # Rounding keeps genes that differ in their last bit only in their order.
    order = np.argsort(-np.round(values.var(axis=0), 12), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _observations(run: Run, control_label: str) -> pd.DataFrame:
    n_starts = run.setting.n_initial_states
    names = _names_of_perturbations(run)
    hit = [k for k in run.perturbation_of if k != UNPERTURBED]
    starts = np.concatenate([run.start_of, np.arange(n_starts)])
    prefixes = [names[k] for k in hit] + [control_label] * n_starts
    final = [f"{name}_{k}" for name, k in zip(prefixes, run.start_of, strict=True)]
    initial = [f"{control_label}_{k}_{INITIAL}" for k in range(n_starts)]
    n_rows, n_controls = len(starts), 2 * n_starts
    index = _text_index(final + initial)
    labels = [run.perturbations[k].label for k in hit] + [control_label] * n_controls
    type_ = str(PerturbationType.OVEREXPRESSION)
    return pd.DataFrame(
        {
            PERTURBATION: pd.Series(labels, index, dtype=object),
            IS_CONTROL: np.arange(n_rows) >= len(hit),
            PERTURBATION_TYPE: pd.Series([type_] * n_rows, index, dtype=object),
            LEVEL: _stated_levels([run.perturbations[k] for k in hit], n_controls, index),
            TIMEPOINT: np.where(np.arange(n_rows) < len(final), run.setting.steps, 0),
            MATCHED_CONTROL: pd.Series([initial[k] for k in starts], index, dtype=object),
            REPLICATE: starts,
        },
        index=index,
    )


def _names_of_perturbations(run: Run) -> list[str]:
    """Name rows after the label, and after the level too where one label has several."""
    times = Counter(p.label for p in run.perturbations)
    return [
        p.label if times[p.label] == 1 else f"{p.label}={p.stated_level}"
        for p in run.perturbations
    ]


def _stated_levels(
    hit: list[Perturbation], n_controls: int, index: pd.Index[Any]
) -> pd.Series[Any]:
    """State levels as numbers, or as text where a perturbation has several genes.

    A column that mixes the two cannot be written to a file.
    """
    if all(len(p.genes) == 1 for p in hit):
        numbers = [p.levels[0] for p in hit] + [np.nan] * n_controls
        return pd.Series(numbers, index, dtype=np.float64)
    return pd.Series([p.stated_level for p in hit] + ["nan"] * n_controls, index, dtype=object)


def _unstructured(run: Run) -> dict[str, Any]:
    hit = {gene for p in run.perturbations for gene in p.genes}
    setting = run.setting
    return {
        MEASURED: np.array(sorted(hit), dtype=object),
        NOT_MEASURED: np.array([], dtype=object),
        OVERLAP: any(len(p.genes) > 1 for p in run.perturbations),
        SIMULATION: {
            "model": "vector autoregression",
            "scaled_by": run.influence.scaled_by,
            "scaled_to": run.influence.scaled_to,
            "n_edges": int(run.influence.matrix.nnz),
            "steps": setting.steps,
            "noise_sd": float(setting.noise_sd),
            "seed": setting.seed,
        },
    }


def _check_control_label(label: str, run: Run) -> None:
    if label in run.influence.genes:
        raise UsageError(
            f"{label!r} cannot be the label of the controls.",
            expected="a label that no gene has",
            got="the name of a simulated gene",
            fix="give another control_label.",
        )
    if not label or SEPARATOR in label or any(c.isspace() for c in label):
        raise UsageError(
            "The label of the controls is not a valid perturbation label.",
            expected="text without commas and white space, and not empty",
            got=repr(label),
        )


def _check_range(values: npt.NDArray[np.float64]) -> None:
    largest = float(values.max())
    if not largest < LARGEST_LOG_EXPRESSION:
        raise UsageError(
            "The simulated expression is beyond any natural-log expression.",
            expected=f"below {LARGEST_LOG_EXPRESSION:g}",
            got=f"{largest:.4g}",
            fix="lower the level, the largest eigenvalue or the number of steps.",
        )


def _text_index(names: Sequence[str]) -> pd.Index[Any]:
    """Make an index of plain strings, as the loader does, whatever the version of pandas."""
    return pd.Index(list(names), dtype=object)
