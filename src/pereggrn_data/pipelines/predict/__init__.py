"""Train a model on one side of a split, and forecast the other.

The package itself, the command line and the whole job call this: `predict` is the
verb, `ModelOptions` and `Program` say with what, and `PredictedExpression` is what
it returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.predict.adapter_runs import Adapter as Adapter
    from pereggrn_data.pipelines.predict.adapter_runs import adapters as adapters
    from pereggrn_data.pipelines.predict.adapter_runs import (
        check_adapter_choices as check_adapter_choices,
    )
    from pereggrn_data.pipelines.predict.adapter_runs import environment_named as environment_named
    from pereggrn_data.pipelines.predict.adapter_runs import install_adapter as install_adapter
    from pereggrn_data.pipelines.predict.adapter_runs import is_adapter as is_adapter
    from pereggrn_data.pipelines.predict.adapter_runs import lock_adapter as lock_adapter
    from pereggrn_data.pipelines.predict.forecast import fit_block as fit_block
    from pereggrn_data.pipelines.predict.model_inputs import Work as Work
    from pereggrn_data.pipelines.predict.model_options import ModelOptions as ModelOptions
    from pereggrn_data.pipelines.predict.model_options import Program as Program
    from pereggrn_data.pipelines.predict.model_store import TRUST as TRUST
    from pereggrn_data.pipelines.predict.predicted import (
        PredictedExpression as PredictedExpression,
    )
    from pereggrn_data.pipelines.predict.predicted import require_h5ad as require_h5ad
    from pereggrn_data.pipelines.predict.predicting import check_on_demo as check_on_demo
    from pereggrn_data.pipelines.predict.predicting import predict as predict

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "adapter_runs": (
            "Adapter",
            "adapters",
            "check_adapter_choices",
            "environment_named",
            "install_adapter",
            "is_adapter",
            "lock_adapter",
        ),
        "forecast": ("fit_block",),
        "model_inputs": ("Work",),
        "model_options": (
            "ModelOptions",
            "Program",
        ),
        "model_store": ("TRUST",),
        "predicted": (
            "PredictedExpression",
            "require_h5ad",
        ),
        "predicting": ("check_on_demo", "predict"),
    },
)
