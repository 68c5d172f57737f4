"""What is set aside of the training side for validation, for any type of split.

Whoever tunes a model needs observations to tune it on that are not those it is judged by.
They are drawn from the training perturbations after the test side is chosen, so that the
test side is the same with and without a validation side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Bools, Ints
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.labels import Spelling, genes_of
from pereggrn_data.evaluators.splits.guarantees import TARGETS_MEASURED

if TYPE_CHECKING:
    from pereggrn_data.evaluators.splits.types import SplitType

STREAM = 1
"""Second number of the seed, so that this draw does not repeat that of the test side."""


def choose_validation(
    kind: SplitType,
    perturbations: npt.NDArray[np.object_],
    is_control: Bools,
    *,
    measured: frozenset[str],
    fraction: float,
    seed: int,
) -> Ints:
    """Choose which training observations are set aside.

    Parameters
    ----------
    kind
        The type of the split. Where it promises that no perturbation is on two sides, whole
        perturbations are drawn (among those whose genes are all measured, where it promises
        that of the test side); else single observations.
    perturbations, is_control
        (n,) of the training side.
    measured
        Genes that are perturbed and measured.
    fraction
        Wanted share of the perturbations that can be drawn, or of the perturbed observations.
    seed
        The draw is that of ``numpy.random.default_rng((seed, 1))``.

    Returns
    -------
    ndarray
        Positions, ascending; at least one, and never all observations of the perturbed side.

    Raises
    ------
    InvalidDataError
        If nothing can be spared.

    Notes
    -----
    Of u perturbations that can be drawn, ``max(1, round(f u))`` are; of n perturbed
    observations ``max(1, round(f n))``, in the order of a permutation of all of them, but
    never the last one that a perturbation has.
    """
    rng = np.random.default_rng((seed, STREAM))
    if kind.holds_out_labels:
        eligible = measured if TARGETS_MEASURED in kind.promises else None
        return _whole_perturbations(perturbations, is_control, eligible, measured, fraction, rng)
    return _single_observations(perturbations, is_control, fraction, rng)


def _whole_perturbations(
    perturbations: npt.NDArray[np.object_],
    is_control: Bools,
    eligible: frozenset[str] | None,
    measured: frozenset[str],
    fraction: float,
    rng: np.random.Generator,
) -> Ints:
    form = Spelling(measured).form
    of_control = {form(x) for x in set(perturbations[is_control])}
    together: dict[str, list[str]] = {}
    for label in dict.fromkeys(perturbations[~is_control]):
        together.setdefault(form(label), []).append(label)
    total = len(together)
    units = [
        labels
        for name, labels in together.items()
        if name not in of_control and (eligible is None or _all_among(labels, eligible))
    ]
    count = min(max(1, round(fraction * len(units))), total - 1)
    if not units or count < 1:
        raise InvalidDataError(
            "No perturbation can be set aside for validation.",
            expected="two training perturbations, and one of them with all its genes measured"
            if eligible is not None
            else "two training perturbations",
            got=f"{total} that train, {len(units)} of which can be drawn",
            fix="lower --heldout-fraction, or leave out --validation-fraction.",
        )
    drawn = {x for k in rng.permutation(len(units))[:count] for x in units[k]}
    return np.flatnonzero(np.fromiter((x in drawn for x in perturbations), bool) & ~is_control)


def _all_among(labels: Sequence[str], genes: frozenset[str]) -> bool:
    return all(genes.issuperset(genes_of(label)) for label in labels)


def _single_observations(
    perturbations: npt.NDArray[np.object_],
    is_control: Bools,
    fraction: float,
    rng: np.random.Generator,
) -> Ints:
    rows = np.flatnonzero(~is_control)
    left: dict[str, int] = {}
    for label in perturbations[rows]:
        left[label] = left.get(label, 0) + 1
    count = max(1, round(fraction * len(rows)))
    chosen: list[int] = []
    for row in rng.permutation(rows):
        label = perturbations[row]
        if len(chosen) < count and left[label] > 1:
            left[label] -= 1
            chosen.append(int(row))
    if not chosen:
        raise InvalidDataError(
            "No observation can be set aside for validation.",
            expected="a training perturbation with two observations or more",
            got=f"{len(left)} training perturbations with {len(rows)} observations",
            fix="leave out --validation-fraction, or do not merge replicates.",
        )
    return np.array(sorted(chosen), dtype=np.intp)
