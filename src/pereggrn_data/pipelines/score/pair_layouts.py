"""How files for other evaluators are laid out, and what can be chosen of them."""

from __future__ import annotations

from dataclasses import dataclass

from pereggrn_data.core.options import check_options, documented, normalise, option


@dataclass(frozen=True)
class PairFormat:
    """How a pair of files is laid out.

    Parameters
    ----------
    column
        Of ``obs``, with the perturbation of each cell.
    control
        What the column says of control cells.
    real, predicted
        Names of the files.
    """

    column: str
    control: str
    real: str = "real.h5ad"
    predicted: str = "pred.h5ad"

    @property
    def files(self) -> tuple[str, str]:
        """Names of both files, the measured side first."""
        return self.real, self.predicted


PAIR_FORMATS = {"cell-eval": PairFormat("target_gene", "non-targeting")}
"""By the name of the software; cell-eval2 and scPertEval take the layout of cell-eval."""


@documented
@dataclass(frozen=True)
class ExportOptions:
    """What a pair of files is for, and on which scale it is.

    Parameters
    ----------
    {options}

    Raises
    ------
    UnknownNameError
        For a value that is not among the choices.
    """

    software: str = option(
        "cell-eval",
        flags=("--for",),
        choices=PAIR_FORMATS,
        noun="software to export for",
        help="Whose layout the files have; {choices}. That of cell-eval is also taken by "
        "cell-eval2 and scPertEval.",
    )
    counts: bool = option(
        False,
        help="Write counts, the whole numbers nearest to exp(x) - 1, instead of natural-log "
        "values x. Rounding loses something where counts are small.",
    )

    def __post_init__(self) -> None:
        normalise(self)
        check_options(self)
