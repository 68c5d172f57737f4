"""Check predictions against what was asked for, all problems at once, then align them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats, Ints, column_means
from pereggrn_data.core.format import IS_CONTROL, PERTURBATION, PERTURBATION_TYPE, Kind
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.reports import Finding, sorted_report
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.group_sums import add_by_group
from pereggrn_data.core.rows.row_blocks import (
    dense_values,
    each_block,
    held_if_small,
    is_stored,
    part_of,
    stored_values,
)
from pereggrn_data.evaluators import (
    Aligned,
    CellGroups,
    ControlFill,
    Placement,
    Task,
    aligned_sums,
    group_keys,
    mean_by_group,
    numbered,
    observations_named,
    place_rows,
    wrong_labels,
)
from pereggrn_data.pipelines.score.score_inputs import ScoreInputs
from pereggrn_data.pipelines.score.score_options import Fill, PredictionScale, ScoreOptions
from pereggrn_data.validators.predictions import (
    LookedAt,
    PredictionScan,
    Scale,
    Untouched,
    check_alike,
    check_clipped,
    check_controls,
    check_copies,
    check_flags,
    check_fold_changes,
    check_genes,
    check_mixed_scales,
    check_numbers,
    check_repeated,
    check_row_names,
    check_rows,
    check_scale,
    outlier_limit,
)


@dataclass(frozen=True)
class Checked:
    """Predictions that can be scored.

    Parameters
    ----------
    aligned
        The predictions in the order of the task.
    warnings
        What the reader of the scores should know.
    """

    aligned: Aligned
    warnings: tuple[str, ...]


def check_and_align(inputs: ScoreInputs, task: Task, options: ScoreOptions) -> Checked:
    """Check predictions and put them into the order of the task.

    Parameters
    ----------
    inputs
        The predictions as read, and what they belong to.
    task
        What was held out, in the groups that the dataset tells apart.
    options
        How strictly, and on which scale, the predictions are read.

    Raises
    ------
    InvalidDataError
        Naming every problem, before anything is scored.
    """
    predictions, is_control = inputs.predictions, inputs.is_control
    rows = np.flatnonzero(~is_control)
    mine = predictions.obs if len(rows) == len(predictions.obs) else predictions.obs.iloc[rows]
    at = observations_named(
        mine, task, all_names=predictions.obs.index, has_row_names=predictions.has_row_names
    )
    present = [column for column in task.group_by if column in mine]
    of_row, keys = numbered(group_keys(mine, present))
    wanted, findings = _structural_findings(inputs, mine, at, (of_row, keys), task, options)
    expected = wanted[of_row]
    position = pd.Index(predictions.genes)
    usable = position.is_unique and position.isin(task.genes).sum() == len(task.genes)
    if not usable or not expected.any():
        _raise_if_errors(predictions, findings)
    # What is not held out was counted, or is an error that is raised below.
    if not expected.all():
        rows, mine, at, of_row = rows[expected], mine[expected], at[expected], of_row[expected]
    placement = place_rows(mine, task, at, (of_row, keys))
    columns = position.get_indexer(pd.Index(task.genes))
    scale = scale_of(task) if options.check_scale else None
    limit = np.inf if scale is None else outlier_limit(scale)
    matrix = part_of(predictions.matrix, rows[placement.rows], columns)
    # All others are read once.
    reread = options.cell_metrics or placement.test_of is not None
    placed = PlacedRows(
        matrix=held_if_small(matrix) if reread else matrix,
        obs=mine,
        placement=placement,
        task=task,
        options=options,
    )
    read = placed.read(limit)
    findings += check_repeated(
        of_row,
        keys,
        group_keys(task.test_obs, present),
        predictions.matrix,
        rows,
        _first_named(at),
        _prints(read.scan, placement, len(rows)),
    )
    names = placed.names
    findings += check_numbers(read.scan, names, list(task.genes))
    if scale is not None and read.scan.is_finite:
        if options.scale == PredictionScale.LOGFC:
            findings += check_fold_changes(read.scan, scale, row_names=names)
        else:
            findings += check_scale(
                read.scan, scale, row_names=names, untouched=placed.untouched(read)
            )
    findings += _control_findings(predictions, is_control, columns, task, options)
    _raise_if_errors(predictions, findings)
    warnings = [*inputs.notes, *(str(finding) for finding in findings)]
    if read.filled:
        warnings.append(
            f"{read.filled} missing values were replaced by the mean of training controls."
        )
    in_file = placement.test_of if placement.is_plain else None
    warnings += _reordered(columns, in_file)
    aligned = aligned_sums(read.sums, placement, task, placed.own)
    if options.cell_metrics:
        aligned = replace(aligned, cells=placed.cells())
    warnings += [str(f) for f in _shortcuts(aligned, read.scan, task)]
    return Checked(aligned, tuple(warnings))


def scale_of(task: Task) -> Scale:
    """Look at the training side, and at the profiles that baselines forecast."""
    named = {f"{name} of the training data": p for name, p in task.baselines.items()}
    if task.matched_control_mean is not None:
        named["mean of the matched controls"] = task.matched_control_mean
    means = {name: p if p.ndim == 1 else p.mean(axis=0) for name, p in named.items()}
    known = {name: mean for name, mean in means.items() if np.isfinite(mean).all()}
    return Scale.of(task.train_matrix, task.control_mean, known)


def _first_named(at: Ints) -> Bools:
    """Return which rows are the first that is named after its test observation."""
    named = np.flatnonzero(at >= 0)
    first = np.zeros(len(at), dtype=bool)
    first[named[np.unique(at[named], return_index=True)[1]]] = True
    return first


def _prints(scan: PredictionScan, placement: Placement, n: int) -> npt.NDArray[np.uint64]:
    """Return (rows,) hashes that are equal for equal rows of the file."""
    if placement.is_plain and len(placement.rows) == n:
        return scan.prints
    first = np.full(n, -1, dtype=np.intp)
    first[placement.rows[::-1]] = np.arange(len(placement.rows))[::-1]
    return np.asarray(scan.prints[first])


@dataclass(frozen=True)
class ReadRows:
    """What one reading of predictions found.

    Parameters
    ----------
    scan
        Of the values as the file has them.
    sums
        (groups, genes) of natural-log expression.
    filled
        How many values were NaN and have been replaced.
    """

    scan: PredictionScan
    sums: Floats
    filled: int


@dataclass(frozen=True)
class PlacedRows:
    """Predictions of held-out groups, wherever they are.

    Parameters
    ----------
    matrix
        (placed, genes) values, genes in the task's order; in memory or in a file.
    obs
        (rows,) what they predict, as the file says.
    placement
        Of the rows.
    task
        What was held out.
    options
        On which scale, and what replaces NaN.
    """

    matrix: Any
    obs: pd.DataFrame
    placement: Placement
    task: Task
    options: ScoreOptions

    @cached_property
    def _fill(self) -> ControlFill:
        return ControlFill(self.task)

    @property
    def names(self) -> Any:
        """(placed,) names of the rows."""
        index, rows = self.obs.index, self.placement.rows
        every = self.placement.is_plain and len(rows) == len(index)
        return index if every else index[rows]

    def _with_groups(self, rows: Any) -> pd.DataFrame:
        """Return what some placed rows predict, with all columns that define a group."""
        said: pd.DataFrame = self.obs.iloc[self.placement.rows[rows]]
        groups = self.task.groups.iloc[self.placement.group_of[rows]]
        lacking = [column for column in self.task.group_by if column not in said]
        return said.assign(**{column: groups[column].to_numpy() for column in lacking})

    @property
    def _is_logfc(self) -> bool:
        return self.options.scale == PredictionScale.LOGFC

    def _filled(self, rows: Any, values: Any) -> tuple[Any, int]:
        """Replace NaN, if that was asked for; on the scale of the file, and in its layout.

        For rows of different blocks have equal hashes only where both are sparse, or neither is.
        """
        if self.options.fill_missing == Fill.NONE or not np.isnan(stored_values(values)).any():
            return values, 0
        expression = dense_values(values).astype(np.float64)
        reference = self._reference(rows) if self._is_logfc else 0
        filled, n = self._fill.of(expression + reference, self._with_groups(rows))
        filled = filled - reference
        return sparse.csr_array(filled) if sparse.issparse(values) else filled, n

    def _reference(self, rows: Any) -> Floats:
        return self.task.reference(self.placement.group_of[rows])

    def _expression(self, rows: Any, values: Any) -> Any:
        if not self._is_logfc:
            return values
        return np.asarray(dense_values(values), dtype=np.float64) + self._reference(rows)

    def read(self, limit: float) -> ReadRows:
        """Go through all of it once; values from `limit` on are outliers."""
        n, genes = self.matrix.shape
        scan = PredictionScan(n, genes, limit)
        sums = np.zeros((len(self.task.groups), genes))
        group_of, filled = self.placement.group_of, 0
        waiting: list[tuple[Ints, Callable[[], LookedAt]]] = []
        alone = resources().workers == 1

        def take(most: int) -> None:
            while len(waiting) > most:
                rows, looked = waiting.pop(0)
                scan.add(rows, looked(), summed=self._is_logfc)

        with ThreadPoolExecutor(1) as beside:
            for block in each_block(self.matrix):
                rows = block.positions
                values, n_filled = self._filled(rows, block.values)
                filled += n_filled
                # Another thread looks at one block while this one adds up that or the next.
                look = partial(LookedAt.of, values)
                waiting.append((rows, look if alone else beside.submit(look).result))
                add_by_group(sums, group_of[rows], self._expression(rows, values))
                take(1)
            take(0)
        if scan.is_finite and not self._is_logfc:
            scan.note_sums(sums.sum(axis=0))
        if filled and filled == scan.n_values:
            # Nothing was predicted; it is not for us to forecast everything.
            scan = PredictionScan(n, genes)
            scan.note_nothing()
            filled = 0
        return ReadRows(scan, sums, filled)

    def untouched(self, read: ReadRows) -> Untouched:
        """Return what is predicted of the genes that rows do not perturb."""
        scan, group_of, targets = read.scan, self.placement.group_of, self.task.targets
        groups, genes = read.sums.shape
        varied = np.bincount(group_of[scan.varied], minlength=groups)
        # Rows of one value for all genes say nothing, and are in the sums.
        constant, levels = scan.levels
        flat = np.bincount(group_of[constant], weights=levels, minlength=groups)
        own, columns = targets.rows, targets.columns
        total = read.sums.sum(axis=0) - flat.sum()
        total -= np.bincount(columns, read.sums[own, columns] - flat[own], minlength=genes)
        counts = varied.sum() - np.bincount(columns, varied[own], minlength=genes)
        mean = np.full(genes, np.nan)
        np.divide(total, counts, out=mean, where=counts > 0)

        def perturbed_by(rows: Ints) -> Bools:
            found = np.zeros((len(rows), genes), dtype=bool)
            for k, group in enumerate(group_of[rows]):
                found[k, columns[own == group]] = True
            return found

        return Untouched(mean, perturbed_by)

    def own(self, test: Ints) -> Floats:
        """Return the predicted expression of some test observations, (some, genes)."""
        return self.expression(self.placement.own_rows(test))

    def expression(self, rows: Ints) -> Floats:
        """Return the predicted expression of some rows, (some, genes)."""
        part: Any = self.matrix[rows]
        values, _ = self._filled(rows, part.to_memory() if is_stored(part) else part)
        return np.asarray(dense_values(self._expression(rows, values)), dtype=np.float64)

    def cells(self) -> CellGroups:
        """Return the rows of each group of the task."""
        return CellGroups.numbered(self.expression, self.placement.group_of, len(self.task.groups))


def _shortcuts(aligned: Aligned, scan: PredictionScan, task: Task) -> list[Finding]:
    """Look for what scores alone do not show; see the validators."""
    kept = aligned.scored
    names = [" / ".join(key) for key in task.keys[kept]]
    labels = task.keys.get_level_values(PERTURBATION)
    columns = [c for c in task.group_by if c not in (PERTURBATION, PERTURBATION_TYPE)]
    contexts: Ints = np.zeros(len(kept), dtype=np.intp)
    if columns:
        contexts = pd.factorize(group_keys(task.groups, columns))[0].astype(np.intp)
    targeted = np.zeros(task.observed.shape, dtype=bool)
    targeted[task.targets.rows, task.targets.columns] = True
    trained = task.train_obs[PERTURBATION].astype(object)
    of_row, training = pd.factorize(trained.mask(task.train_obs[IS_CONTROL].to_numpy(bool)))
    means = mean_by_group(task.train_matrix, of_row, len(training))  # controls are in none
    number = {label: k for k, label in enumerate([*dict.fromkeys(labels)])}
    own = np.array([number[label] for label in labels])
    theirs = np.array([number.get(label, -1) for label in training], dtype=int)
    profiles = aligned.profiles
    return [
        *check_mixed_scales(profiles, task.observed, task.control_mean, names),
        *check_clipped(scan),
        *check_copies(profiles, own[kept], task.observed, own, names,
                      [" / ".join(key) for key in task.keys], "predictions-of-another"),
        *check_copies(profiles, own[kept], means, theirs, names, list(training),
                      "predictions-of-training"),
        *check_alike(profiles, contexts[kept], targeted[kept]),
    ]  # fmt: skip


def _structural_findings(
    inputs: ScoreInputs,
    mine: pd.DataFrame,
    at: Any,
    predicted: tuple[Ints, pd.MultiIndex],
    task: Task,
    options: ScoreOptions,
) -> tuple[Bools, list[Finding]]:
    """Check labels, names and genes; and say which of the predicted keys are held out."""
    of_row, keys = predicted
    columns = list(map(str, keys.names))
    wanted = group_keys(task.groups, columns).unique()
    known = pd.MultiIndex.from_tuples(
        [key for obs in inputs.everyone for key in group_keys(obs, columns).unique()]
    )
    n_rows = np.bincount(of_row, minlength=len(keys))
    found = list(check_rows(keys, n_rows, wanted, known, allow_missing=options.allow_missing))
    labels = inputs.predictions.obs[PERTURBATION]
    flagged = labels[inputs.flagged]
    found += check_flags(list(flagged), int(labels.isin(set(flagged)).sum()))
    wrong = np.flatnonzero(wrong_labels(mine, task, at))
    found += check_row_names(
        list(mine.index[wrong]),
        list(mine[PERTURBATION].iloc[wrong]),
        list(task.test_obs[PERTURBATION].iloc[at[wrong]]),
        int((at >= 0).sum()),
    )
    given = inputs.predictions
    of_genes = () if given.var is None else given.var.items()
    found += check_genes(given.genes, list(task.genes), of_genes)
    return np.asarray(keys.isin(wanted), dtype=bool), found


def _control_findings(
    predictions: Predictions, controls: Any, columns: Any, task: Task, options: ScoreOptions
) -> Iterable[Finding]:
    if not controls.any():
        return ()
    profile = column_means(part_of(predictions.matrix, np.flatnonzero(controls), columns))
    if options.scale == PredictionScale.LOGFC:
        profile = profile + task.control_mean
    return check_controls(profile, task.control_mean)


def _reordered(columns: Any, test_of: Any) -> list[str]:
    """Say where names, not positions, decided; nothing to worry about."""
    said = []
    if (np.diff(columns) < 0).any():
        said.append("Genes were in another order than in the split; they were matched by name.")
    if test_of is not None and (np.diff(test_of[test_of >= 0]) < 0).any():
        said.append("Rows were in another order than in the split; they were matched by name.")
    return said


def _raise_if_errors(predictions: Predictions, findings: Iterable[Finding]) -> None:
    sorted_report(predictions.path, Kind.PREDICTIONS, findings).raise_if_invalid()
