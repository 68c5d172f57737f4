"""Programs that are not ours: how they are started, limited and ended, and the folder between.

The pipeline that forecasts with other people's programs calls this, and nothing else
starts a process that a user named, or makes the environment of an adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.program.commands import CANNOT_BE_EXECUTED as CANNOT_BE_EXECUTED
    from pereggrn_data.loaders.program.commands import NOT_FOUND as NOT_FOUND
    from pereggrn_data.loaders.program.commands import Finished as Finished
    from pereggrn_data.loaders.program.commands import last_lines as last_lines
    from pereggrn_data.loaders.program.commands import require_program as require_program
    from pereggrn_data.loaders.program.commands import run_limited as run_limited
    from pereggrn_data.loaders.program.commands import split_command as split_command
    from pereggrn_data.loaders.program.containers import Runtime as Runtime
    from pereggrn_data.loaders.program.containers import check_runtime as check_runtime
    from pereggrn_data.loaders.program.containers import container_run as container_run
    from pereggrn_data.loaders.program.environments import ProgramEnvironment as ProgramEnvironment
    from pereggrn_data.loaders.program.environments import environment_of as environment_of
    from pereggrn_data.loaders.program.environments import make_environment as make_environment
    from pereggrn_data.loaders.program.environments import (
        require_environment as require_environment,
    )
    from pereggrn_data.loaders.program.environments import write_lock as write_lock
    from pereggrn_data.loaders.program.exchange import ANSWERS as ANSWERS
    from pereggrn_data.loaders.program.exchange import read_answers as read_answers
    from pereggrn_data.loaders.program.exchange import refuse_in_exchange as refuse_in_exchange
    from pereggrn_data.loaders.program.exchange import write_exchange as write_exchange
    from pereggrn_data.loaders.program.run_folder import RunFolder as RunFolder
    from pereggrn_data.loaders.program.run_folder import check_can_keep as check_can_keep
    from pereggrn_data.loaders.program.run_folder import open_run_folder as open_run_folder

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "commands": (
            "CANNOT_BE_EXECUTED",
            "NOT_FOUND",
            "Finished",
            "last_lines",
            "require_program",
            "run_limited",
            "split_command",
        ),
        "containers": (
            "Runtime",
            "check_runtime",
            "container_run",
        ),
        "environments": (
            "ProgramEnvironment",
            "environment_of",
            "make_environment",
            "require_environment",
            "write_lock",
        ),
        "exchange": (
            "ANSWERS",
            "read_answers",
            "refuse_in_exchange",
            "write_exchange",
        ),
        "run_folder": (
            "RunFolder",
            "check_can_keep",
            "open_run_folder",
        ),
    },
)
