"""Experiments: metadata that say what varies, the conditions that they make, and their runs.

The package itself and the command line call this: `read_experiment` checks a file, and
`lay_out` makes its :class:`Conditions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.experiment.conditions import Conditions as Conditions
    from pereggrn_data.pipelines.experiment.conditions import check_experiment as check_experiment
    from pereggrn_data.pipelines.experiment.conditions import lay_out as lay_out
    from pereggrn_data.pipelines.experiment.metadata import Experiment as Experiment
    from pereggrn_data.pipelines.experiment.metadata import read_experiment as read_experiment
    from pereggrn_data.pipelines.experiment.metadata_keys import KEYS as KEYS
    from pereggrn_data.pipelines.experiment.metadata_keys import MetadataKey as MetadataKey
    from pereggrn_data.pipelines.experiment.metadata_keys import defaults as defaults
    from pereggrn_data.pipelines.experiment.metadata_keys import (
        metadata_keys_table as metadata_keys_table,
    )

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "conditions": (
            "Conditions",
            "check_experiment",
            "lay_out",
        ),
        "metadata": (
            "Experiment",
            "read_experiment",
        ),
        "metadata_keys": (
            "KEYS",
            "MetadataKey",
            "defaults",
            "metadata_keys_table",
        ),
    },
)
