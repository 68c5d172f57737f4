"""What a split rule looks at, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]


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
    """

    perturbations: npt.NDArray[np.object_]
    is_control: Mask
    measured: frozenset[str]
    heldout_fraction: float
    seed: int
    names: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))
    allowed: frozenset[str] | None = None
    stratify_controls: bool = False
    test_set: tuple[str, ...] | None = None


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

    train: Positions
    test: Positions
    given: Positions = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    warnings: tuple[str, ...] = ()

    @classmethod
    def of_mask(cls, is_test: Mask, *, warnings: tuple[str, ...] = ()) -> Sides:
        """Keep the dataset's order on both sides."""
        return cls(np.flatnonzero(~is_test), np.flatnonzero(is_test), warnings=warnings)
