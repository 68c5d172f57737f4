"""How each type of split chooses its test observations.

A rule looks at a request and answers with both sides. The random draws are
those of the original software, so that splits with the same seed hold out the
same observations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.arrays import Bools, Ints
from pereggrn_data.core.errors import (
    InvalidDataError,
    UnknownNameError,
    UsageError,
    first_few,
    with_article,
)
from pereggrn_data.core.labels import (
    Spelling,
    genes_of,
    spellings,
    unique_in_order,
)

LARGEST_LEGACY_SEED = 2**32 - 1


@dataclass(frozen=True)
class SplitRequest:
    """What a split rule looks at; never expression.

    Parameters
    ----------
    perturbations
        (n,) labels, in the dataset's order.
    is_control
        (n,) whether an observation is a control.
    measured
        Genes that are perturbed, measured, and among the modelled genes.
    heldout_fraction
        Wanted share of perturbation labels (or observations) in the test set.
    seed
        Of the random draw.
    names
        (n,) names of the observations; for rules that look at them.
    allowed
        Genes that may be held out; None where all may.
    stratify_controls
        Whether a stratified split holds out controls too.
    test_set
        Names of the observations that a custom split holds out.
    folds, fold
        Number of folds of a k_fold split, and which one is held out; None: none is named.
    cell_types
        (n,) cell types; None where the dataset has no such column.
    cell_type
        The one whose perturbed observations a cell_type split holds out.
    """

    perturbations: npt.NDArray[np.object_]
    is_control: Bools
    measured: frozenset[str]
    heldout_fraction: float
    seed: int
    names: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))
    allowed: frozenset[str] | None = None
    stratify_controls: bool = False
    test_set: tuple[str, ...] | None = None
    folds: int = 5
    fold: int | None = None
    cell_types: npt.NDArray[np.object_] | None = None
    cell_type: str | None = None


@dataclass(frozen=True)
class Sides:
    """Both sides of a split, as positions in the dataset.

    Parameters
    ----------
    train, test
        Disjoint; in the order in which they are used.
    given
        Observations that neither train nor are scored, but are known.
    warnings
        What the reader should know.
    """

    train: Ints
    test: Ints
    given: Ints = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    warnings: tuple[str, ...] = ()

    @classmethod
    def of_mask(cls, is_test: Bools, *, warnings: tuple[str, ...] = ()) -> Sides:
        """Keep the dataset's order on both sides."""
        return cls(np.flatnonzero(~is_test), np.flatnonzero(is_test), warnings=warnings)


def choose_interventional(request: SplitRequest) -> Sides:
    """Hold out whole perturbations; controls train.

    A label is eligible when all its genes are measured (and allowed). With n
    labels in all (those of controls included), if eligible/n exceeds the wanted
    fraction f, ``ceil((eligible/n - f) n)`` labels drawn without replacement go
    back to training.
    """
    labels = unique_in_order(request.perturbations)
    eligible = _eligible_labels(request, labels)
    excess = len(eligible) / len(labels) - request.heldout_fraction
    back_to_training: set[str] = set()
    warnings: tuple[str, ...] = ()
    if excess > 0:
        # The product may exceed a whole number by a rounding error, and ceil
        # then counts one more. The original does the same; so do we.
        count = math.ceil(excess * len(labels))
        draw = np.random.default_rng(request.seed).choice(eligible, count, replace=False)
        back_to_training.update(map(str, draw))
    elif excess < 0:
        warnings = (
            f"Only {len(eligible)} of {len(labels)} perturbation labels can be held out, fewer "
            f"than the wanted fraction of {request.heldout_fraction:g}: all of them are, "
            f"and the seed changes nothing. {_left_for_training(request, labels, eligible)}",
        )
    test = set(eligible) - back_to_training
    torn = _written_also_in_training(request, labels, test)
    if torn:
        test -= torn
        warnings += (
            f"{len(torn)} drawn perturbations train, because another spelling of theirs does: "
            f"{first_few(sorted(torn))}.",
        )
    if not test:
        raise UsageError(
            f"A held-out fraction of {request.heldout_fraction} leaves the test set empty.",
            expected=f"more than 1/{len(labels)} of the perturbations",
            got=f"{len(eligible)} eligible labels, {len(back_to_training)} sent to training",
            fix="raise --heldout-fraction.",
        )
    is_test = np.fromiter((p in test for p in request.perturbations), bool)
    return Sides.of_mask(is_test, warnings=warnings)


