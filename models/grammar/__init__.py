"""The grammar of gene regulatory networks: what makes a regression of each gene a forecast.

`fit` makes a `FittedGRN` of training data and the choices of a `Grammar`; the other
models share its `Forecast` and its `RegulatorySets`. Only the models call this, and
hand on what pipelines need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.models.grammar.choices import CellTypeSharing as CellTypeSharing
    from pereggrn_data.models.grammar.choices import Exclusion as Exclusion
    from pereggrn_data.models.grammar.choices import Grammar as Grammar
    from pereggrn_data.models.grammar.choices import (
        LowDimensionalStructure as LowDimensionalStructure,
    )
    from pereggrn_data.models.grammar.choices import Matching as Matching
    from pereggrn_data.models.grammar.choices import NetworkPrior as NetworkPrior
    from pereggrn_data.models.grammar.choices import Pruning as Pruning
    from pereggrn_data.models.grammar.dynamics import ControlMeans as ControlMeans
    from pereggrn_data.models.grammar.dynamics import Forecast as Forecast
    from pereggrn_data.models.grammar.dynamics import check_steps as check_steps
    from pereggrn_data.models.grammar.ggrn import FittedGRN as FittedGRN
    from pereggrn_data.models.grammar.ggrn import fit as fit
    from pereggrn_data.models.grammar.prior_network import RegulatorySets as RegulatorySets

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "choices": (
            "CellTypeSharing",
            "Exclusion",
            "Grammar",
            "LowDimensionalStructure",
            "Matching",
            "NetworkPrior",
            "Pruning",
        ),
        "dynamics": (
            "ControlMeans",
            "Forecast",
            "check_steps",
        ),
        "ggrn": (
            "FittedGRN",
            "fit",
        ),
        "prior_network": ("RegulatorySets",),
    },
)
