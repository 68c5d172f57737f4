"""Ridge regression of all genes at once, with penalties chosen by exact leave-one-out.

Three solvers (dual, primal, small systems) differ in what is cheap for which shape;
the two functions here choose between them. Only the registry of methods calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.models.ridge.problem import ALPHAS as ALPHAS
    from pereggrn_data.models.ridge.ridge_cv import fit_ridge_cv as fit_ridge_cv
    from pereggrn_data.models.ridge.ridge_cv import (
        fit_ridge_cv_extra_penalty as fit_ridge_cv_extra_penalty,
    )

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ridge_cv": (
            "fit_ridge_cv",
            "fit_ridge_cv_extra_penalty",
        ),
        "problem": ("ALPHAS",),
    },
)
