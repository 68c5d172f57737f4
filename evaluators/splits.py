"""How a dataset is divided into training and test observations.

Every type of split is one entry of :data:`SPLIT_TYPES`: a rule from labels to
a set of test observations. Genes are chosen before observations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError
from pereggrn_data.core.labels import genes_of, unique_in_order

Mask = npt.NDArray[np.bool_]


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
    """

    perturbations: npt.NDArray[np.object_]
    is_control: Mask
    measured: frozenset[str]
    heldout_fraction: float
    seed: int


@dataclass(frozen=True)
class SplitType:
    """One way to split.

    Parameters
    ----------
    name
        As in ``--type``.
    tests
        Which question a score on such a split answers.
    guarantees
        What holds for every split of this type.
    source
        Where it is defined.
    choose
        From the request to the (n,) mask of test observations.
    """

    name: str
    tests: str
    guarantees: str
    source: str
    choose: Callable[[SplitRequest], Mask]


def choose_interventional(request: SplitRequest) -> Mask:
    """Hold out whole perturbations; controls train.

    A label is eligible when all its genes are measured. With n labels in all
    (those of controls included), if eligible/n exceeds the wanted fraction f,
    ``ceil((eligible/n - f) n)`` labels drawn without replacement go back to
    training. The draw is the original software's, so that splits with the same
    seed are equal.
    """
    labels = unique_in_order(request.perturbations)
    control_labels = set(request.perturbations[request.is_control])
    eligible = [
        label
        for label in labels
        if label not in control_labels and request.measured.issuperset(genes_of(label))
    ]
    if not eligible:
        raise InvalidDataError(
            "Nothing can be held out: no perturbation has all its genes measured.",
            expected="at least one label whose genes are all in var and in "
            "perturbed_and_measured_genes",
            got=f"{len(labels)} labels, {len(request.measured)} measured genes among them",
        )
    excess = len(eligible) / len(labels) - request.heldout_fraction
    back_to_training: set[str] = set()
    if excess > 0:
        # The product may exceed a whole number by a rounding error, and ceil
        # then counts one more. The original does the same; so do we.
        count = math.ceil(excess * len(labels))
        draw = np.random.default_rng(request.seed).choice(eligible, count, replace=False)
        back_to_training.update(map(str, draw))
    test = set(eligible) - back_to_training
    if not test:
        raise UsageError(
            f"A held-out fraction of {request.heldout_fraction} leaves the test set empty.",
            expected=f"more than 1/{len(labels)} of the perturbations",
            got=f"{len(eligible)} eligible labels, {len(back_to_training)} sent to training",
            fix="raise --heldout-fraction.",
        )
    return np.fromiter((p in test for p in request.perturbations), bool)


SPLIT_TYPES: dict[str, SplitType] = {
    split_type.name: split_type
    for split_type in (
        SplitType(
            name="interventional",
            tests="Can the effect of a perturbation be forecast that was never seen?",
            guarantees="No perturbation is on both sides; all controls train; "
            "every held-out gene is measured.",
            source='Kernfeld et al. 2025, Methods, "Evaluations"',
            choose=choose_interventional,
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


def choose_genes(
    genes: Sequence[str],
    rank: npt.ArrayLike,
    perturbed_and_measured: Sequence[str],
    num_genes: int,
) -> npt.NDArray[np.intp]:
    """Choose the genes to model: all perturbed ones, and the most variable others.

    Parameters
    ----------
    genes
        (genes,) names of the measured genes.
    rank
        (genes,) ``highly_variable_rank``, lowest is most variable.
    perturbed_and_measured
        Genes that are perturbed somewhere in the dataset, and measured.
    num_genes
        Wanted number. As in the original, a gene is kept when its rank is below
        this minus the number of perturbed genes; since ranks of perturbed genes
        count too, the result is usually smaller.

    Returns
    -------
    ndarray
        Positions of the chosen genes, ascending.
    """
    perturbed = set(perturbed_and_measured)
    is_perturbed = np.fromiter((gene in perturbed for gene in genes), bool, count=len(genes))
    variable = np.asarray(rank, dtype=float) < num_genes - len(perturbed)
    return np.flatnonzero(is_perturbed | variable)


def make_mask(name: str, request: SplitRequest) -> Mask:
    """Choose test observations by the named rule and check what every split must keep.

    Raises
    ------
    UnknownNameError
        If there is no such split type.
    UsageError
        If the fraction is not between 0 and 1.
    InvalidDataError
        If there is no control to train on, or nothing to hold out.
    """
    rule = split_type(name)
    if not 0 < request.heldout_fraction <= 1:
        raise UsageError(
            "The held-out fraction is out of range.",
            expected="more than 0 and at most 1",
            got=str(request.heldout_fraction),
        )
    if not request.is_control.any():
        raise InvalidDataError(
            "The dataset has no control, and without one there is no baseline.",
            expected="at least one observation with is_control",
            got=f"none of {len(request.is_control)}",
        )
    return rule.choose(request)
