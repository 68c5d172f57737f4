"""Rules of predictions: by themselves, and held against the dataset and what was asked for.

Values are looked at once, block by block, by `PredictionScan`; the checks ask what it found.
For the scoring, for the verb ``validate``, and for the loaders, which read the same header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.validators.predictions.prediction_rows import check_flags as check_flags
    from pereggrn_data.validators.predictions.prediction_rows import check_genes as check_genes
    from pereggrn_data.validators.predictions.prediction_rows import (
        check_repeated as check_repeated,
    )
    from pereggrn_data.validators.predictions.prediction_rows import (
        check_row_names as check_row_names,
    )
    from pereggrn_data.validators.predictions.prediction_rows import check_rows as check_rows
    from pereggrn_data.validators.predictions.prediction_rows import gaps_in as gaps_in
    from pereggrn_data.validators.predictions.prediction_rows import (
        rows_without_group as rows_without_group,
    )
    from pereggrn_data.validators.predictions.prediction_scan import LookedAt as LookedAt
    from pereggrn_data.validators.predictions.prediction_scan import (
        PredictionScan as PredictionScan,
    )
    from pereggrn_data.validators.predictions.prediction_shortcuts import (
        check_alike as check_alike,
    )
    from pereggrn_data.validators.predictions.prediction_shortcuts import (
        check_clipped as check_clipped,
    )
    from pereggrn_data.validators.predictions.prediction_shortcuts import (
        check_copies as check_copies,
    )
    from pereggrn_data.validators.predictions.prediction_shortcuts import (
        check_mixed_scales as check_mixed_scales,
    )
    from pereggrn_data.validators.predictions.prediction_values import Scale as Scale
    from pereggrn_data.validators.predictions.prediction_values import Untouched as Untouched
    from pereggrn_data.validators.predictions.prediction_values import (
        check_controls as check_controls,
    )
    from pereggrn_data.validators.predictions.prediction_values import (
        check_fold_changes as check_fold_changes,
    )
    from pereggrn_data.validators.predictions.prediction_values import (
        check_numbers as check_numbers,
    )
    from pereggrn_data.validators.predictions.prediction_values import check_scale as check_scale
    from pereggrn_data.validators.predictions.prediction_values import (
        outlier_limit as outlier_limit,
    )
    from pereggrn_data.validators.predictions.predictions_alone import (
        check_predictions as check_predictions,
    )
    from pereggrn_data.validators.predictions.predictions_alone import parse_header as parse_header

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "prediction_rows": (
            "check_flags",
            "check_genes",
            "check_repeated",
            "check_row_names",
            "check_rows",
            "gaps_in",
            "rows_without_group",
        ),
        "prediction_scan": (
            "LookedAt",
            "PredictionScan",
        ),
        "prediction_shortcuts": (
            "check_alike",
            "check_clipped",
            "check_copies",
            "check_mixed_scales",
        ),
        "prediction_values": (
            "Scale",
            "Untouched",
            "check_controls",
            "check_fold_changes",
            "check_numbers",
            "check_scale",
            "outlier_limit",
        ),
        "predictions_alone": (
            "check_predictions",
            "parse_header",
        ),
    },
)
