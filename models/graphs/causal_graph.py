"""A fitted linear causal graph: every gene is forecast from its parents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.models.graphs.graph_forecasts import FittedGraph, common_parts
from pereggrn_data.models.plain_arrays import Array, Arrays, numbers_of


@dataclass(frozen=True, kw_only=True)
class CausalGraph(FittedGraph):
    """Weights of an acyclic graph of all genes.

    Parameters
    ----------
    method, genes, controls, span, notes
        See :class:`FittedGraph`.
    weights
        Parents x children; 0 where there is no edge. Of natural-log expression.
    intercept
        One value per gene.
    """

    weights: Floats
    intercept: Floats

    def step(self, state: Floats) -> Floats:
        """Forecast every gene (perturbations x genes) from its parents, once."""
        return np.asarray(state @ self.weights + self.intercept)

    def to_arrays(self) -> Arrays:
        """Return everything that the model needs to forecast."""
        return {**self.common_arrays(), "weights": self.weights, "intercept": self.intercept}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> CausalGraph:
        """Put together what `to_arrays` took apart; nothing about it is trusted.

        Raises
        ------
        KeyError, ValueError
            If a part is missing, or of another shape.
        """
        parts = common_parts(arrays)
        n = len(parts["genes"])
        return cls(
            **parts,
            weights=numbers_of(arrays["weights"], (n, n)),
            intercept=numbers_of(arrays["intercept"], (n,)),
        )
