"""Scores by metrics of cells: the cells of every method against the observed ones.

Differential expression is over the *measured* controls on both sides, those that log fold
changes are over. A method that predicts profiles and no cells has no values here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.core.prediction_types import FEWEST_CELLS, CellSettings, Space
from pereggrn_data.core.resources import resources
from pereggrn_data.evaluators.controls import permutation
from pereggrn_data.evaluators.metrics.cell_comparison import CellComparison, Distances
from pereggrn_data.evaluators.metrics.cell_groups import CellGroups, drawn, fetching
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.distribution_metrics import CellDistances
from pereggrn_data.evaluators.metrics.metric import Metric, Needs
from pereggrn_data.evaluators.metrics.rank_tests import (
    DifferentialExpression,
    differential_expression,
    tested_genes,
)
from pereggrn_data.evaluators.replicate_halves import (
    DUPLICATE,
    HALF,
    Draw,
    KnownControls,
    known_controls,
)
from pereggrn_data.evaluators.scoring import HAVE_CELLS, PREDICTIONS
from pereggrn_data.evaluators.task import Task
from pereggrn_data.evaluators.task_baselines import stacked

_GROUPS_AT_ONCE = 256
_SAMPLE, _MEAN, _CONTROL = range(3)
"""What is drawn: cells for distances, and the cells of the training mean and of controls."""


@dataclass(frozen=True)
class CellSide:
    """The cells of one method, or those observed, and the controls that they are tested against.

    Parameters
    ----------
    cells
        Of every group of the task.
    controls
        Controls, by context.
    context_of
        (groups,) the context of each group; -1 where it has several.
    """

    cells: CellGroups
    controls: CellGroups
    context_of: Ints


@dataclass(frozen=True)
class CellScores:
    """Values of all metrics of cells.

    Parameters
    ----------
    values
        Per method and metric, (groups,) values, NaN where there is none.
    possible
        Per metric, (groups,) whether the observed cells have a value, taken as a
        prediction of themselves.
    compared
        Per method, (groups,) whether both sides have cells enough.
    observed
        (groups,) whether the observed cells are enough.
    notes
        What could not be computed, and why.
    """

    values: Mapping[str, Mapping[str, Floats]]
    possible: Mapping[str, Bools]
    compared: Mapping[str, Bools]
    observed: Bools
    notes: tuple[str, ...] = ()

    def of_groups(self, method: str, groups: Bools) -> dict[str, Floats]:
        """Return per metric the values of some groups; NaN for a method without cells."""
        nothing = np.full(len(groups), np.nan)
        known = self.values.get(method, {})
        return {name: known.get(name, nothing)[groups] for name in self.possible}

    def lost(self, method: str) -> dict[str, int]:
        """Count, per metric, the groups of which the truth has a value and a method has none."""
        counts = {
            name: int((possible & ~np.isfinite(self.values[method][name])).sum())
            for name, possible in self.possible.items()
        }
        return {name: n for name, n in counts.items() if n}


class _Same:
    """Distances of cells to themselves: what matters is that there are some."""

    def energy(self) -> float:
        return 0.0

    def mmd(self) -> float:
        return 0.0


class CellMeasure:
    """How the cells of a task are compared.

    Parameters
    ----------
    task
        What was held out.
    settings
        The space of distances, and what is sampled.
    threads
        By default one per processor.
    """

    def __init__(self, task: Task, settings: CellSettings, threads: int | None = None) -> None:
        self._task = task
        self._settings = settings
        self._threads = threads
        self._metrics = [m for m in METRICS.values() if m.of_cells]

    def __call__(self, truth: CellSide, methods: Mapping[str, CellSide]) -> CellScores:
        """Compute every metric of cells of all groups.

        Parameters
        ----------
        truth
            What was observed.
        methods
            Per method, its cells.
        """
        n = len(self._task.groups)
        values = {name: _nothing(self._metrics, n) for name in methods}
        possible = _nothing(self._metrics, n)
        notes: list[str] = []
        compared = {name: np.zeros(n, dtype=bool) for name in methods}
        known, without_controls = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        placed = (truth.cells.sizes() >= FEWEST_CELLS) & (truth.context_of >= 0)
        for context in np.unique(truth.context_of[placed]).tolist():
            groups = np.flatnonzero(placed & (truth.context_of == context))
            sides = (truth, *methods.values())
            controls = {id(s.controls): s.controls.loaded([context]) for s in sides}
            if not all(c.enough([context])[0] for c in controls.values()):
                notes.append(
                    f"Metrics of cells have no value in {len(groups)} groups: they take "
                    f"{FEWEST_CELLS} different control cells."
                )
                without_controls[groups] = True
                continue
            against = {key: c.of(context) for key, c in controls.items()}
            genes, said = self._tested(against[id(truth.controls)])
            notes += said
            for part in self._in_parts(groups, truth.cells.sizes()):
                mine = truth.cells.loaded(part)
                part = part[mine.enough(part)]
                known[part] = True
                true = self._expression(mine, part, against[id(truth.controls)], genes)
                for k in part.tolist():
                    self._fill(possible, k, CellComparison(true[k], true[k], _Same()))
                for name, side in methods.items():
                    theirs = side.cells.loaded(part)
                    scored = part[theirs.enough(part)]
                    compared[name][scored] = True
                    found = self._expression(theirs, scored, against[id(side.controls)], genes)
                    for k in scored.tolist():
                        between = self._distances(mine, theirs, k)
                        self._fill(values[name], k, CellComparison(true[k], found[k], between))
        if self._in_components and not len(self._task.training.components):
            notes.append("There are no distances in components: the training set does not vary.")
        notes += _too_few(int((~(known | without_controls)).sum()), n, "were observed")
        return CellScores(
            values, {name: np.isfinite(v) for name, v in possible.items()}, compared, known,
            tuple(dict.fromkeys(notes)),
        )  # fmt: skip

    def _in_parts(self, groups: Ints, sizes: Ints) -> list[Ints]:
        """Divide groups, so that neither cells nor what is known of genes piles up."""
        cells = resources().bytes_to_hold // (16 * max(len(self._task.genes), 1))
        behind = np.cumsum(sizes[groups]) // max(cells, 1)
        number = behind * (len(groups) + 1) + np.arange(len(groups)) // _GROUPS_AT_ONCE
        return np.split(groups, np.flatnonzero(np.diff(number)) + 1)

    def _fill(self, values: Mapping[str, Floats], group: int, cells: CellComparison) -> None:
        for metric in self._metrics:
            # Where no gene is tested, nothing is known of what differs.
            able = metric.needs is not Needs.COUNTS or cells.observed.tested
            if metric.compute_cells is not None and able:
                values[metric.name][group] = metric.compute_cells(cells)

    def _tested(self, controls: Matrix) -> tuple[Ints, list[str]]:
        """Choose the genes that are tested, and say why there is none."""
        if controls.min() < 0:
            reason = "X is not log1p of counts, as controls have negative values"
        else:
            genes = tested_genes(controls)
            if len(genes):
                return genes, []
            reason = "no gene has more than 5 counts per million in the controls"
        return np.empty(0, dtype=np.intp), [f"There is no differential expression: {reason}."]

    def _expression(
        self, cells: CellGroups, groups: Ints, controls: Matrix, genes: Ints
    ) -> dict[int, DifferentialExpression]:
        """Say what differs from controls in each group, over tested genes that it does not target.

        Own targets are left out before p-values are corrected.
        """
        nothing = DifferentialExpression.of(np.empty(0), np.empty(0))
        found = dict.fromkeys(groups.tolist(), nothing)
        tests = differential_expression(
            cells, groups.tolist(), controls, genes, threads=self._threads
        )
        for k, p_values, change in tests:
            others = ~np.isin(genes, self._own(k))
            found[k] = DifferentialExpression.of(p_values[others], change[others])
        return found

    def _own(self, group: int) -> Ints:
        targets = self._task.targets
        return np.asarray(targets.columns[targets.rows == group])

    @property
    def _in_components(self) -> bool:
        return self._settings.space is Space.PCA

    def _distances(self, truth: CellGroups, cells: CellGroups, group: int) -> Distances:
        own = self._own(group)
        observed, predicted = (self._sample(side, group) for side in (truth, cells))
        if not self._in_components:
            return CellDistances(observed, predicted, own)
        components = self._task.training.components
        if not len(components):
            return _Unknown()
        # A zero in both is no difference.
        kept = np.ones(components.shape[1])
        kept[own] = 0.0
        to_space = (components * kept).T
        return CellDistances(np.asarray(observed @ to_space), np.asarray(predicted @ to_space))

    def _sample(self, cells: CellGroups, group: int) -> Matrix:
        rows, most = cells.rows[group], self._settings.at_most
        return cells.fetch(drawn(rows, most, (self._settings.seed, _SAMPLE, group)))


def score_cells(
    task: Task, predicted: CellGroups, settings: CellSettings, *, threads: int | None = None
) -> CellScores:
    """Score predicted cells, and those of the training mean, by every metric of cells.

    Parameters
    ----------
    task
        What was held out.
    predicted
        Predicted cells by group, genes as in the task.
    settings
        The space of distances, and what is sampled.
    threads
        By default one per processor.

    Raises
    ------
    MissingExtraError
        If the extra ``cells`` is not installed.
    """
    source = CellSource.of(task, settings)
    mine = source.predicted(predicted)
    found = CellMeasure(task, settings, threads)(
        source.observed(), {PREDICTIONS: mine, **source.baselines()}
    )
    known = (mine.cells.sizes() > 0) & found.observed
    lacking = int((known & ~found.compared[PREDICTIONS]).sum())
    said = _too_few(lacking, int(known.sum()), "were predicted")
    return replace(found, notes=(*found.notes, *said))


@dataclass(frozen=True)
class CellSource:
    """Where the cells of a task's own methods come from.

    Parameters
    ----------
    task
        What was held out.
    settings
        Seeds the samples.
    known
        The controls that log fold changes are over.
    """

    task: Task
    settings: CellSettings
    known: KnownControls
    _controls: dict[bytes, CellGroups] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, task: Task, settings: CellSettings) -> CellSource:
        """Collect what is needed of a task."""
        return cls(task, settings, known_controls(task))

    def observed(self) -> CellSide:
        """Return all observed cells, and all known controls."""
        return self._side(self._numbered(self.task.group_of), self.known.code)

    def predicted(self, cells: CellGroups) -> CellSide:
        """Return predicted cells, to be tested against the measured controls."""
        return self._side(cells, self.known.code)

    def baselines(self) -> dict[str, CellSide]:
        """Return what the training mean is the mean of, as many cells as were observed."""
        truth = self.observed()
        side = self._side(self._of_training(truth.cells.sizes()), self.known.code)
        return dict.fromkeys(HAVE_CELLS, side)

    def controls(self) -> dict[str, CellSide]:
        """Return the cells of those controls of a calibration that have cells."""
        truth, code = self.observed(), self.known.code
        nobody = np.empty(0, dtype=np.intp)
        others = [truth.cells.rows[k] if k >= 0 else nobody for k in permutation(self.task)]
        return {
            "control": self._side(self._of_controls(code, truth.cells.sizes()), code),
            **self.baselines(),
            "permuted": self._side(CellGroups(fetching(self.task.test_matrix), others), code),
            "observed": truth,
        }

    def halves(self, draw: Draw) -> tuple[CellSide, dict[str, CellSide]]:
        """Return one half of the cells, and what is scored against it: first the other half.

        Each half has its own half of the controls, as everywhere.
        """
        code, of_other = draw.controls
        truth, other = (self._numbered(of) for of in draw.group_of)
        sizes = truth.sizes()
        side = self._side(truth, code)
        return side, {
            DUPLICATE: self._side(other, of_other),
            HALF["mean"]: self._side(self._of_training(sizes), code),
            HALF["control"]: self._side(self._of_controls(code, sizes), code),
            HALF["observed"]: side,
        }

    def _numbered(self, group_of: Ints) -> CellGroups:
        return CellGroups.numbered(self.task.test_matrix, group_of, len(self.task.groups))

    def _side(self, cells: CellGroups, code: Ints) -> CellSide:
        # Sides with the same controls share them, so that these are read once.
        key = code.tobytes()
        if key not in self._controls:
            self._controls[key] = CellGroups.numbered(
                self.known.matrix, code, self.known.n_contexts
            )
        return CellSide(cells, self._controls[key], self.known.context_of)

    def _of_controls(self, code: Ints, sizes: Ints) -> CellGroups:
        pools = [np.flatnonzero((code == k) & (k >= 0)) for k in self.known.context_of]
        seed = (self.settings.seed, _CONTROL)
        return CellGroups.sampled(self.known.matrix, pools, sizes, seed)

    def _of_training(self, sizes: Ints) -> CellGroups:
        """Draw from the training observations; in a time series from those of the context."""
        task, contexts = self.task, self.known.contexts
        seed = (self.settings.seed, _MEAN)
        if contexts is None:
            everyone = np.arange(len(task.train_obs))
            pools = [everyone] * len(task.groups)
            return CellGroups.sampled(task.train_matrix, pools, sizes, seed)
        matrix = stacked(task.train_matrix, task.given_matrix)
        of_context = contexts.rows_in(pd.concat([task.train_obs, task.given_obs]))
        nobody = np.empty(0, dtype=np.intp)
        pools = [of_context[k] if k >= 0 else nobody for k in self.known.context_of]
        return CellGroups.sampled(matrix, pools, sizes, seed)


class _Unknown:
    """Distances where there is no space."""

    def energy(self) -> float:
        return float("nan")

    def mmd(self) -> float:
        return float("nan")


def _nothing(metrics: Iterable[Metric], groups: int) -> dict[str, Floats]:
    return {metric.name: np.full(groups, np.nan) for metric in metrics}


def _too_few(n: int, of: int, how: str) -> list[str]:
    if not n:
        return []
    return [
        f"Metrics of cells have no value in {n} of {of} groups, of which fewer than "
        f"{FEWEST_CELLS} different cells {how}."
    ]
