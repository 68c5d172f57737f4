"""How a split is made: all options in one object, as the command line and Python give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.core.options import documented, option, options_of
from pereggrn_data.core.splits import SplitRules


def _types() -> Iterable[str]:
    from pereggrn_data.evaluators.splits import SPLIT_TYPES

    return SPLIT_TYPES


@documented
@dataclass(frozen=True)
class SplitOptions(SplitRules):
    """How to make a split.

    Parameters
    ----------
    {options}
    """

    type: str = option(
        "interventional", choices=_types, noun="split type", help="Type of split: {choices}."
    )
    seed: int = option(0, minimum=0, help="Seed of the random draw.")
    heldout_fraction: float = option(
        0.5,
        help="Wanted share of the perturbations in the test set (of the observations, for "
        "simple and stratified). Types other than these and interventional do not ask for it: "
        "k_fold holds out one of its folds.",
    )
    num_genes: int = option(
        10_000,
        minimum=1,
        noun="number of genes",
        help="Wanted number of genes: all perturbed ones, and the most variable ones.",
    )
    test_set: str | Path | Sequence[str] | None = option(
        None,
        finer=True,
        applies_to=("custom",),
        help="the observations to hold out: a JSON list or a CSV file (in Python also their "
        "names).",
    )

    @property
    def rules(self) -> SplitRules:
        """What is done besides the draw, and recorded in the split."""
        return SplitRules(**{name: getattr(self, name) for name in options_of(SplitRules)})
