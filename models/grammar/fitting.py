"""Pair features with responses, and fit the models of all cell types to the pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix, dense
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.models.grammar.choices import (
    CellTypeSharing,
    Grammar,
    LowDimensionalStructure,
    Matching,
    Pruning,
)
from pereggrn_data.models.grammar.eligibility import (
    allowed_features,
    check_trainable,
    excluded_rows,
    feature_positions,
    own_features,
)
from pereggrn_data.models.grammar.low_dimensional import Subspace
from pereggrn_data.models.grammar.matching import UNMATCHED, match, notes_on_matches
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.inputs import HeldLevels, TrainingData
from pereggrn_data.models.methods import METHODS, MethodKind, get_regression
from pereggrn_data.models.regression import Progress, Regressions, RegressionTask
from pereggrn_data.models.stored_columns import StoredColumns


def learns_in_blocks(
    grammar: Grammar, network: RegulatorySets | None, n: int, n_features: int
) -> bool:
    """Say whether models can be fitted to data that are gone through in blocks of rows.

    Parameters
    ----------
    grammar, network
        As in `fit`.
    n, n_features
        Numbers of observations and of features.
    """
    method = get_regression(grammar.method)
    if (
        not method.can_go_in_blocks(grammar.method_arguments)
        or grammar.low_dimensional_structure is not LowDimensionalStructure.NONE
    ):
        return False
    return method.kind is MethodKind.CONSTANT or (
        network is None
        and grammar.matching_method is Matching.STEADY_STATE
        and grammar.cell_type_sharing_strategy is CellTypeSharing.IDENTICAL
        and grammar.pruning_strategy is Pruning.NONE
        and n > n_features
    )


def what_learns_in_blocks() -> str:
    """Return a sentence that says which methods :func:`learns_in_blocks` is true of, and when."""
    able = [method for method in METHODS if method.in_blocks is not None]
    always = [m.name for m in able if m.kind is MethodKind.CONSTANT]
    others = [
        m.name if m.in_blocks_if is None else f"{m.name} (with {m.in_blocks_if.words})"
        for m in able
        if m.name not in always
    ]
    return (
        f"{' and '.join(always)} go through training data in blocks of rows; so do "
        f"{', '.join(others)} with more observations than features, and without network, "
        "pruning, subspace, matching other than steady_state, and models of single cell types"
    )


class Fitting:
    """The pairs of features and responses that all models are fitted to."""

    def __init__(
        self,
        data: TrainingData,
        grammar: Grammar,
        regulators: tuple[str, ...],
        subspace: Subspace | None,
        jobs: int,
        progress: Progress | None,
        *,
        in_blocks: bool = False,
    ) -> None:
        self.data, self.grammar, self.regulators = data, grammar, regulators
        self.jobs, self.progress = jobs, progress
        matched = match(data, grammar.matching_method, grammar.seed)
        self.notes = notes_on_matches(data, grammar.matching_method, matched)
        self.rows = np.flatnonzero(matched != UNMATCHED)
        if self.rows.size == 0:
            raise InvalidDataError(
                "No training observation has a matched control.",
                fix="check obs['matched_control'], or use another matching method.",
            )
        columns = feature_positions(regulators, data.genes)
        self.targets, self.feature_names = tuple(data.genes), regulators
        in_subspace = grammar.low_dimensional_structure is LowDimensionalStructure.DYNAMICS
        if get_regression(grammar.method).kind is MethodKind.CONSTANT and not in_subspace:
            # Nothing looks at its features, so that no place is taken for them. What is
            # wrong with levels is told all the same.
            data.perturbations.distinct()[0].levels(data.genes)
            self.features: Floats | StoredColumns = np.broadcast_to(
                0.0, (self.rows.size, columns.size)
            )
            self.responses = self._all_responses()
            return
        levels = _of_rows(data.perturbations.levels(data.genes), self.rows, data.n_observations)
        if in_subspace and subspace is not None:
            before = dense(data.expression, matched[self.rows])
            levels.hold(before)
            self.features = subspace.encode(before)
            self.responses = subspace.encode(dense(data.expression, self.rows))
            self.targets = tuple(f"dimension {k + 1}" for k in range(subspace.dimension))
            self.feature_names = self.targets
        elif in_blocks:
            held, every = levels.among(columns, len(data.genes)), np.arange(len(data.genes))
            self.features = StoredColumns(data.expression, columns, held)
            self.responses = StoredColumns(data.expression, every)
        else:
            features = dense(data.expression, matched[self.rows], columns)
            levels.among(columns, len(data.genes)).hold(features)
            self.features = features
            self.responses = self._all_responses()

    def _all_responses(self) -> Matrix:
        everything = self.rows.size == self.data.n_observations
        return self.data.expression if everything else self.data.expression[self.rows]

    def _features(self, chosen: Bools) -> Floats | StoredColumns:
        if isinstance(self.features, StoredColumns):  # of one model, which all pairs train
            return self.features
        if not any(self.features.strides):  # nothing looks at them: one 0 for all places
            return np.broadcast_to(0.0, (int(chosen.sum()), self.features.shape[1]))
        return self.features if chosen.all() else self.features[chosen]

    def models(
        self, network: RegulatorySets | None, *, is_pruned: bool = False
    ) -> dict[str | None, Regressions]:
        """Fit all models with a network (None means dense).

        Whether genes predict themselves is up to the network if it is a pruned
        one, and else up to the grammar.
        """
        if self.grammar.cell_type_sharing_strategy is CellTypeSharing.IDENTICAL:
            every = np.ones(self.rows.size, dtype=bool)
            return {None: self._model(every, network, None, is_pruned)}
        cell_types = self.data.perturbations.cell_types
        if cell_types is None:
            raise InvalidDataError(
                "The training data have no cell types.",
                expected="obs['cell_type'], as each cell type is to have a model of its own",
                fix="use cell_type_sharing_strategy identical.",
            )
        labels = np.array(cell_types, dtype=object)[self.rows]
        return {c: self._model(labels == c, network, c, is_pruned) for c in dict.fromkeys(labels)}

    def _model(
        self,
        chosen: Bools,
        network: RegulatorySets | None,
        cell_type: str | None,
        is_pruned: bool,
    ) -> Regressions:
        fit: Any = get_regression(self.grammar.method).fit  # every regression has one
        fitted: Regressions = fit(self.task(chosen, network, cell_type, is_pruned=is_pruned))
        return fitted

    def task(
        self,
        chosen: Bools,
        network: RegulatorySets | None,
        cell_type: str | None,
        *,
        is_pruned: bool = False,
    ) -> RegressionTask:
        """Return the regression problem of one model.

        Parameters
        ----------
        chosen
            Which pairs train it.
        network
            Restricts its features; None is the dense network.
        cell_type
            Whose edges to use; None means all.
        is_pruned
            Whether the network says which genes predict themselves.
        """
        grammar, every = self.grammar, bool(chosen.all())
        labels = [self.data.perturbations.labels[i] for i in self.rows[chosen]]
        excluded = excluded_rows(labels, self.targets, grammar.exclusion)
        where = "of the training data" if cell_type is None else f"of cell type {cell_type!r}"
        check_trainable(excluded, len(labels), self.targets, where)
        allowed = None
        if network is not None:
            allowed = allowed_features(
                self.targets,
                self.feature_names,
                network.of(cell_type),
                predict_self=None if is_pruned else grammar.predict_self,
            )
        return RegressionTask(
            features=self._features(chosen),
            responses=self.responses if every else self.responses[chosen],
            targets=self.targets,
            own=own_features(self.targets, self.feature_names, predict_self=grammar.predict_self),
            excluded=excluded,
            allowed=allowed,
            arguments=grammar.method_arguments,
            seed=grammar.seed,
            jobs=self.jobs,
            progress=self.progress,
        )


def _of_rows(levels: HeldLevels, rows: Ints, n: int) -> HeldLevels:
    position = np.full(n, -1, dtype=np.intp)
    position[rows] = np.arange(rows.size)
    kept = position[levels.rows] >= 0
    return replace(
        levels,
        rows=position[levels.rows[kept]],
        columns=levels.columns[kept],
        values=levels.values[kept],
    )
