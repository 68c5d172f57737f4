"""What a split promises, and how each promise is checked on splits that are made or read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.format import CELL_TYPE, IS_CONTROL, PERTURBATION, TIMEPOINT
from pereggrn_data.core.labels import Spelling, genes_of
from pereggrn_data.core.splits import SplitRules

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SplitFacts:
    """What the promises are checked against: names and labels, never expression.

    Parameters
    ----------
    train, test, given
        The rows of ``obs`` on each side; index = names of the observations.
    measured
        Genes that are perturbed, measured, and in ``var``.
    rules
        Of the split.
    everyone
        All rows of the dataset's ``obs``.
    separate_training
        Whether another file trains, whose observations may have the same names.
    n_training_file
        Number of observations of that file.
    validation
        The rows of ``obs`` that are set aside for validation; None where none is.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    given: pd.DataFrame
    measured: frozenset[str]
    rules: SplitRules
    everyone: pd.DataFrame
    separate_training: bool = False
    n_training_file: int = 0
    validation: pd.DataFrame | None = None

    @property
    def held_out(self) -> list[pd.DataFrame]:
        """The test side, and the validation side where there is one."""
        return [self.test] if self.validation is None else [self.test, self.validation]


@dataclass(frozen=True)
class Guarantee:
    """One promise.

    Parameters
    ----------
    code
        Stable name in reports.
    text
        The promise, as shown in the documentation.
    offenders
        Which names break it; none where it holds.
    """

    code: str
    text: str
    offenders: Callable[[SplitFacts], Iterable[str]]


def _labels(obs: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(obs[PERTURBATION].astype(object)))


def _controls(obs: pd.DataFrame) -> pd.DataFrame:
    return obs[obs[IS_CONTROL].to_numpy(bool)]


def _perturbed_labels(obs: pd.DataFrame) -> list[str]:
    return _labels(obs[~obs[IS_CONTROL].to_numpy(bool)])


def _nothing_empty(facts: SplitFacts) -> Iterable[str]:
    if facts.train.empty:
        yield "the training side"
    if facts.test.empty:
        yield "the test side"


def _control_trains(facts: SplitFacts) -> Iterable[str]:
    return [] if len(_controls(facts.train)) else ["no control among the training observations"]


def _disjoint(facts: SplitFacts) -> Iterable[str]:
    others = set(facts.given.index)
    if not facts.separate_training:
        others.update(facts.train.index)
    return [name for name in facts.test.index if name in others]


def _labels_disjoint(facts: SplitFacts) -> Iterable[str]:
    form = Spelling(facts.measured).form
    known = set(map(form, _labels(facts.train)))
    for side in reversed(facts.held_out):
        own = _labels(side)
        yield from (x for x in own if form(x) in known)
        known.update(map(form, own))


def _all_controls_train(facts: SplitFacts) -> Iterable[str]:
    return _controls(facts.everyone).index.difference(facts.train.index, sort=False)


def _controls_train_unless_stratified(facts: SplitFacts) -> Iterable[str]:
    return [] if facts.rules.stratify_controls else _all_controls_train(facts)


def _nobody_left_out(facts: SplitFacts) -> Iterable[str]:
    known = facts.train.index
    for side in facts.held_out:
        known = known.union(side.index)
    return facts.everyone.index.difference(known, sort=False)


def _nothing_given(facts: SplitFacts) -> Iterable[str]:
    return [] if facts.separate_training else facts.given.index


def _no_control_in_test(facts: SplitFacts) -> Iterable[str]:
    return _controls(facts.test).index


def _all_controls_given(facts: SplitFacts) -> Iterable[str]:
    return _controls(facts.everyone).index.difference(facts.given.index, sort=False)


def _whole_file_trains(facts: SplitFacts) -> Iterable[str]:
    aside = 0 if facts.validation is None else len(facts.validation)
    missing = facts.n_training_file - len(facts.train) - aside
    return [f"{missing} of its {facts.n_training_file} observations do not"] if missing else []


