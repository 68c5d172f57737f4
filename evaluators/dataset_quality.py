"""How good a perturbation dataset is: targets, effects, replicates, stereotypes, labels.

The paper's Fig. S1 and S5 as tables (Kernfeld et al., Genome Biology 2025).
Log fold changes are over the mean of the controls of the same cell type and time
point, or of all controls where it has none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix, column_means, dense
from pereggrn_data.core.baselines import training_mean
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    PERTURBATION,
    PERTURBATION_TYPE,
    TIMEPOINT,
    PerturbationType,
)
from pereggrn_data.core.labels import genes_of, targets_matrix
from pereggrn_data.evaluators.grouping import group_rows

PAIRS = 100
"""Pairs of perturbations that are compared, as in the paper."""
REPLICATE_PAIRS = 10
"""Pairs of replicates that are looked at, of each perturbation."""
_LARGEST = {PerturbationType.OVEREXPRESSION: "greater"}
_GROUPED = (PERTURBATION, PERTURBATION_TYPE, CELL_TYPE, TIMEPOINT)
N_CELLS = "n_cells"


@dataclass(frozen=True)
class Quality:
    """Tables that say how good a dataset is.

    Parameters
    ----------
    tables
        By name: ``targets``, ``effects``, ``replicates``, ``stereotypical``,
        ``mean_baseline``, ``labels`` and ``summary``; natural-log fold changes.
    notes
        What could not be computed, and why.
    """

    tables: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Groups:
    """Perturbed groups, the controls that each is compared with, and the matrix."""

    x: Matrix
    table: pd.DataFrame
    rows: list[Ints]
    controls: list[Ints]

    def change(self, group: int, rows: Ints | None = None, controls: Ints | None = None) -> Floats:
        """Return the mean log fold change of a group, (genes,)."""
        treated = self.rows[group] if rows is None else rows
        beside = self.controls[group] if controls is None else controls
        return column_means(self.x[treated]) - column_means(self.x[beside])


def quality(
    x: Matrix,
    obs: pd.DataFrame,
    genes: Sequence[str],
    measured: Iterable[str],
    seed: int = 0,
) -> Quality:
    """Compute all tables.

    Parameters
    ----------
    x
        (n, genes) natural-log expression, dense or CSR.
    obs
        (n,) rows in the uniform format.
    genes
        Names of the columns of `x`.
    measured
        Genes that a split may hold out (``uns["perturbed_and_measured_genes"]``).
    seed
        Of the choice of pairs and of the halves of the controls.

    Raises
    ------
    InvalidDataError
        If there are no controls, or nothing else.
    """
    is_control = obs[IS_CONTROL].to_numpy(bool)
    if is_control.all() or not is_control.any():
        raise InvalidDataError(
            "There is nothing to compare.",
            expected="controls, and perturbed observations",
            got=f"{int(is_control.sum())} controls among {len(obs)} observations",
        )
    groups = _groups(x, obs, is_control)
    random = np.random.default_rng(seed)
    notes: list[str] = []
    tables = {
        "targets": _targets(groups, list(map(str, genes))),
        "effects": _effects(groups),
        "replicates": _replicates(groups, notes),
        "stereotypical": _stereotypical(groups, random, notes),
        "mean_baseline": _mean_baseline(groups, obs, np.asarray(genes, dtype=object)),
        "labels": _labels(obs, is_control, set(map(str, genes)), set(map(str, measured))),
    }
    return Quality({"summary": _summary(tables), **tables}, tuple(notes))


def _groups(x: Matrix, obs: pd.DataFrame, is_control: Bools) -> _Groups:
    columns = [c for c in _GROUPED if c in obs]
    perturbed = np.flatnonzero(~is_control)
    codes, _, table = group_rows(obs.iloc[perturbed].reset_index(drop=True), columns)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(table)))[:-1]
    rows = [perturbed[part] for part in np.split(order, ends)]
    contexts = [c for c in (CELL_TYPE, TIMEPOINT) if c in obs]
    every = np.flatnonzero(is_control)
    context = obs[contexts].astype(str).agg("|".join, axis=1) if contexts else None
    controls = []
    for at in rows:
        if context is None:
            beside = every
        else:
            beside = np.flatnonzero(is_control & (context == context.iloc[at[0]]).to_numpy())
        controls.append(beside if len(beside) else every)
    table = table.rename(columns={"n_observations": "n"})
    return _Groups(x, table.assign(n_controls=[len(c) for c in controls]), rows, controls)


def _targets(groups: _Groups, genes: Sequence[str]) -> pd.DataFrame:
    """Did each measured target move as intended?"""
    position = {gene: j for j, gene in enumerate(genes)}
    found = []
    for i, row in enumerate(groups.table.to_dict("records")):
        for gene in genes_of(str(row[PERTURBATION])):
            if gene not in position:
                continue
            column = [position[gene]]
            treated = dense(groups.x, groups.rows[i], column).ravel()
            controls = dense(groups.x, groups.controls[i], column).ravel()
            way = _LARGEST.get(row[PERTURBATION_TYPE], "less")
            change = float(treated.mean() - controls.mean())
            found.append(
                {**row, "gene": gene, "control_mean": float(controls.mean()),
                 "log_fold_change": change, "intended": "up" if way == "greater" else "down",
                 "moved": change > 0 if way == "greater" else change < 0,
                 "p_value": _p_value(treated, controls, way)}
            )  # fmt: skip
    columns = [*groups.table.columns, "gene", "control_mean", "log_fold_change", "intended",
               "moved", "p_value"]  # fmt: skip
    return pd.DataFrame(found, columns=columns)


def _p_value(treated: Floats, controls: Floats, way: str) -> float:
    """Return the p-value of a one-sided t-test; NaN without replicates on both sides."""
    from scipy.stats import ttest_ind

    if min(len(treated), len(controls)) < 2 or (treated.std() == 0 and controls.std() == 0):
        return float("nan")
    with warnings.catch_warnings():
        # SciPy warns where all values of one side are equal, which is well defined here.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ttest_ind(treated, controls, alternative=way).pvalue)


def _effects(groups: _Groups) -> pd.DataFrame:
    """How large is the effect of each perturbation?"""
    changes = [groups.change(i) for i in range(len(groups.rows))]
    return groups.table.assign(
        euclidean=[float(np.linalg.norm(c)) for c in changes],
        mean_absolute=[float(np.abs(c).mean()) for c in changes],
        largest=[float(np.abs(c).max()) for c in changes],
    )


def correlation(one: Floats, other: Floats) -> float:
    """Return Pearson's correlation; NaN where a side is constant."""
    if one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _replicates(groups: _Groups, notes: list[str]) -> pd.DataFrame:
    """Do the log fold changes of replicates agree?"""
    found = []
    for i, at in enumerate(groups.rows):
        pairs = list(islice(combinations(range(len(at)), 2), REPLICATE_PAIRS))
        used = sorted({k for pair in pairs for k in pair})
        if not used:
            continue
        mean = column_means(groups.x[groups.controls[i]])
        change = dict(zip(used, dense(groups.x, at[used]) - mean, strict=True))
        agree = [correlation(change[a], change[b]) for a, b in pairs]
        known = [r for r in agree if r == r]
        median = float(np.median(known)) if known else float("nan")
        found.append({**groups.table.iloc[i], "n_pairs": len(pairs), "pearson": median})
    if not found:
        notes.append("replicates: no perturbation has two observations.")
    return pd.DataFrame(found, columns=[*groups.table.columns, "n_pairs", "pearson"])


