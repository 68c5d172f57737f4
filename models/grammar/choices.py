"""The grammar of gene regulatory networks: the choices that make a regression a forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from numbers import Integral
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class NetworkPrior(StrEnum):
    """What a network is used for."""

    IGNORE = "ignore"
    RESTRICTIVE = "restrictive"


class Exclusion(StrEnum):
    """Which observations do not train a gene's model.

    ``GENE``: those in which the gene is directly perturbed, alone or with
    others. ``LABEL``: those whose whole label is the gene, as in the original
    software, which misses multi-gene perturbations.
    """

    GENE = "gene"
    LABEL = "label"


class Matching(StrEnum):
    """Which observation's features an observation is trained on."""

    STEADY_STATE = "steady_state"
    CLOSEST = "closest"
    CLOSEST_WITH_UNMATCHED_CONTROLS = "closest_with_unmatched_controls"
    RANDOM = "random"
    USER = "user"
    OPTIMAL_TRANSPORT = "optimal_transport"


class CellTypeSharing(StrEnum):
    """Whether cell types share one model, or each has its own."""

    IDENTICAL = "identical"
    DISTINCT = "distinct"


class Pruning(StrEnum):
    """Whether weak coefficients are removed, and the models refitted."""

    NONE = "none"
    PRUNE_AND_REFIT = "prune_and_refit"


class LowDimensionalStructure(StrEnum):
    """Whether forecasts go through a subspace.

    With Q the projection, R its reconstruction and G the regressions:
    ``NONE`` G(X), ``DYNAMICS`` R(G(Q(X))), ``POSTPROCESSING`` R(Q(G(X))).
    """

    NONE = "none"
    DYNAMICS = "dynamics"
    POSTPROCESSING = "postprocessing"


@dataclass(frozen=True)
class Grammar:
    """How to fit and to forecast; the names are those of the original grammar.

    Parameters
    ----------
    method
        Name of a regression method.
    method_arguments
        Passed on to it.
    predict_self
        Whether a gene may be a feature of its own model.
    exclusion
        Which observations do not train a gene's model.
    network_prior
        ``restrictive``: only a gene's regulators in the network are features
        of its model. None: restrictive if there is a network.
    matching_method
        Which observation's features an observation is trained on.
    cell_type_sharing_strategy
        One model for all cell types, or one each.
    pruning_strategy, pruning_parameter
        ``prune_and_refit`` keeps this many of the largest coefficients over
        all models, and fits again with these alone.
    low_dimensional_structure
        Whether forecasts go through a subspace.
    low_dimensional_value
        Its dimension, for a subspace of principal components; or a matrix,
        dimensions x genes, whose rows span it.
    seed
        Of everything random.
    """

    method: str = "RidgeCV"
    method_arguments: Mapping[str, Any] = field(default_factory=dict)
    predict_self: bool = False
    exclusion: Exclusion = Exclusion.GENE
    network_prior: NetworkPrior | None = None
    matching_method: Matching = Matching.STEADY_STATE
    cell_type_sharing_strategy: CellTypeSharing = CellTypeSharing.IDENTICAL
    pruning_strategy: Pruning = Pruning.NONE
    pruning_parameter: int | None = None
    low_dimensional_structure: LowDimensionalStructure = LowDimensionalStructure.NONE
    low_dimensional_value: int | npt.NDArray[np.float64] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        # Here, because help lists the choices above and has no use for the methods' libraries.
        from pereggrn_data.models.methods import get_regression

        get_regression(self.method)
        for name, kind in _CHOICES.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _choice(name, kind, value))
        self._check_pruning()
        if not _is_whole(self.seed) or not 0 <= self.seed < 2**32:
            raise UsageError(
                "The seed is not valid.",
                expected="a whole number, 0 to 4294967295",
                got=repr(self.seed),
            )
        wants_subspace = self.low_dimensional_structure is not LowDimensionalStructure.NONE
        if wants_subspace != (self.low_dimensional_value is not None):
            raise UsageError(
                "A low-dimensional structure and its dimension or matrix go together.",
                expected="both of low_dimensional_structure and low_dimensional_value, or neither",
                got=f"low_dimensional_structure = {self.low_dimensional_structure}, "
                f"low_dimensional_value {'given' if not wants_subspace else 'missing'}",
            )

    def _check_pruning(self) -> None:
        n = self.pruning_parameter
        if (self.pruning_strategy is Pruning.PRUNE_AND_REFIT) != (n is not None):
            raise UsageError(
                "Pruning and the number of coefficients to keep go together.",
                expected="pruning_strategy prune_and_refit with a pruning_parameter, or neither",
                got=f"pruning_strategy = {self.pruning_strategy}, pruning_parameter = {n}",
            )
        if n is not None and (not _is_whole(n) or n < 1):
            raise UsageError(
                "The number of coefficients to keep is not valid.",
                expected="pruning_parameter: a whole number, 1 or more",
                got=repr(n),
            )


_CHOICES: dict[str, type[StrEnum]] = {
    "exclusion": Exclusion,
    "network_prior": NetworkPrior,
    "matching_method": Matching,
    "cell_type_sharing_strategy": CellTypeSharing,
    "pruning_strategy": Pruning,
    "low_dimensional_structure": LowDimensionalStructure,
}


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _choice(name: str, kind: type[StrEnum], value: object) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        raise UsageError(
            f"{value!r} is not a value of {name}.", expected=", ".join(k.value for k in kind)
        ) from None
