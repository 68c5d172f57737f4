"""On which scale are values? Judged by the values, whatever a file says of them.

Datasets and predictions each ask in their own words; the transforms and what tells them
apart are written once. Only the other validators call this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.validators.scales.forecast_scale import Forecasts as Forecasts
    from pereggrn_data.validators.scales.forecast_scale import Reference as Reference
    from pereggrn_data.validators.scales.forecast_scale import judge_forecasts as judge_forecasts
    from pereggrn_data.validators.scales.scale import LINEAR as LINEAR
    from pereggrn_data.validators.scales.scale import Body as Body
    from pereggrn_data.validators.scales.x_scale import Scanned as Scanned
    from pereggrn_data.validators.scales.x_scale import scale_findings as scale_findings

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "forecast_scale": (
            "Forecasts",
            "Reference",
            "judge_forecasts",
        ),
        "scale": (
            "Body",
            "LINEAR",
        ),
        "x_scale": (
            "Scanned",
            "scale_findings",
        ),
    },
)