def _stereotypical(groups: _Groups, random: np.random.Generator, notes: list[str]) -> pd.DataFrame:
    """Do different perturbations do the same? Each of a pair has controls of its own."""
    columns = ["perturbation_a", "perturbation_b", "pearson"]
    labels = groups.table[PERTURBATION].astype(str).tolist()
    if len(set(labels)) < 2 or min(map(len, groups.controls)) < 2:
        notes.append("stereotypical: two perturbations and two controls are needed.")
        return pd.DataFrame(columns=columns)
    pairs = _random_pairs(labels, random)
    found = []
    for a, b in pairs:
        # Halves of all controls that either is compared with, so that none is on both sides.
        both = random.permutation(np.union1d(groups.controls[a], groups.controls[b]))
        of_a = np.intersect1d(both[::2], groups.controls[a])
        of_b = np.intersect1d(both[1::2], groups.controls[b])
        if not (len(of_a) and len(of_b)):
            continue
        r = correlation(groups.change(a, controls=of_a), groups.change(b, controls=of_b))
        found.append((labels[a], labels[b], r))
    return pd.DataFrame(found, columns=columns)


def _random_pairs(labels: Sequence[str], random: np.random.Generator) -> list[tuple[int, int]]:
    n = len(labels)
    if n * (n - 1) // 2 <= 50 * PAIRS:
        every = [(a, b) for a, b in combinations(range(n), 2) if labels[a] != labels[b]]
        chosen = random.permutation(len(every))[:PAIRS]
        return [every[k] for k in np.sort(chosen)]
    found: dict[tuple[int, int], None] = {}
    while len(found) < PAIRS:
        a, b = sorted(map(int, random.choice(n, 2, replace=False)))
        if labels[a] != labels[b]:
            found[a, b] = None
    return list(found)


