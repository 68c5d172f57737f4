"""How a split is made: all options in one object, as the command line and Python give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pereggrn_data.core.split_rules import SplitRules

DEFAULT_TYPE = "interventional"
DEFAULT_FRACTION = 0.5
DEFAULT_GENES = 10_000


@dataclass(frozen=True)
class SplitOptions:
    """How to make a split.

    Parameters
    ----------
    type
        Name of the split type.
    seed
        Of the random draw.
    heldout_fraction
        Wanted share of the perturbations (of the observations, for ``simple``
        and ``stratified``) in the test set.
    num_genes
        Wanted number of genes.
    rules
        What is done besides the draw.
    test_set
        For ``custom``: a file, or the names themselves.
    """

    type: str = DEFAULT_TYPE
    seed: int = 0
    heldout_fraction: float = DEFAULT_FRACTION
    num_genes: int = DEFAULT_GENES
    rules: SplitRules = field(default_factory=SplitRules)
    test_set: str | Path | Sequence[str] | None = None
