"""Forecasts of adapters: what is checked before they run, and the check of one on the demo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pereggrn_data.adapters import Adapter as Adapter
from pereggrn_data.adapters import adapters as adapters
from pereggrn_data.adapters import find_adapter, read_adapter
from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.loaders.cache import open_cache
from pereggrn_data.loaders.program import (
    ProgramEnvironment,
    environment_of,
    make_environment,
    require_environment,
    write_lock,
)
from pereggrn_data.pipelines.predict.model_options import ModelOptions, Program

ALLOW_MISSING = "allow_missing"
"""Argument by which a program may leave rows without a forecast."""


def adapter_named(named: str) -> Adapter:
    """Return the adapter of a name or a path.

    Raises
    ------
    UnknownNameError
        If there is none of this name.
    """
    found = find_adapter(named)
    if found is None:
        raise UnknownNameError(
            "adapter",
            named,
            [adapter.name for adapter in adapters()],
            fix="the path of a program of your own ends in .py.",
        )
    return found


def is_adapter(named: str) -> bool:
    """Say whether a name is that of an adapter, or the path of a program."""
    return find_adapter(named) is not None


def environment_named(named: str) -> ProgramEnvironment:
    """Return the environment of an adapter, made or not."""
    return environment_of(adapter_named(named), open_cache())


def install_adapter(
    named: str,
    *,
    confirm: Callable[[Adapter], bool] = lambda _: True,
    say: Callable[[str], None] = lambda _: None,
) -> ProgramEnvironment | None:
    """Make the environment of an adapter, if it is not there.

    Parameters
    ----------
    named
        Name of the adapter, or path of its program.
    confirm
        Asked before anything is installed.
    say
        Told what is waited for.

    Returns
    -------
    ProgramEnvironment or None
        None if it was not confirmed.

    Raises
    ------
    UsageError, NetworkError
        If it cannot be made.
    """
    adapter = adapter_named(named)
    cache = open_cache(say)
    found = environment_of(adapter, cache)
    if found.is_made:
        return found
    if not confirm(adapter):
        return None
    say(f"installing the environment of {adapter.name}; this may take minutes ...")
    return make_environment(adapter, cache)


def lock_adapter(program: str | Path) -> Path:
    """Write the lock of a program beside it, and return its path.

    Raises
    ------
    MissingFileError, InvalidDataError
        If it is no adapter.
    UsageError, NetworkError
        If uv finds no packages that go together, or cannot ask.
    """
    return write_lock(read_adapter(Path(program).absolute()))


def check_adapter_choices(named: str, options: ModelOptions) -> None:
    """Check an adapter's arguments, and that it heeds the choices: before it is installed.

    Raises
    ------
    UsageError
        If something is wrong with them.
    """
    adapter = adapter_named(named)
    options.require_default(
        besides=("model", "arguments", *adapter.heeds),
        why=f"The adapter {adapter.name} does not heed some of these choices.",
    )
    adapter.checked_arguments(options.arguments)


def require_adapter(named: str) -> ProgramEnvironment:
    """Return the environment of an adapter, which has to be there.

    Raises
    ------
    UsageError
        If it is not.
    """
    return require_environment(adapter_named(named), open_cache())


def program_arguments(program: Program, options: ModelOptions) -> dict[str, Any]:
    """Return the keyword arguments that a program is given."""
    if program.adapter is None:
        return dict(options.arguments)
    return adapter_named(program.adapter).checked_arguments(options.arguments)


def notes_of(program: Program) -> tuple[str, ...]:
    """Return what users should know of each forecast of an adapter."""
    return () if program.adapter is None else adapter_named(program.adapter).notes


def may_leave_out(program: Program, options: ModelOptions) -> bool:
    """Say whether rows without a forecast are allowed."""
    return program.adapter is not None and options.arguments.get(ALLOW_MISSING) is True
