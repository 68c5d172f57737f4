"""Scores: what was held out is made a task, predictions are aligned to it and measured.

Pure computation on data in memory: no paths, no files, no network. For the
pipelines, which prepare what is scored: `make_task`, `place_rows` and `align`,
`score`, in this order, and then `summarise` and `signature`. Splits, metrics and summaries
have packages of their own: :mod:`~pereggrn_data.evaluators.splits`,
:mod:`~pereggrn_data.evaluators.metrics`, :mod:`~pereggrn_data.evaluators.summaries`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.evaluators.alignment import Aligned as Aligned
    from pereggrn_data.evaluators.alignment import ControlFill as ControlFill
    from pereggrn_data.evaluators.alignment import Placement as Placement
    from pereggrn_data.evaluators.alignment import align as align
    from pereggrn_data.evaluators.alignment import aligned_sums as aligned_sums
    from pereggrn_data.evaluators.alignment import observations_named as observations_named
    from pereggrn_data.evaluators.alignment import place_rows as place_rows
    from pereggrn_data.evaluators.alignment import wrong_labels as wrong_labels
    from pereggrn_data.evaluators.calibration import Calibration as Calibration
    from pereggrn_data.evaluators.calibration import calibrate as calibrate
    from pereggrn_data.evaluators.cell_scores import score_cells as score_cells
    from pereggrn_data.evaluators.controls import CONTROLS as CONTROLS
    from pereggrn_data.evaluators.dataset_quality import Quality as Quality
    from pereggrn_data.evaluators.dataset_quality import quality as quality
    from pereggrn_data.evaluators.gene_strata import BINS as BINS
    from pereggrn_data.evaluators.gene_strata import GENE_FEATURES as GENE_FEATURES
    from pereggrn_data.evaluators.gene_strata import contributions as contributions
    from pereggrn_data.evaluators.gene_strata import gene_features_table as gene_features_table
    from pereggrn_data.evaluators.gene_strata import training_features as training_features
    from pereggrn_data.evaluators.grouping import group_keys as group_keys
    from pereggrn_data.evaluators.grouping import group_names as group_names
    from pereggrn_data.evaluators.grouping import mean_by_group as mean_by_group
    from pereggrn_data.evaluators.grouping import numbered as numbered
    from pereggrn_data.evaluators.grouping import time_text as time_text
    from pereggrn_data.evaluators.grouping import without_categories as without_categories
    from pereggrn_data.evaluators.metrics.cell_groups import CellGroups as CellGroups
    from pereggrn_data.evaluators.metrics.cell_groups import stacked_cells as stacked_cells
    from pereggrn_data.evaluators.metrics.definitions import METRICS as METRICS
    from pereggrn_data.evaluators.per_gene import PREDICTED_BY as PREDICTED_BY
    from pereggrn_data.evaluators.replicate_halves import DUPLICATE as DUPLICATE
    from pereggrn_data.evaluators.replicate_halves import HALF as HALF
    from pereggrn_data.evaluators.replicate_halves import INTERPOLATED as INTERPOLATED
    from pereggrn_data.evaluators.scoring import PREDICTIONS as PREDICTIONS
    from pereggrn_data.evaluators.scoring import Scores as Scores
    from pereggrn_data.evaluators.scoring import score as score
    from pereggrn_data.evaluators.shown_effects import EVERY_GROUP as EVERY_GROUP
    from pereggrn_data.evaluators.splits.types import SPLIT_TYPES as SPLIT_TYPES
    from pereggrn_data.evaluators.strata import ARE_REGULATORS as ARE_REGULATORS
    from pereggrn_data.evaluators.strata import strata_of as strata_of
    from pereggrn_data.evaluators.strata import summarise_strata as summarise_strata
    from pereggrn_data.evaluators.targets import TargetedGenes as TargetedGenes
    from pereggrn_data.evaluators.task import SidesOfData as SidesOfData
    from pereggrn_data.evaluators.task import Task as Task
    from pereggrn_data.evaluators.task import make_task as make_task
    from pereggrn_data.evaluators.task import take_sides as take_sides
    from pereggrn_data.evaluators.task import task_of_sides as task_of_sides
    from pereggrn_data.evaluators.task_baselines import Contexts as Contexts
    from pereggrn_data.evaluators.task_baselines import matched_controls as matched_controls

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "alignment": (
            "Aligned",
            "ControlFill",
            "Placement",
            "align",
            "aligned_sums",
            "observations_named",
            "place_rows",
            "wrong_labels",
        ),
        "calibration": (
            "Calibration",
            "calibrate",
        ),
        "gene_strata": (
            "BINS",
            "GENE_FEATURES",
            "contributions",
            "gene_features_table",
            "training_features",
        ),
        "cell_scores": ("score_cells",),
        "controls": ("CONTROLS",),
        "grouping": (
            "group_keys",
            "group_names",
            "mean_by_group",
            "numbered",
            "time_text",
            "without_categories",
        ),
        "metrics.cell_groups": (
            "CellGroups",
            "stacked_cells",
        ),
        "metrics.definitions": ("METRICS",),
        "per_gene": ("PREDICTED_BY",),
        "dataset_quality": (
            "Quality",
            "quality",
        ),
        "replicate_halves": (
            "DUPLICATE",
            "HALF",
            "INTERPOLATED",
        ),
        "scoring": (
            "PREDICTIONS",
            "Scores",
            "score",
        ),
        "shown_effects": ("EVERY_GROUP",),
        "splits.types": ("SPLIT_TYPES",),
        "strata": (
            "ARE_REGULATORS",
            "strata_of",
            "summarise_strata",
        ),
        "targets": ("TargetedGenes",),
        "task": (
            "SidesOfData",
            "Task",
            "make_task",
            "take_sides",
            "task_of_sides",
        ),
        "task_baselines": (
            "Contexts",
            "matched_controls",
        ),
    },
)
