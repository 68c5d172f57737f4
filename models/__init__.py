"""The reference models: pure computation on arrays and names, without files or network.

Pipelines and benchmarks call this. `get_method` finds an entry of `METHODS`, and
`fit_model` makes a `FittedModel` of it and a `ModelTask`, whatever its kind. What a
fitted model needs to forecast becomes arrays with its ``to_arrays``, and a model
again with `from_arrays`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.models.families import FittedModel as FittedModel
    from pereggrn_data.models.families import ModelTask as ModelTask
    from pereggrn_data.models.families import Storage as Storage
    from pereggrn_data.models.families import choices_of as choices_of
    from pereggrn_data.models.families import fit_model as fit_model
    from pereggrn_data.models.families import from_arrays as from_arrays
    from pereggrn_data.models.families import storage_of as storage_of
    from pereggrn_data.models.fit_warnings import noting_warnings as noting_warnings
    from pereggrn_data.models.grammar.choices import CellTypeSharing as CellTypeSharing
    from pereggrn_data.models.grammar.choices import Exclusion as Exclusion
    from pereggrn_data.models.grammar.choices import Grammar as Grammar
    from pereggrn_data.models.grammar.choices import (
        LowDimensionalStructure as LowDimensionalStructure,
    )
    from pereggrn_data.models.grammar.choices import Matching as Matching
    from pereggrn_data.models.grammar.choices import NetworkPrior as NetworkPrior
    from pereggrn_data.models.grammar.choices import Pruning as Pruning
    from pereggrn_data.models.grammar.dynamics import Forecast as Forecast
    from pereggrn_data.models.grammar.dynamics import check_steps as check_steps
    from pereggrn_data.models.grammar.dynamics import one_step_only as one_step_only
    from pereggrn_data.models.grammar.eligibility import eligible_regulators as eligible_regulators
    from pereggrn_data.models.grammar.fitting import learns_in_blocks as learns_in_blocks
    from pereggrn_data.models.grammar.fitting import what_learns_in_blocks as what_learns_in_blocks
    from pereggrn_data.models.grammar.matching import UNMATCHED as UNMATCHED
    from pereggrn_data.models.grammar.matching import match as match
    from pereggrn_data.models.grammar.prior_network import RegulatorySets as RegulatorySets
    from pereggrn_data.models.inputs import Perturbations as Perturbations
    from pereggrn_data.models.inputs import TrainingData as TrainingData
    from pereggrn_data.models.methods import METHODS as METHODS
    from pereggrn_data.models.methods import Method as Method
    from pereggrn_data.models.methods import MethodKind as MethodKind
    from pereggrn_data.models.methods import get_method as get_method
    from pereggrn_data.models.methods import methods_table as methods_table
    from pereggrn_data.models.regression import Progress as Progress
    from pereggrn_data.models.ridge.shared_decompositions import (
        share_decompositions as share_decompositions,
    )
    from pereggrn_data.models.target_blocks import fitting_block as fitting_block
    from pereggrn_data.models.target_blocks import with_fitted as with_fitted

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "families": (
            "FittedModel",
            "ModelTask",
            "Storage",
            "choices_of",
            "fit_model",
            "from_arrays",
            "storage_of",
        ),
        "fit_warnings": ("noting_warnings",),
        "target_blocks": (
            "fitting_block",
            "with_fitted",
        ),
        "grammar.choices": (
            "LowDimensionalStructure",
            "Exclusion",
            "CellTypeSharing",
            "Grammar",
            "Matching",
            "NetworkPrior",
            "Pruning",
        ),
        "grammar.dynamics": (
            "Forecast",
            "check_steps",
            "one_step_only",
        ),
        "grammar.eligibility": ("eligible_regulators",),
        "grammar.fitting": (
            "learns_in_blocks",
            "what_learns_in_blocks",
        ),
        "grammar.matching": (
            "UNMATCHED",
            "match",
        ),
        "grammar.prior_network": ("RegulatorySets",),
        "inputs": (
            "Perturbations",
            "TrainingData",
        ),
        "methods": (
            "METHODS",
            "Method",
            "MethodKind",
            "get_method",
            "methods_table",
        ),
        "regression": ("Progress",),
        "ridge.shared_decompositions": ("share_decompositions",),
    },
)
