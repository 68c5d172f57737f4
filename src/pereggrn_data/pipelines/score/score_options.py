"""How predictions are read and scored: all options in one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.options import (
    check_options,
    documented,
    normalise,
    option,
    options_of,
    plain,
)
from pereggrn_data.core.prediction_types import CellSettings, LabelColumn, Space, TargetedGenes


class PredictionScale(StrEnum):
    """What predicted values mean."""

    EXPRESSION = "expression"
    LOGFC = "logfc"


class Genes(StrEnum):
    """Which genes are scored."""

    ALL = "all"
    INTERSECTION = "intersection"


class Fill(StrEnum):
    """What replaces predictions that are NaN."""

    NONE = "none"
    CONTROL = "control"


OF_READING = ("scale", "perturbation", "control", "fill_missing", "allow_missing", "check_scale",
              "genes", "step")  # fmt: skip
"""Options of :class:`ScoreOptions` that say how a file of predictions is read."""


@documented
@dataclass(frozen=True)
class ScoreOptions:
    """How strictly, and on which scale, predictions are read and scored.

    Parameters
    ----------
    {options}

    Raises
    ------
    UnknownNameError
        For a value that is not among the choices.
    """

    scale: str = option(
        str(PredictionScale.EXPRESSION),
        choices=PredictionScale,
        help="expression (natural log) or logfc (over the training controls).",
    )
    perturbation: str = option(
        PERTURBATION,
        help="The column that says what each row predicts, in files of other software, such as "
        "target_gene.",
    )
    control: str | Sequence[str] | None = option(
        None,
        kind=list,
        help="A label of control cells in such a file, such as non-targeting; its rows are "
        "checked, not scored.",
    )
    targeted_genes: str = option(
        "reveal",
        choices=TargetedGenes,
        noun="rule for targeted genes",
        help="reveal (set to the stated level), exclude, or as-is (what the original software "
        "does).",
    )
    fill_missing: str = option(
        str(Fill.NONE),
        choices=Fill,
        noun="rule for missing predictions",
        help="control: replace NaN by the mean of the training controls.",
    )
    allow_missing: bool = option(False, help="Score what was predicted, and say n of N.")
    check_scale: bool = option(
        True,
        flags=("--no-scale-check",),
        help="Refuse what looks like counts or z-scores.",
        help_off="Accept what looks like counts or z-scores.",
    )
    genes: str = option(
        str(Genes.ALL),
        choices=Genes,
        noun="choice of genes",
        help="all that were modelled, or intersection: those that the predictions have, too. "
        "Such scores compare only with scores of the same genes.",
    )
    calibrate: bool = option(
        True,
        flags=("--no-calibration",),
        help="Score controls and technical duplicates, too, to say which metrics can tell "
        "anything apart; made once per dataset and split.",
        help_off="Do not say how well a duplicate of the experiment would do.",
    )
    calibration: Path | None = option(
        None,
        help="A calibration.json of the same dataset and split, instead of the kept one.",
    )
    cell_metrics: bool = option(
        False,
        help="Metrics of cells, too (differential expression, distances between "
        "distributions): for predictions with 8 or more cells per perturbation. They take "
        "the extra 'cells' and more time.",
    )
    space: str = option(
        str(Space.GENES),
        choices=Space,
        noun="space",
        help="Where distances between cells are measured: genes, or pca (components of the "
        "training observations).",
        needs=("cell_metrics",),
    )
    step: int | None = option(
        None, minimum=0, help="Which prediction_timescale to score, for files with several."
    )
    draws: int = option(
        2000,
        minimum=200,
        noun="number of draws",
        help="Draws of perturbations from which intervals are made.",
    )
    draws_seed: int = option(
        0, minimum=0, help="Seed of these draws; equal seeds give equal intervals."
    )
    network: Any = option(
        None,
        kind=list,
        help="Also tell perturbations apart by whether their targets are regulators in this "
        "network (score --show strata); name or path, several are united.",
    )
    effects: str | Sequence[str] | None = option(
        None,
        kind=list,
        help="Keep the log fold changes of this perturbation, too, to be looked at in a report; "
        "those of the best, the worst and some between are always kept, and all keeps every one.",
    )
    name: str | None = option(
        None,
        help="Name of the method, in summary.json and scores.csv; by default what made the "
        "file, as it says, or the file's name.",
    )

    def __post_init__(self) -> None:
        normalise(self)
        for name in ("effects", "control"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, [getattr(self, name)])
        check_options(self)

    def said(self) -> dict[str, Any]:
        """Return the options that are not the default, as JSON has them."""
        known = options_of(ScoreOptions)
        given = {name: getattr(self, name) for name in known}
        return {name: plain(value) for name, value in given.items() if known[name].differs(value)}

    @property
    def label_column(self) -> LabelColumn:
        """Where predictions say what they predict."""
        return LabelColumn(self.perturbation, tuple(map(str, self.control or ())))

    @property
    def cells(self) -> CellSettings | None:
        """How cells are compared; None where they are not."""
        return cell_settings(self.cell_metrics, self.space)


def cell_settings(cell_metrics: bool, space: str) -> CellSettings | None:
    """Return how cells are compared; None where they are not."""
    return CellSettings(Space(space)) if cell_metrics else None
