"""Regressions of rows that are not in memory, by the sums that their methods see of the rows.

Only the registry of methods calls this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.models.moments.by_moments import FOLDS as FOLDS
    from pereggrn_data.models.moments.by_moments import bytes_by_moments as bytes_by_moments
    from pereggrn_data.models.moments.by_moments import fit_by_moments as fit_by_moments

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "by_moments": (
            "FOLDS",
            "bytes_by_moments",
            "fit_by_moments",
        ),
    },
)