def _left_for_training(request: SplitRequest, labels: list[str], eligible: list[str]) -> str:
    """Say how many perturbations are left for training, and which fraction leaves more."""
    perturbed = len(set(map(str, request.perturbations[~request.is_control])))
    total, most = len(labels), len(eligible)
    said = f"{perturbed - most} other perturbations are left for training"
    fraction = math.ceil(100 * (most // 2) / total) / 100
    held = most - math.ceil((most / total - fraction) * total)
    if not 0 < held < most:
        return f"{said}."
    return (
        f"{said}; --heldout-fraction {fraction:g} holds out {held} and leaves {perturbed - held}."
    )


def _written_also_in_training(
    request: SplitRequest, labels: list[str], test: set[str]
) -> set[str]:
    """Return drawn labels of which another spelling trains: they cannot be held out alone."""
    same = spellings(labels, request.measured)
    return {label for group in same if not test.issuperset(group) for label in group} & test


def _eligible_labels(request: SplitRequest, labels: list[str]) -> list[str]:
    control_labels = set(request.perturbations[request.is_control])
    measured = request.measured
    may = measured if request.allowed is None else measured & request.allowed
    eligible = [
        label
        for label in labels
        if label not in control_labels and may.issuperset(genes_of(label))
    ]
    if not eligible:
        condition = "measured" if request.allowed is None else "measured and an allowed regulator"
        allowed = "" if request.allowed is None else f", {len(may)} of them allowed regulators"
        raise InvalidDataError(
            f"Nothing can be held out: no perturbation has all its genes {condition}.",
            expected="at least one label whose genes are all in var and in "
            "perturbed_and_measured_genes",
            got=f"{len(labels)} labels, {len(control_labels)} of them of controls; "
            f"{len(measured)} perturbed genes are measured{allowed}",
        )
    return eligible


def choose_k_fold(request: SplitRequest) -> Sides:
    """Hold out one of several folds of the perturbations; controls train.

    The labels that an interventional split may hold out are permuted by
    ``numpy.random.default_rng(seed)`` and dealt into folds whose sizes differ by one at
    most; all spellings of one perturbation stay together. Which fold is held out does not
    change the deal.
    """
    if request.fold is None:
        raise UsageError(
            "It is not said which fold to hold out.",
            expected=f"--fold 0 to {request.folds - 1}",
            got="no --fold",
            fix="`pereggrn-eval split --type k_fold` writes all of them, each in a folder with a "
            "split.json.",
        )
    labels = unique_in_order(request.perturbations)
    eligible = _eligible_labels(request, labels)
    torn = _written_also_in_training(request, labels, set(eligible))
    warnings: tuple[str, ...] = ()
    if torn:
        warnings = (
            f"{len(torn)} perturbations are in no fold, because another spelling of theirs cannot "
            f"be held out: {first_few(sorted(torn))}.",
        )
    form = Spelling(request.measured).form
    together: dict[str, list[str]] = {}
    for label in eligible:
        if label not in torn:
            together.setdefault(form(label), []).append(label)
    units = list(together.values())
    if len(units) < request.folds:
        raise UsageError(
            f"{len(units)} perturbations cannot be dealt into {request.folds} folds.",
            expected=f"--folds 2 to {len(units)}"
            if len(units) > 1
            else "two perturbations that can be held out, or more",
            got=f"--folds {request.folds}",
        )
    order = np.random.default_rng(request.seed).permutation(len(units))
    dealt = np.array_split(order, request.folds)[request.fold]
    test = {label for k in dealt for label in units[k]}
    is_test = np.fromiter((p in test for p in request.perturbations), bool)
    return Sides.of_mask(is_test, warnings=warnings)


def choose_cell_type(request: SplitRequest) -> Sides:
    """Hold out the perturbed observations of one cell type; its controls train."""
    if request.cell_types is None:
        raise InvalidDataError(
            "The observations do not say of which cell type they are.",
            expected="a column cell_type in obs",
            got="none",
            fix="choose another --type; where replicates are merged, add --keep-apart cell_type.",
        )
    types = request.cell_types.astype(str)
    # A missing one has no name, and is not the cell type that is called "nan".
    there = ~pd.isna(request.cell_types)
    perturbed = ~request.is_control
    known = unique_in_order(types[perturbed & there])
    if request.cell_type is None:
        raise UsageError(
            "A cell_type split holds out the cell type that you name.",
            expected="--cell-type with one of "
            + first_few(
                f"{t} ({int((types[perturbed & there] == t).sum())} perturbed)" for t in known
            ),
            got="no --cell-type",
        )
    here = there & (types == request.cell_type)
    if not here.any():
        raise UnknownNameError("cell type", request.cell_type, unique_in_order(types[there]))
    is_test = here & perturbed
    others = perturbed & ~here
    if not is_test.any() or not (here & ~perturbed).any() or not others.any():
        raise InvalidDataError(
            f"Transfer to {request.cell_type} cannot be tested.",
            expected="perturbed observations and controls of that cell type, and perturbed "
            "observations of another one",
            got=f"{int(is_test.sum())}, {int((here & ~perturbed).sum())} and "
            f"{int(others.sum())}; {len(known)} cell types are perturbed: {first_few(known)}",
            fix="choose another --cell-type, or another --type.",
        )
    trained = set(request.perturbations[others])
    unseen = [x for x in unique_in_order(request.perturbations[is_test]) if x not in trained]
    warnings: tuple[str, ...] = ()
    if unseen:
        total = len(set(request.perturbations[is_test]))
        warnings = (
            f"{len(unseen)} of {total} held-out perturbations train in no other cell type: "
            f"{first_few(unseen)}.",
        )
    return Sides.of_mask(is_test, warnings=warnings)


def choose_simple(request: SplitRequest) -> Sides:
    """Hold out random observations; controls train.

    ``round(n (1 - f))`` of n observations are drawn for training by NumPy's
    legacy generator, and all controls join them. Both sides are sorted by name.
    """
    total = len(request.perturbations)
    if request.seed > LARGEST_LEGACY_SEED:
        raise UsageError(
            "A simple split is drawn by NumPy's legacy generator, whose seeds have 32 bits.",
            expected=f"a seed of at most {LARGEST_LEGACY_SEED}",
            got=str(request.seed),
        )
    count = round(total * (1 - request.heldout_fraction))
    # The original draws with this generator; the newer one gives other splits.
    draw = np.random.RandomState(request.seed).choice(total, size=count, replace=False)
    is_train = request.is_control.copy()
    is_train[draw] = True
    if is_train.all():
        raise UsageError(
            f"A held-out fraction of {request.heldout_fraction} leaves the test set empty.",
            expected="at least one observation that is neither drawn for training nor a control",
            got=f"{total} observations, {int(request.is_control.sum())} of them controls, "
            f"{count} drawn for training",
            fix="raise --heldout-fraction.",
        )
    by_name = np.argsort(request.names.astype(str), kind="stable")
    return Sides(by_name[is_train[by_name]], by_name[~is_train[by_name]])


def choose_stratified(request: SplitRequest) -> Sides:
    """Hold out some replicates of every perturbation, and train on the others.

    Of the n observations of a label, ``max(1, (1 - f) n)``, rounded half to
    even, train. Every label is drawn with the same seed. Labels of controls are
    drawn too, and go back to training unless they are to be stratified.
    """
    codes, _ = pd.factorize(request.perturbations)
    by_label = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    train = []
    for rows in by_label:
        # float, as in the original: numpy rounds halves to even.
        count = int(np.round(max(1, (1 - request.heldout_fraction) * len(rows))))
        drawn = np.random.default_rng(request.seed).choice(len(rows), count, replace=False)
        chosen = rows[drawn]
        own = rows[~request.is_control[rows]]
        if own.size and request.is_control[chosen].all():
            # Only controls of that label were drawn: nothing would show its effect.
            chosen = np.union1d(chosen, own)
        if not request.stratify_controls:
            others = np.setdiff1d(rows, chosen)
            chosen = np.concatenate([chosen, others[request.is_control[others]]])
        train.append(chosen)
    order = np.concatenate(train)
    is_test = np.ones(len(codes), dtype=bool)
    is_test[order] = False
    warnings: tuple[str, ...] = ()
    if is_test.any() and request.is_control[is_test].all():
        warnings = ("Only controls are held out, so nothing is scored but them.",)
    if not is_test.any():
        perturbed = [len(rows) for rows in by_label if not request.is_control[rows].all()]
        largest = max(perturbed, default=0)
        raise InvalidDataError(
            "Nothing can be held out by a stratified split: every perturbation needs a "
            "replicate to train on and one to test.",
            expected=f"perturbations of which a fraction of {request.heldout_fraction:g} leaves "
            "at least one observation each side",
            got=f"{len(perturbed)} perturbations with at most {largest} observations each, "
            f"and {int(request.is_control.sum())} controls",
            fix="raise --heldout-fraction, or do not merge replicates."
            if largest > 1
            else "take a dataset with replicates, and do not merge them."
            if perturbed
            else "take a dataset with perturbations.",
        )
    return Sides(order, np.flatnonzero(is_test), warnings=warnings)


def genes_perturbed(request: SplitRequest) -> Ints:
    """Count the genes of each observation's perturbation; 0 for controls."""
    counts = {label: len(genes_of(label)) for label in set(request.perturbations)}
    number = np.fromiter((counts[p] for p in request.perturbations), np.intp)
    return np.where(request.is_control, 0, number)


def choose_genetic_interaction(request: SplitRequest) -> Sides:
    """Hold out all perturbations of several genes; single ones and controls train."""
    number = genes_perturbed(request)
    if not (number > 1).any():
        raise _too_uniform("genetic_interaction", "several genes", number)
    warnings = () if (number == 1).any() else ("No perturbation of a single gene trains.",)
    return Sides.of_mask(number > 1, warnings=warnings)


def choose_demultiplexing(request: SplitRequest) -> Sides:
    """Hold out all perturbations of one gene; combinations and controls train."""
    number = genes_perturbed(request)
    if not (number == 1).any() or not (number > 1).any():
        raise _too_uniform("demultiplexing", "one gene and of several genes", number)
    return Sides.of_mask(number == 1)


def _too_uniform(name: str, needed: str, number: Ints) -> InvalidDataError:
    return InvalidDataError(
        f"{with_article(name).capitalize()} split needs perturbations of {needed}.",
        expected="at least one observation of each kind",
        got=f"{int((number == 1).sum())} observations of one gene, "
        f"{int((number > 1).sum())} of several genes, {int((number == 0).sum())} controls",
        fix="choose another --type, for example interventional.",
    )


def choose_custom(request: SplitRequest) -> Sides:
    """Hold out the named observations, in the dataset's order."""
    if request.test_set is None:
        raise UsageError(
            "A custom split holds out the observations that you name.",
            expected="--test-set FILE, a JSON list or a CSV of observation names",
            got="no --test-set",
        )
    wanted, known = set(request.test_set), set(request.names)
    unknown = [name for name in request.test_set if name not in known]
    if unknown:
        raise InvalidDataError(
            f"The test set names observations that the dataset does not have: "
            f"{first_few(unknown)}.",
            expected="names from obs",
            got=f"{len(unknown)} unknown of {len(wanted)}; the dataset's begin with "
            f"{first_few(request.names[:3])}",
        )
    is_test = np.fromiter((name in wanted for name in request.names), bool)
    if not is_test.any() or is_test.all() or request.is_control[is_test].all():
        raise InvalidDataError(
            "A custom test set holds out some perturbations, and leaves observations to train on.",
            expected=f"at least one perturbed observation, and not all {len(is_test)}",
            got=f"{int(is_test.sum())}, {int(request.is_control[is_test].sum())} of them controls",
        )
    return Sides.of_mask(is_test, warnings=_shared_labels(request, is_test))


def _shared_labels(request: SplitRequest, is_test: Bools) -> tuple[str, ...]:
    """Say which perturbations are on both sides; a custom split may want that, or not know."""
    perturbed = ~request.is_control
    test = set(request.perturbations[is_test & perturbed])
    shared = sorted(test & set(request.perturbations[~is_test & perturbed]))
    if not shared:
        return ()
    return (
        f"{len(shared)} of {len(test)} held-out perturbations also occur in training: "
        f"{first_few(shared)}.",
    )


def choose_timeseries(request: SplitRequest) -> Sides:
    """Hold out all perturbed observations; the controls are given, another file trains."""
    if request.is_control.all():
        raise InvalidDataError(
            "Nothing can be held out: test.h5ad holds controls only.",
            expected="at least one perturbed observation",
            got=f"{len(request.is_control)} controls",
        )
    none = np.empty(0, dtype=np.intp)
    test, given = np.flatnonzero(~request.is_control), np.flatnonzero(request.is_control)
    return Sides(train=none, test=test, given=given)
