"""The types of split: what each tests, what it promises, and where it comes from.

Every type is one entry of :data:`SPLIT_TYPES`: a rule from labels to both
sides, and the promises that are checked on every split that is made or read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError, with_article
from pereggrn_data.core.format import CELL_TYPE
from pereggrn_data.core.options import options_of
from pereggrn_data.core.splits import CONTEXTS, SplitRules
from pereggrn_data.evaluators.splits import guarantees as promise

if TYPE_CHECKING:
    from pereggrn_data.evaluators.splits.choosing import Sides, SplitRequest

_PAPER = "Kernfeld et al. 2025"
_SOFTWARE = "the original software (pereggrn 146e517)"


@dataclass(frozen=True)
class SplitType:
    """One way to split.

    Parameters
    ----------
    name
        As in ``--type``.
    tests
        Which question a score on such a split answers.
    promises
        What holds for every split of this type, beside what holds for all.
    source
        Where it is defined.
    choose
        From the request to both sides.
    extra_baselines
        Baselines that are scored beside the mean and the median.
    separate_training
        Whether another file trains.
    matched_by
        Columns within which held-out observations have controls and baselines of their
        own; empty where all are pooled.
    """

    name: str
    tests: str
    promises: tuple[promise.Guarantee, ...]
    source: str
    choose: Callable[[SplitRequest], Sides]
    extra_baselines: tuple[str, ...] = ()
    separate_training: bool = False
    matched_by: tuple[str, ...] = ()

    @property
    def holds_out_labels(self) -> bool:
        """Whether no perturbation may be on two sides; a validation side keeps to that."""
        return promise.LABELS_DISJOINT in self.promises

    @property
    def guarantees(self) -> str:
        """All promises, those of every split first, in one paragraph."""
        return " ".join(p.text for p in (*promise.UNIVERSAL, *self.promises))

    def broken_promises(
        self, facts: promise.SplitFacts
    ) -> list[tuple[promise.Guarantee, tuple[str, ...]]]:
        """Return the promises that a split breaks, each with the names that break it."""
        checked = ((p, tuple(p.offenders(facts))) for p in (*promise.UNIVERSAL, *self.promises))
        return [(p, names) for p, names in checked if names]


def _by(function: str) -> Callable[[SplitRequest], Sides]:
    """Return a rule of :mod:`choosing`, which is imported when a split is made.

    Names and promises are asked for by help and documentation, which need none of the
    libraries that rules compute with.
    """

    def choose(request: SplitRequest) -> Sides:
        from pereggrn_data.evaluators.splits import choosing

        rule: Callable[[SplitRequest], Sides] = getattr(choosing, function)
        return rule(request)

    return choose


SPLIT_TYPES: dict[str, SplitType] = {
    split_type.name: split_type
    for split_type in (
        SplitType(
            name="interventional",
            tests="Can the effect of a perturbation be forecast that was never seen?",
            promises=(
                promise.LABELS_DISJOINT,
                promise.ALL_CONTROLS_TRAIN,
                promise.NOBODY_LEFT_OUT,
                promise.TARGETS_MEASURED,
            ),
            source=f'{_PAPER}, Methods, "Evaluations"',
            choose=_by("choose_interventional"),
        ),
        SplitType(
            name="simple",
            tests="Can observations be forecast that were drawn at random, whatever else "
            "is known of their perturbations?",
            promises=(promise.ALL_CONTROLS_TRAIN, promise.NOBODY_LEFT_OUT),
            source=_SOFTWARE,
            choose=_by("choose_simple"),
        ),
        SplitType(
            name="stratified",
            tests="Can further replicates be forecast of perturbations that were seen?",
            promises=(
                promise.LABELS_SEEN,
                promise.CONTROLS_TRAIN_UNLESS_STRATIFIED,
                promise.NOBODY_LEFT_OUT,
            ),
            source=f"{_PAPER}, Results (the opposite type of data split); {_SOFTWARE}",
            choose=_by("choose_stratified"),
        ),
        SplitType(
            name="genetic_interaction",
            tests="Can the effect of a combination be forecast from those of its genes?",
            promises=(
                promise.LABELS_DISJOINT,
                promise.ALL_CONTROLS_TRAIN,
                promise.NOBODY_LEFT_OUT,
                promise.TEST_SEVERAL,
                promise.TRAIN_SINGLE,
            ),
            source=_SOFTWARE,
            choose=_by("choose_genetic_interaction"),
            extra_baselines=("additive",),
        ),
        SplitType(
            name="demultiplexing",
            tests="Can the effects of single genes be forecast from those of combinations?",
            promises=(
                promise.LABELS_DISJOINT,
                promise.ALL_CONTROLS_TRAIN,
                promise.NOBODY_LEFT_OUT,
                promise.TEST_SINGLE,
                promise.TRAIN_SEVERAL,
            ),
            source=_SOFTWARE,
            choose=_by("choose_demultiplexing"),
        ),
        SplitType(
            name="k_fold",
            tests="Can the effect of a perturbation be forecast that was never seen, for every "
            "perturbation that can be held out?",
            promises=(
                promise.LABELS_DISJOINT,
                promise.ALL_CONTROLS_TRAIN,
                promise.NOBODY_LEFT_OUT,
                promise.TARGETS_MEASURED,
                promise.FOLD_NAMED,
            ),
            source="cross-validation; eligible labels as in interventional splits",
            choose=_by("choose_k_fold"),
        ),
        SplitType(
            name="cell_type",
            tests="Can effects be forecast in a cell type of which only controls are known, "
            "from perturbations of other cell types?",
            promises=(
                promise.ONE_CELL_TYPE,
                promise.CELL_TYPE_UNSEEN,
                promise.ALL_CONTROLS_TRAIN,
                promise.CELL_TYPE_HAS_CONTROLS,
                promise.OTHERS_TRAIN,
                promise.NOBODY_LEFT_OUT,
            ),
            source=f"{_PAPER}, Conclusions (transfer across cell types)",
            choose=_by("choose_cell_type"),
            extra_baselines=("transferred",),
            matched_by=(CELL_TYPE,),
        ),
        SplitType(
            name="custom",
            tests="Whatever the named observations were chosen for.",
            promises=(),
            source=_SOFTWARE,
            choose=_by("choose_custom"),
        ),
        SplitType(
            name="timeseries",
            tests="Can perturbations be forecast by a model of the unperturbed course of time?",
            promises=(
                promise.WHOLE_FILE_TRAINS,
                promise.NO_CONTROL_IN_TEST,
                promise.ALL_CONTROLS_GIVEN,
                promise.GIVEN_ARE_CONTROLS,
                promise.CONTROLS_MATCH,
            ),
            source=f"{_SOFTWARE}; its baseline pools cell types and timepoints, ours does not",
            choose=_by("choose_timeseries"),
            separate_training=True,
            matched_by=CONTEXTS,
        ),
    )
}


def split_type(name: str) -> SplitType:
    """Look up a split type.

    Raises
    ------
    UnknownNameError
        With near matches.
    """
    if name not in SPLIT_TYPES:
        raise UnknownNameError("split type", name, SPLIT_TYPES)
    return SPLIT_TYPES[name]


def split_types_table() -> str:
    """Return the documentation's table of split types, as Markdown."""
    lines = ["| type | question | promises | baselines | source |", "|" + "---|" * 5]
    for t in SPLIT_TYPES.values():
        promises = " ".join(p.text for p in t.promises)
        baselines = ", ".join(("mean", "median", *t.extra_baselines))
        lines.append(f"| `{t.name}` | {t.tests} | {promises} | {baselines} | {t.source} |")
    return "\n".join(lines)