def _targets_measured(facts: SplitFacts) -> Iterable[str]:
    return [
        label
        for side in facts.held_out
        for label in _labels(side)
        if not facts.measured.issuperset(genes_of(label))
    ]


def _labels_seen(facts: SplitFacts) -> Iterable[str]:
    # A control that has the label of a perturbation shows nothing of its effect.
    perturbed = set(_perturbed_labels(facts.train))
    controls = set(_labels(_controls(facts.train)))
    unseen = [x for x in _perturbed_labels(facts.test) if x not in perturbed]
    return [*unseen, *(x for x in _labels(_controls(facts.test)) if x not in controls)]


def _of_several_genes(label: str) -> bool:
    return len(genes_of(label)) > 1


def _single_in_test(facts: SplitFacts) -> Iterable[str]:
    return [label for label in _labels(facts.test) if not _of_several_genes(label)]


def _several_in_test(facts: SplitFacts) -> Iterable[str]:
    return filter(_of_several_genes, _labels(facts.test))


def _single_in_training(facts: SplitFacts) -> Iterable[str]:
    return [x for x in _perturbed_labels(facts.train) if not _of_several_genes(x)]


def _several_in_training(facts: SplitFacts) -> Iterable[str]:
    return filter(_of_several_genes, _perturbed_labels(facts.train))


def _given_are_controls(facts: SplitFacts) -> Iterable[str]:
    return facts.given.index[~facts.given[IS_CONTROL].to_numpy(bool)]


def _controls_match(facts: SplitFacts) -> Iterable[str]:
    import pandas as pd

    from pereggrn_data.evaluators.grouping import group_keys

    contexts = (CELL_TYPE, TIMEPOINT)
    known = pd.concat([_controls(facts.given), _controls(facts.train)])
    present = set(group_keys(known, contexts))
    keys = group_keys(facts.test, contexts)
    return facts.test.index[[key not in present for key in keys]]


def _fold_named(facts: SplitFacts) -> Iterable[str]:
    return [] if facts.rules.fold is not None else ["no fold in the rules"]


def _of_the_cell_type(obs: pd.DataFrame, facts: SplitFacts) -> Any:
    """Return (rows,) which are of the held-out cell type; none without such a column."""
    if CELL_TYPE not in obs:
        return obs.index != obs.index
    named = obs[CELL_TYPE].notna() & (obs[CELL_TYPE].astype(str) == facts.rules.cell_type)
    return named.to_numpy(bool)


def _one_cell_type(facts: SplitFacts) -> Iterable[str]:
    perturbed = ~facts.test[IS_CONTROL].to_numpy(bool)
    yield from facts.test.index[~(perturbed & _of_the_cell_type(facts.test, facts))]


def _cell_type_unseen(facts: SplitFacts) -> Iterable[str]:
    for side in (facts.train, *facts.held_out[1:]):
        perturbed = ~side[IS_CONTROL].to_numpy(bool)
        yield from side.index[perturbed & _of_the_cell_type(side, facts)]


def _cell_type_has_controls(facts: SplitFacts) -> Iterable[str]:
    controls = _controls(facts.train)
    return [] if _of_the_cell_type(controls, facts).any() else [f"{facts.rules.cell_type}"]


def _others_train(facts: SplitFacts) -> Iterable[str]:
    perturbed = facts.train[~facts.train[IS_CONTROL].to_numpy(bool)]
    others = ~_of_the_cell_type(perturbed, facts)
    return [] if others.any() else ["no perturbed observation of another cell type"]


def _validation_apart(facts: SplitFacts) -> Iterable[str]:
    if facts.validation is None:
        return
    others = set(facts.train.index)
    if not facts.separate_training:
        others.update(facts.test.index, facts.given.index)
    yield from (name for name in facts.validation.index if name in others)
    yield from _controls(facts.validation).index


