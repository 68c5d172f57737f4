"""Constants of the uniform format, as used by the PEREGGRN collection.

A dataset is an AnnData file, observations by genes, natural-log expression in
``X`` and raw counts in ``raw``. The names below are those of its columns.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

PERTURBATION: Final = "perturbation"
PERTURBATION_TYPE: Final = "perturbation_type"
LEVEL: Final = "expression_level_after_perturbation"
IS_CONTROL: Final = "is_control"
CELL_TYPE: Final = "cell_type"
TIMEPOINT: Final = "timepoint"
CLUSTER_LABEL: Final = "louvain"
MATCHED_CONTROL: Final = "matched_control"
PREDICTION_STEP: Final = "prediction_timescale"
"""Number of iterations after which a row was predicted."""

REQUIRED_OBS: Final = (PERTURBATION, IS_CONTROL, PERTURBATION_TYPE, LEVEL)
OPTIONAL_GROUP_COLUMNS: Final = (PERTURBATION_TYPE, CELL_TYPE, TIMEPOINT)
"""Columns that tell two groups of one perturbation apart, where both sides have them."""

HIGHLY_VARIABLE_RANK: Final = "highly_variable_rank"

MEASURED: Final = "perturbed_and_measured_genes"
NOT_MEASURED: Final = "perturbed_but_not_measured_genes"
OVERLAP: Final = "perturbations_overlap"
SKIP_LOG_CHECK: Final = "skip_log_check"
SCANPY_LOG: Final = "log1p"
"""Key of ``uns`` under which scanpy keeps the base of its logarithm (None: natural)."""
PEREGGRN_UNS: Final = "pereggrn"
"""Key of ``uns`` under which a predictions file says what it predicts (a JSON string)."""
SPLIT_UNS: Final = "pereggrn_split"
"""Key of ``uns`` by which a file says that it is the training part of a split: its type."""
SPLIT_SHA256_UNS: Final = "pereggrn_split_sha256"
"""Key of ``uns`` by which the training part of a split says of which one: its digest."""

TEST_FILE: Final = "test.h5ad"
"""Name of a dataset's main file: of a time series, the perturbed observations."""
TRAIN_FILE: Final = "train.h5ad"
"""Name of the training file of a time series, and of the training part of a split."""
VALIDATION_FILE: Final = "validation.h5ad"
"""Name of the part of a split that is set aside for validation."""

ORACLE_UNS: Final = "pereggrn_oracle"
"""Key of ``uns`` that marks predictions which were made from held-out expression."""
MODEL_UNS: Final = "pereggrn_model"
"""Key of ``uns`` under which a predictions file says how it was made (a JSON string)."""

OBSERVATION: Final = "observation"
"""Column that names the test observation where row names cannot, as it occurs at several steps."""

SEPARATOR: Final = ","
"""Between the genes of one perturbation, and between their stated levels."""

LARGEST_LOG_EXPRESSION: Final = 15.0
"""max(X) at or above this means that the data were not log-transformed."""

LEVEL_TOLERANCE: Final = 1e-4
"""How far a stated level may be from X for overexpression and knockdown."""

UNWEIGHTED: Final = -1.0
"""Weight of an edge in a network without weights."""

NETWORK_COLUMNS: Final = ("regulator", "target", "weight")

SPLIT_FORMAT_VERSION: Final = 1
PREDICTIONS_FORMAT_VERSION: Final = 1


class PerturbationType(StrEnum):
    """How a gene's expression was changed."""

    OVEREXPRESSION = "overexpression"
    KNOCKOUT = "knockout"
    KNOCKDOWN = "knockdown"


class Kind(StrEnum):
    """The kinds of file that can be validated."""

    DATASET = "dataset"
    PREDICTIONS = "predictions"
    NETWORK = "network"


class Role(StrEnum):
    """What a dataset file is for.

    A time series has a separate ``train.h5ad``, which may hold controls only.
    """

    TEST = "test"
    TRAIN = "train"