def require_applicable(name: str, rules: SplitRules) -> None:
    """Check that a type of split makes use of the rules that were asked for.

    Parameters
    ----------
    name
        Of the type.
    rules
        The rules, or all options, of the split.

    Raises
    ------
    UnknownNameError
        If there is no such type, or no such rule.
    UsageError
        If a rule would be ignored.
    """
    rule = split_type(name)
    rules.require_consistent()
    for option, about in options_of(type(rules)).items():
        ignored = about.applies_to and name not in about.applies_to
        if ignored and about.differs(getattr(rules, option)):
            raise UsageError(
                f"{about.flags[0]} means nothing to {with_article(name)} split.",
                expected=f"--type {' or '.join(about.applies_to)}",
                got=f"--type {name}",
                fix="leave the option out, or choose the other type.",
            )
    if rules.merge_replicates and rule.separate_training:
        raise UsageError(
            f"Replicates of {with_article(name)} split are not merged: it needs them one by one.",
            fix="leave out --merge-replicates; scores average within perturbation, cell type "
            "and timepoint anyway.",
        )


def make_sides(name: str, request: SplitRequest) -> Sides:
    """Choose both sides by the named rule.

    Raises
    ------
    UnknownNameError
        If there is no such split type.
    UsageError
        If the fraction is not between 0 and 1, or leaves a side empty.
    InvalidDataError
        If there is no control to train on, or nothing to hold out.
    """
    rule = split_type(name)
    if type(request.seed) is not int or request.seed < 0:
        raise UsageError(
            "That is no seed.", expected="a whole number, 0 or more", got=repr(request.seed)
        )
    if type(request.heldout_fraction) not in (int, float):
        raise UsageError(
            "The held-out fraction is not a number.", got=repr(request.heldout_fraction)
        )
    if not 0 < request.heldout_fraction <= 1:
        raise UsageError(
            "The held-out fraction is out of range.",
            expected="more than 0 and at most 1",
            got=str(request.heldout_fraction),
        )
    if not request.is_control.any() and not rule.separate_training:
        raise InvalidDataError(
            "The dataset has no control, and without one there is no baseline.",
            expected="at least one observation with is_control",
            got=f"none of {len(request.is_control)}",
        )
    return rule.choose(request)