NOTHING_EMPTY = Guarantee("split-empty", "No side is empty.", _nothing_empty)
CONTROL_TRAINS = Guarantee("split-no-control", "At least one control trains.", _control_trains)
DISJOINT = Guarantee("split-overlap", "No observation is on both sides.", _disjoint)
LABELS_DISJOINT = Guarantee(
    "split-shared-perturbation",
    "No perturbation is on two sides, however its label is spelled.",
    _labels_disjoint,
)
ALL_CONTROLS_TRAIN = Guarantee("split-heldout-control", "All controls train.", _all_controls_train)
CONTROLS_TRAIN_UNLESS_STRATIFIED = Guarantee(
    "split-heldout-control",
    "All controls train, unless `--stratify-controls` holds some out.",
    _controls_train_unless_stratified,
)
TARGETS_MEASURED = Guarantee(
    "split-target-not-measured", "Every held-out gene is measured.", _targets_measured
)
LABELS_SEEN = Guarantee(
    "split-unseen-perturbation", "Every held-out perturbation also trains.", _labels_seen
)
TEST_SEVERAL = Guarantee(
    "split-single-in-test", "Every held-out perturbation has several genes.", _single_in_test
)
TRAIN_SINGLE = Guarantee(
    "split-combination-in-training",
    "Only single perturbations and controls train.",
    _several_in_training,
)
TEST_SINGLE = Guarantee(
    "split-combination-in-test", "Every held-out perturbation has one gene.", _several_in_test
)
TRAIN_SEVERAL = Guarantee(
    "split-single-in-training", "Only combinations and controls train.", _single_in_training
)
NOBODY_LEFT_OUT = Guarantee(
    "split-left-out",
    "Everything that is not held out trains, but for what is set aside for validation.",
    _nobody_left_out,
)
NO_CONTROL_IN_TEST = Guarantee(
    "split-heldout-control", "No control is held out.", _no_control_in_test
)
ALL_CONTROLS_GIVEN = Guarantee(
    "split-control-not-given", "All controls of the test file are given.", _all_controls_given
)
WHOLE_FILE_TRAINS = Guarantee(
    "split-left-out",
    "All of the training file trains, but for what is set aside for validation.",
    _whole_file_trains,
)
GIVEN_ARE_CONTROLS = Guarantee(
    "split-given-perturbation", "Only controls of the test file are given.", _given_are_controls
)
CONTROLS_MATCH = Guarantee(
    "split-no-matching-control",
    "For every held-out observation there is a control of its cell type and timepoint.",
    _controls_match,
)

FOLD_NAMED = Guarantee(
    "split-fold",
    "The split says which fold of how many it is. Together, the folds of one seed hold out "
    "every perturbation that can be held out exactly once (checked where they are made, and "
    "where their scores are pooled).",
    _fold_named,
)
ONE_CELL_TYPE = Guarantee(
    "split-other-cell-type",
    "Only perturbed observations of the named cell type are held out.",
    _one_cell_type,
)
CELL_TYPE_UNSEEN = Guarantee(
    "split-cell-type-in-training",
    "No perturbed observation of that cell type trains.",
    _cell_type_unseen,
)
CELL_TYPE_HAS_CONTROLS = Guarantee(
    "split-no-matching-control",
    "At least one control of that cell type trains.",
    _cell_type_has_controls,
)
OTHERS_TRAIN = Guarantee(
    "split-nothing-to-transfer",
    "Perturbations of other cell types train (whether each held-out perturbation is among them "
    "is not promised; those that are not are named).",
    _others_train,
)
VALIDATION_APART = Guarantee(
    "split-validation",
    "What is set aside for validation neither trains nor tests, and is no control.",
    _validation_apart,
)

NOTHING_GIVEN = Guarantee(
    "split-given", "Only a time series gives observations that neither train nor test.",
    _nothing_given,
)  # fmt: skip

UNIVERSAL = (NOTHING_EMPTY, CONTROL_TRAINS, DISJOINT, VALIDATION_APART, NOTHING_GIVEN)
"""Promises of every split."""