def _mean_baseline(groups: _Groups, obs: pd.DataFrame, genes: Any) -> pd.DataFrame:
    """Say whether the mean of everything else forecasts the change of each perturbation.

    Leave-one-label-out: the mean is that of the baseline ``mean``, without the
    observations of the label.
    """
    from scipy.stats import spearmanr

    labels = obs[PERTURBATION].astype(str).to_numpy(dtype=object)
    overall = training_mean(groups.x, labels, genes)
    _, columns = targets_matrix(labels, genes)
    # The baseline of a gene leaves out the observations that perturb the gene itself.
    counted = len(labels) - np.bincount(columns, minlength=len(genes))
    found = []
    means = {
        label: (len(at), column_means(groups.x[at]))
        for label in dict.fromkeys(groups.table[PERTURBATION].astype(str))
        for at in [np.flatnonzero(labels == label)]
    }
    position = {gene: j for j, gene in enumerate(genes)}
    for i, row in enumerate(groups.table.to_dict("records")):
        count, mean = means[str(row[PERTURBATION])]
        with np.errstate(invalid="ignore", divide="ignore"):
            left = (counted * overall - count * mean) / (counted - count)
        own = [position[g] for g in genes_of(str(row[PERTURBATION])) if g in position]
        left[own] = overall[own]  # its own observations are left out there anyway
        forecast = left - column_means(groups.x[groups.controls[i]])
        truth = groups.change(i)
        known = np.isfinite(forecast)
        truth, forecast = truth[known], forecast[known]
        flat = len(truth) < 2 or truth.std() == 0 or forecast.std() == 0
        rho = float("nan") if flat else float(spearmanr(truth, forecast).statistic)
        found.append({**row, "spearman": rho})
    return pd.DataFrame(found, columns=[*groups.table.columns, "spearman"])


def _labels(
    obs: pd.DataFrame, is_control: Bools, genes: set[str], measured: set[str]
) -> pd.DataFrame:
    """How many observations has each label, and can a split hold it out?"""
    labels = obs[PERTURBATION].astype(str).to_numpy(dtype=object)
    of_controls = set(labels[is_control])
    cells = obs[N_CELLS].to_numpy(float) if N_CELLS in obs else np.ones(len(obs))
    codes, names = pd.factorize(labels)
    found = []
    for k, name in enumerate(names):
        rows = codes == k
        why = _why_not(str(name), str(name) in of_controls, genes, measured)
        found.append((str(name), int(rows.sum()), int(cells[rows].sum()), not why, why))
    columns = [PERTURBATION, "n", N_CELLS, "can_be_held_out", "why_not"]
    return pd.DataFrame(found, columns=columns)


def _why_not(label: str, is_control: bool, genes: set[str], measured: set[str]) -> str:
    """Say why an interventional split cannot hold a label out; empty if it can."""
    if is_control:
        return "label of controls"
    named = genes_of(label)
    if absent := [g for g in named if g not in genes]:
        return f"not measured: {', '.join(absent)}"
    if unlisted := [g for g in named if g not in measured]:
        return f"not in perturbed_and_measured_genes: {', '.join(unlisted)}"
    return ""


def _summary(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One line per question."""
    targets, labels = tables["targets"], tables["labels"]
    perturbed = labels[labels["why_not"] != "label of controls"]
    rows = [
        ("targets that moved as intended", len(targets), _share(targets["moved"])),
        ("of them with p < 0.1, where replicated", int(targets["p_value"].notna().sum()),
         _share(targets["p_value"].dropna() < 0.1)),
        ("effect size (euclidean), median", len(tables["effects"]),
         _median(tables["effects"]["euclidean"])),
        ("correlation of replicates, median", len(tables["replicates"]),
         _median(tables["replicates"]["pearson"])),
        ("correlation of different perturbations, median", len(tables["stereotypical"]),
         _median(tables["stereotypical"]["pearson"])),
        ("correlation of the mean with the truth, median", len(tables["mean_baseline"]),
         _median(tables["mean_baseline"]["spearman"])),
        ("labels that a split can hold out", len(perturbed),
         _share(perturbed["can_be_held_out"])),
        ("cells per label, median", len(perturbed), _median(perturbed[N_CELLS])),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["what", "of", "value"]).astype({"value": float})


def _share(column: pd.Series[Any]) -> float:
    return float(column.astype(float).mean()) if len(column) else float("nan")


def _median(column: pd.Series[Any]) -> float:
    known = column.astype(float).dropna()
    return float(known.median()) if len(known) else float("nan")
