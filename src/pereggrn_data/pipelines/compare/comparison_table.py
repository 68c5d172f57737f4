"""A comparison: a DataFrame that a notebook shows side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from pereggrn_data.core.printable import notebook_card


class ComparisonTable(pd.DataFrame):
    """What :func:`pereggrn_data.compare` returns; parts of it are plain DataFrames."""

    @property
    def _constructor(self) -> Callable[..., Any]:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        from pereggrn_data.pipelines.compare.line_up import NOTE, side_by_side

        cards = [
            notebook_card(dataset, headings=headings, rows=rows)
            for dataset, (headings, rows) in side_by_side(self).items()
        ]
        return "".join([*cards, notebook_card("", lines=[NOTE])])
