"""Experiments: metadata that say what varies, the conditions that they make, and their runs.

The package itself and the command line call this: `read_experiment` checks a file,
`lay_out` makes its :class:`Conditions`, and `run` does them. Schedulers that are not
ours call `do_condition` with a :class:`ConditionTask`, in any process of any machine that sees the
run's folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.experiment.cluster import on_cluster as on_cluster
    from pereggrn_data.pipelines.experiment.conditions import Conditions as Conditions
    from pereggrn_data.pipelines.experiment.conditions import check_experiment as check_experiment
    from pereggrn_data.pipelines.experiment.conditions import lay_out as lay_out
    from pereggrn_data.pipelines.experiment.doing_conditions import FAILED as FAILED
    from pereggrn_data.pipelines.experiment.doing_conditions import ConditionTask as ConditionTask
    from pereggrn_data.pipelines.experiment.doing_conditions import Outcome as Outcome
    from pereggrn_data.pipelines.experiment.doing_conditions import do_condition as do_condition
    from pereggrn_data.pipelines.experiment.experiment_folder import (
        ExperimentFolder as ExperimentFolder,
    )
    from pereggrn_data.pipelines.experiment.gene_strata_of_run import is_run as is_run
    from pereggrn_data.pipelines.experiment.gene_strata_of_run import (
        strata_of_run as strata_of_run,
    )
    from pereggrn_data.pipelines.experiment.job_scripts import PLANS as PLANS
    from pereggrn_data.pipelines.experiment.job_scripts import array_script as array_script
    from pereggrn_data.pipelines.experiment.metadata import Experiment as Experiment
    from pereggrn_data.pipelines.experiment.metadata import read_experiment as read_experiment
    from pereggrn_data.pipelines.experiment.metadata_key import MetadataKey as MetadataKey
    from pereggrn_data.pipelines.experiment.metadata_keys import KEYS as KEYS
    from pereggrn_data.pipelines.experiment.metadata_keys import defaults as defaults
    from pereggrn_data.pipelines.experiment.metadata_keys import (
        metadata_keys_table as metadata_keys_table,
    )
    from pereggrn_data.pipelines.experiment.run_experiment import ExperimentRun as ExperimentRun
    from pereggrn_data.pipelines.experiment.run_experiment import Scheduler as Scheduler
    from pereggrn_data.pipelines.experiment.run_experiment import run as run
    from pereggrn_data.pipelines.experiment.run_options import RunOptions as RunOptions

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "job_scripts": (
            "PLANS",
            "array_script",
        ),
        "cluster": ("on_cluster",),
        "conditions": (
            "Conditions",
            "check_experiment",
            "lay_out",
        ),
        "doing_conditions": (
            "FAILED",
            "Outcome",
            "ConditionTask",
            "do_condition",
        ),
        "gene_strata_of_run": (
            "is_run",
            "strata_of_run",
        ),
        "metadata": (
            "Experiment",
            "read_experiment",
        ),
        "metadata_key": ("MetadataKey",),
        "metadata_keys": (
            "KEYS",
            "defaults",
            "metadata_keys_table",
        ),
        "run_experiment": (
            "ExperimentRun",
            "Scheduler",
            "run",
        ),
        "experiment_folder": ("ExperimentFolder",),
        "run_options": ("RunOptions",),
    },
)
