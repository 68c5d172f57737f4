"""Scores without what most tests of them do not look at: ceilings, and narrow intervals."""

from __future__ import annotations

from typing import Any

import pereggrn_data
from pereggrn_data.pipelines.score import ScoreReport


def quick_score(predictions: Any, **given: Any) -> ScoreReport:
    """Score as ``score`` does, uncalibrated and with fewer draws unless told otherwise."""
    return pereggrn_data.score(predictions, **{"calibrate": False, "draws": 1200, **given})
