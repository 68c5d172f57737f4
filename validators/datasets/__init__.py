"""Rules of datasets: columns, labels and what they mean, and whether a dataset is of use.

For the loading of datasets and for the verb ``validate``. Labels of predictions follow the
same rules, and are looked at by the same functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.validators.datasets.dataset import check_dataset as check_dataset
    from pereggrn_data.validators.datasets.dataset import check_usable as check_usable
    from pereggrn_data.validators.datasets.dataset import naming_findings as naming_findings
    from pereggrn_data.validators.datasets.label_meanings import Labels as Labels
    from pereggrn_data.validators.datasets.label_meanings import (
        spelling_findings as spelling_findings,
    )
    from pereggrn_data.validators.datasets.label_rules import controls as controls

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "dataset": (
            "check_dataset",
            "check_usable",
            "naming_findings",
        ),
        "label_meanings": (
            "Labels",
            "spelling_findings",
        ),
        "label_rules": ("controls",),
    },
)
