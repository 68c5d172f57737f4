"""How good a perturbation dataset is: targets, effects, replicates, stereotypes, labels.

The paper's Fig. S1 and S5 as tables (Kernfeld et al., Genome Biology 2025).
Log fold changes are over the mean of the controls of the same cell type and time
point, or of all controls where it has none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix, dense
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
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.group_sums import group_sums
from pereggrn_data.core.rows.row_blocks import each_block
from pereggrn_data.core.rows.stored_medians import picked, targets_in
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
    """Perturbed groups, the controls that each is compared with, and the means of both.

    Parameters
    ----------
    x
        (n, genes) natural-log expression.
    table
        (groups,) labels and numbers of observations.
    rows
        (groups,) positions of the observations of each.
    every
        (controls,) positions of all controls.
    beside
        Of each cell type and time point that is compared with, positions in `every`.
    beside_of
        (groups,) which of `beside` each group is compared with.
    means, control_means
        (groups, genes) and (of `beside`, genes).
    labels
        Of each label, its number of observations and their (genes,) mean.
    """

    x: Matrix
    table: pd.DataFrame
    rows: list[Ints]
    every: Ints
    beside: list[Ints]
    beside_of: Ints
    means: Floats
    control_means: Floats
    labels: Mapping[str, tuple[int, Floats]]

    def controls(self, group: int) -> Ints:
        """Return where in `every` the controls of a group are."""
        return self.beside[int(self.beside_of[group])]

    def control_mean(self, group: int) -> Floats:
        """Return the mean of the controls of a group, (genes,)."""
        return np.asarray(self.control_means[self.beside_of[group]])

    def change(self, group: int) -> Floats:
        """Return the mean log fold change of a group, (genes,)."""
        return np.asarray(self.means[group] - self.control_mean(group))


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
        (n, genes) natural-log expression, dense or CSR, in memory or not: it is gone through
        in blocks of rows, a few times whatever the number of groups.
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
    """Group the observations, and average all groups in one reading of the matrix."""
    columns = [c for c in _GROUPED if c in obs]
    perturbed, every = np.flatnonzero(~is_control), np.flatnonzero(is_control)
    codes, _, table = group_rows(obs.iloc[perturbed].reset_index(drop=True), columns)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(table)))[:-1]
    rows = [perturbed[part] for part in np.split(order, ends)]
    contexts = [c for c in (CELL_TYPE, TIMEPOINT) if c in obs]
    context = group_rows(obs, contexts)[0] if contexts else np.zeros(len(obs), dtype=np.intp)
    # Controls of one cell type, time point and label are summed together, as groups are, so
    # that every mean that is asked for is one over such parts.
    labels = obs[PERTURBATION].astype(str).to_numpy(dtype=object)
    names, named = pd.factorize(labels)
    parts, firsts = np.unique(
        np.stack([context[every], names[every]], axis=1), axis=0, return_inverse=True
    )
    part_of = np.empty(len(obs), dtype=np.intp)
    part_of[perturbed] = codes
    part_of[every] = len(table) + np.ravel(firsts)
    found = group_sums(x, part_of, len(table) + len(parts))
    first = np.array([at[0] for at in rows], dtype=np.intp)
    # -1 is for all controls, where a cell type and time point has none of its own.
    place_of = np.where(np.isin(context[first], parts[:, 0]), context[first], -1)
    places, beside_of = np.unique(place_of, return_inverse=True)
    beside_of = np.ravel(beside_of)
    beside = [np.flatnonzero((context[every] == place) | (place < 0)) for place in places]
    n, sums = found.n[len(table) :], found.sums[len(table) :]
    own = [(parts[:, 0] == place) | (place < 0) for place in places]
    of_label = np.concatenate([names[first], parts[:, 1]])
    members = [(str(named[k]), of_label == k) for k in dict.fromkeys(names[first].tolist())]
    n_controls = [len(beside[k]) for k in beside_of]
    return _Groups(
        x=x,
        table=table.rename(columns={"n_observations": "n"}).assign(n_controls=n_controls),
        rows=rows,
        every=every,
        beside=beside,
        beside_of=beside_of,
        means=found.sums[: len(table)] / found.n[: len(table), None],
        control_means=np.array([sums[of].sum(axis=0) / n[of].sum() for of in own]),
        labels={
            label: (int(found.n[of].sum()), found.sums[of].sum(axis=0) / found.n[of].sum())
            for label, of in members
        },
    )


def _targets(groups: _Groups, genes: Sequence[str]) -> pd.DataFrame:
    """Did each measured target move as intended?"""
    position = {gene: j for j, gene in enumerate(genes)}
    asked = [
        (i, gene)
        for i, label in enumerate(groups.table[PERTURBATION].astype(str))
        for gene in genes_of(label)
        if gene in position
    ]
    treated = _values_of(groups.x, [(groups.rows[i], position[gene]) for i, gene in asked])
    found: dict[int, dict[str, Any]] = {}
    described = groups.table.to_dict("records")
    for at, controls in _controls_of(groups, sorted({position[g] for _, g in asked})):
        for k, (i, gene) in enumerate(asked):
            if position[gene] not in at:
                continue
            row = described[i]
            of_controls = controls[groups.controls(i), at[position[gene]]]
            way = _LARGEST.get(row[PERTURBATION_TYPE], "less")
            change = float(treated[k].mean() - of_controls.mean())
            found[k] = {
                **{str(c): v for c, v in row.items()},
                "gene": gene, "control_mean": float(of_controls.mean()),
                "log_fold_change": change, "intended": "up" if way == "greater" else "down",
                "moved": change > 0 if way == "greater" else change < 0,
                "p_value": _p_value(treated[k], of_controls, way),
            }  # fmt: skip
    columns = [*groups.table.columns, "gene", "control_mean", "log_fold_change", "intended",
               "moved", "p_value"]  # fmt: skip
    return pd.DataFrame([found[k] for k in range(len(asked))], columns=columns)


def _values_of(x: Matrix, wanted: Sequence[tuple[Ints, int]]) -> list[Floats]:
    """Return some rows of single columns, all in one reading."""
    if not wanted:
        return []
    sizes = [len(rows) for rows, _ in wanted]
    rows = np.concatenate([rows for rows, _ in wanted])
    columns = np.repeat(np.array([column for _, column in wanted], dtype=np.intp), sizes)
    values = np.empty(len(rows))
    for block in each_block(x):
        pairs, own, of = targets_in(block, rows, columns)
        values[pairs] = picked(block.values, own, of)
    return np.split(values, np.cumsum(sizes)[:-1])


def _controls_of(
    groups: _Groups, columns: Sequence[int]
) -> Iterator[tuple[dict[int, int], Floats]]:
    """Yield all controls in some columns, in one reading each: as many as fit into memory."""
    width = max(1, resources().bytes_to_hold // (16 * len(groups.every)))
    for start in range(0, len(columns), width):
        part = list(columns[start : start + width])
        yield {j: k for k, j in enumerate(part)}, dense(groups.x, groups.every, part)


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
    sizes = []
    for i in range(len(groups.rows)):
        change = groups.change(i)
        absolute = np.abs(change)
        sizes.append((np.linalg.norm(change), absolute.mean(), absolute.max()))
    names = ["euclidean", "mean_absolute", "largest"]
    found = pd.DataFrame(sizes, columns=names, dtype=np.float64)
    return pd.concat([groups.table, found], axis=1)


def correlation(one: Floats, other: Floats) -> float:
    """Return Pearson's correlation; NaN where a side is constant."""
    if one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _replicates(groups: _Groups, notes: list[str]) -> pd.DataFrame:
    """Do the log fold changes of replicates agree?"""
    pairs = [list(islice(combinations(range(len(at)), 2), REPLICATE_PAIRS)) for at in groups.rows]
    asked = [i for i, of_group in enumerate(pairs) if of_group]
    size = 16 * (REPLICATE_PAIRS + 1) * groups.x.shape[1]
    at_once = max(1, resources().bytes_to_hold // size)
    found = []
    for start in range(0, len(asked), at_once):
        some = asked[start : start + at_once]
        # The first ones are all that pairs are made of.
        used = [groups.rows[i][: max(b for _, b in pairs[i]) + 1] for i in some]
        values = dense(groups.x, np.concatenate(used))
        parts = np.split(values, np.cumsum([len(at) for at in used])[:-1])
        for i, observed in zip(some, parts, strict=True):
            change = observed - groups.control_mean(i)
            agree = [correlation(change[a], change[b]) for a, b in pairs[i]]
            known = [r for r in agree if r == r]
            median = float(np.median(known)) if known else float("nan")
            found.append({**groups.table.iloc[i], "n_pairs": len(pairs[i]), "pearson": median})
    if not found:
        notes.append("replicates: no perturbation has two observations.")
    return pd.DataFrame(found, columns=[*groups.table.columns, "n_pairs", "pearson"])


def _stereotypical(groups: _Groups, random: np.random.Generator, notes: list[str]) -> pd.DataFrame:
    """Do different perturbations do the same? Each of a pair has controls of its own."""
    columns = ["perturbation_a", "perturbation_b", "pearson"]
    labels = groups.table[PERTURBATION].astype(str).tolist()
    if len(set(labels)) < 2 or min(map(len, groups.beside)) < 2:
        notes.append("stereotypical: two perturbations and two controls are needed.")
        return pd.DataFrame(columns=columns)
    pairs, halves = [], []
    for a, b in _random_pairs(labels, random):
        # Halves of all controls that either is compared with, so that none is on both sides.
        both = random.permutation(np.union1d(groups.controls(a), groups.controls(b)))
        of_both = np.zeros((2, len(groups.every)), dtype=bool)
        of_both[0, np.intersect1d(both[::2], groups.controls(a))] = True
        of_both[1, np.intersect1d(both[1::2], groups.controls(b))] = True
        if of_both.any(axis=1).all():
            pairs.append((a, b))
            halves.append(of_both)
    if not pairs:
        return pd.DataFrame(columns=columns)
    means = _means_of(groups.x[groups.every], np.concatenate(halves))
    found = []
    for k, (a, b) in enumerate(pairs):
        r = correlation(groups.means[a] - means[2 * k], groups.means[b] - means[2 * k + 1])
        found.append((labels[a], labels[b], r))
    return pd.DataFrame(found, columns=columns)


def _means_of(x: Matrix, members: Bools) -> Floats:
    """Return the means of sets of rows, (sets, n) `members`, in one reading."""
    total = np.zeros((len(members), x.shape[1]))
    for block in each_block(x):
        total += members[:, block.rows].astype(np.float64) @ block.values
    return np.asarray(total / members.sum(axis=1)[:, None])


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
    position = {gene: j for j, gene in enumerate(genes)}
    for i, row in enumerate(groups.table.to_dict("records")):
        count, mean = groups.labels[str(row[PERTURBATION])]
        with np.errstate(invalid="ignore", divide="ignore"):
            left = (counted * overall - count * mean) / (counted - count)
        own = [position[g] for g in genes_of(str(row[PERTURBATION])) if g in position]
        left[own] = overall[own]  # its own observations are left out there anyway
        forecast = left - groups.control_mean(i)
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
    sizes, n_cells = np.bincount(codes), np.bincount(codes, cells)
    for name, n, n_of_cells in zip(names, sizes, n_cells, strict=True):
        why = _why_not(str(name), str(name) in of_controls, genes, measured)
        found.append((str(name), int(n), int(n_of_cells), not why, why))
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
