"""Split a dataset into what trains and what is to be predicted.

The verb is `split`, or `split_folds` for all folds at once; `check_split` verifies a split
that somebody else made. For the pipelines of scores and predictions, which start from a
`SplitDataset`, and for the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.split.folds import FOLDED as FOLDED
    from pereggrn_data.pipelines.split.folds import Folds as Folds
    from pereggrn_data.pipelines.split.folds import repeatedly_held_out as repeatedly_held_out
    from pereggrn_data.pipelines.split.folds import split_folds as split_folds
    from pereggrn_data.pipelines.split.split_check import SplitCheck as SplitCheck
    from pereggrn_data.pipelines.split.split_check import check_split as check_split
    from pereggrn_data.pipelines.split.split_dataset import SplitDataset as SplitDataset
    from pereggrn_data.pipelines.split.split_options import SplitOptions as SplitOptions
    from pereggrn_data.pipelines.split.splitting import divide as divide
    from pereggrn_data.pipelines.split.splitting import insisted as insisted
    from pereggrn_data.pipelines.split.splitting import split as split
    from pereggrn_data.pipelines.split.splitting import split_by_options as split_by_options

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "folds": (
            "FOLDED",
            "Folds",
            "repeatedly_held_out",
            "split_folds",
        ),
        "split_check": (
            "SplitCheck",
            "check_split",
        ),
        "split_dataset": ("SplitDataset",),
        "split_options": ("SplitOptions",),
        "splitting": (
            "divide",
            "insisted",
            "split",
            "split_by_options",
        ),
    },
)
