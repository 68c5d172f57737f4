"""Score predictions against the held-out part of a dataset.

The verbs are `score`, which returns a `ScoreReport`, `calibrate`, which says what the
metrics can tell apart, and `export_pair`, which hands predictions to other evaluators;
`bars_of`, `text_chart` and `draw_png` show a report. For the command line, and for
pipelines that do a whole job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.score.calibrating import calibrate as calibrate
    from pereggrn_data.pipelines.score.calibration_file import UNSHOWN as UNSHOWN
    from pereggrn_data.pipelines.score.calibration_file import (
        CalibrationReport as CalibrationReport,
    )
    from pereggrn_data.pipelines.score.chart import Bar as Bar
    from pereggrn_data.pipelines.score.chart import bars_of as bars_of
    from pereggrn_data.pipelines.score.chart import draw_png as draw_png
    from pereggrn_data.pipelines.score.chart import text_chart as text_chart
    from pereggrn_data.pipelines.score.pair_layouts import ExportOptions as ExportOptions
    from pereggrn_data.pipelines.score.paired_files import ExportedPair as ExportedPair
    from pereggrn_data.pipelines.score.paired_files import export_pair as export_pair
    from pereggrn_data.pipelines.score.predicted_split import (
        refuse_two_splits as refuse_two_splits,
    )
    from pereggrn_data.pipelines.score.score_inputs import split_named_by as split_named_by
    from pereggrn_data.pipelines.score.score_options import OF_READING as OF_READING
    from pereggrn_data.pipelines.score.score_options import ScoreOptions as ScoreOptions
    from pereggrn_data.pipelines.score.score_predictions import score as score
    from pereggrn_data.pipelines.score.score_report import EFFECTS_FILE as EFFECTS_FILE
    from pereggrn_data.pipelines.score.score_report import ScoreReport as ScoreReport
    from pereggrn_data.pipelines.score.score_report import short as short
    from pereggrn_data.pipelines.score.score_report import short_change as short_change

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "calibrating": ("calibrate",),
        "calibration_file": (
            "UNSHOWN",
            "CalibrationReport",
        ),
        "chart": (
            "Bar",
            "bars_of",
            "draw_png",
            "text_chart",
        ),
        "pair_layouts": ("ExportOptions",),
        "paired_files": (
            "ExportedPair",
            "export_pair",
        ),
        "predicted_split": ("refuse_two_splits",),
        "score_inputs": ("split_named_by",),
        "score_options": (
            "OF_READING",
            "ScoreOptions",
        ),
        "score_predictions": ("score",),
        "score_report": (
            "EFFECTS_FILE",
            "ScoreReport",
            "short",
            "short_change",
        ),
    },
)
