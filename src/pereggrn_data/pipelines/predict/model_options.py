"""How a model is fitted and forecasts: all choices in one object."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.program.containers import check_runtime
from pereggrn_data.models.grammar.dynamics import check_steps

DEFAULT_MODEL = "RidgeCV"
DEFAULT_HOURS = 6.0
LEAST_MEMORY = 1_000_000
NEVER_A_LOG = (".h5ad", ".parquet", ".npz", ".joblib", ".csv", ".json")
"""Endings of files that are read or written by name, and must not become a log."""
START_CONTROL, START_HELDOUT = "control", "heldout"


class Choices(TypedDict, total=False):
    """Keyword arguments of :class:`ModelOptions`, for functions that pass them on."""

    arguments: Mapping[str, Any]
    network: Any
    network_prior: str | None
    eligible_regulators: str
    tf_list: str | Path | Sequence[str] | None
    species: str | None
    matching: str
    steps: int | Sequence[int]
    exclusion: str
    predict_self: bool
    cell_type_sharing: str
    prune: int | None
    low_dimensional: str
    dimensions: Any
    control_subtype: str | None
    starting_expression: str
    seed: int


@dataclass(frozen=True)
class ModelOptions:
    """The choices of the grammar, as the command line and Python give them.

    Parameters
    ----------
    model
        Name of a method.
    arguments
        Keyword arguments of the method.
    network
        Anything that :func:`pereggrn_data.open_network` takes; None or
        ``"dense"`` for no restriction.
    network_prior
        ``restrictive`` or ``ignore``; by default restrictive if there is a network.
    eligible_regulators
        ``all``, ``tf`` or ``perturbed``.
    tf_list
        A file with one name per line, or the names.
    species
        Whose list to take from the collection; by default the dataset's.
    matching
        Whose features an observation is trained on.
    steps
        After how many steps to return the forecast: a number, or several.
    exclusion
        ``gene`` or ``label``: which observations do not train a gene's model.
    predict_self
        Whether a gene may be a feature of its own model.
    cell_type_sharing
        ``identical`` or ``distinct``.
    prune
        Keep so many of the largest coefficients, and fit again.
    low_dimensional
        ``none``, ``dynamics`` or ``postprocessing``.
    dimensions
        Of the subspace: a number, a matrix (dimensions x genes), or the path of
        an .npy or .csv file with one.
    control_subtype
        Beginning of the label of the controls that forecasts start from.
    starting_expression
        ``control``, or ``heldout`` for an oracle.
    seed
        Of everything random in the model.
    """

    model: str = DEFAULT_MODEL
    arguments: Mapping[str, Any] = field(default_factory=dict)
    network: Any = None
    network_prior: str | None = None
    eligible_regulators: str = "all"
    tf_list: str | Path | Sequence[str] | None = None
    species: str | None = None
    matching: str = "steady_state"
    steps: int | Sequence[int] = (1,)
    exclusion: str = "gene"
    predict_self: bool = False
    cell_type_sharing: str = "identical"
    prune: int | None = None
    low_dimensional: str = "none"
    dimensions: Any = None
    control_subtype: str | None = None
    starting_expression: str = START_CONTROL
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", check_steps(self.steps))
        if self.starting_expression not in (START_CONTROL, START_HELDOUT):
            raise UsageError(
                f"{self.starting_expression!r} is no starting expression.",
                expected=f"{START_CONTROL}, or {START_HELDOUT} (an oracle)",
            )

    @property
    def is_oracle(self) -> bool:
        """Whether forecasts start from held-out expression."""
        return self.starting_expression == START_HELDOUT

    def require_default(self, *, besides: Sequence[str], why: str) -> None:
        """Check that only some choices were made: others would make no difference.

        Raises
        ------
        UsageError
            Naming those that were made nevertheless.
        """
        made = [
            f.name
            for f, default in zip(fields(self), _defaults().values(), strict=True)
            if f.name not in besides and not _equal(getattr(self, f.name), default)
        ]
        if made:
            raise UsageError(why, got=", ".join(made), fix="leave these choices out.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; a network or a matrix in memory is only named."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("network", "dimensions", "tf_list"):
            value = values[name]
            if not (value is None or isinstance(value, (str, int, Path))):
                values[name] = list(value) if _is_names(value) else f"a {type(value).__name__}"
        return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)


def _defaults() -> dict[str, Any]:
    return asdict(ModelOptions())


def _equal(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return tuple(value) == default
    return value is default or (isinstance(value, type(default)) and bool(value == default))


@dataclass(frozen=True)
class Program:
    """A method that is not ours: a local command, or a container image.

    Parameters
    ----------
    command
        A line or a list of words, with ``{dir}`` where the folder of the
        exchange goes; no shell reads it.
    container
        An image, instead of a command.
    runtime
        ``docker``, ``apptainer`` or ``singularity``.
    container_arguments
        Further arguments of the runtime.
    time_limit
        Seconds after which the program and all it has started end.
    memory_limit
        Bytes (the command line takes gigabytes); of each process of a command,
        of the whole container.
    log
        File that gets the program's output, while it runs.
    keep
        Folder for the exchange, empty or not there yet, which stays; by default
        a temporary one, which is removed unless its answers are refused.

    Raises
    ------
    UsageError
        If choices do not go together, or a limit is not one.
    """

    command: str | Sequence[str] | None = None
    container: str | None = None
    runtime: str = "docker"
    container_arguments: Sequence[str] = ()
    time_limit: float = DEFAULT_HOURS * 3600
    memory_limit: float | None = None
    log: str | Path | None = None
    keep: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.command is None) == (self.container is None):
            raise UsageError(
                "A program is either a command or a container.",
                expected="one of --command and --container",
                got="neither" if self.command is None else "both",
            )
        check_runtime(self.runtime)
        if self.log is not None and Path(self.log).suffix in NEVER_A_LOG:
            raise UsageError(
                f"The program's output would be written over {self.log}.",
                expected="the name of a text file, such as log.txt",
                got=f"a name that ends in {Path(self.log).suffix}",
            )
        self._check_words()
        self._check_limits()

    def _check_words(self) -> None:
        if self.container_arguments and self.container is None:
            raise UsageError(
                "Arguments of a container runtime were given, and there is no container.",
                expected="--container with --container-argument",
                got=f"--command {self.name}",
            )
        words = () if self.command is None else self.command
        for given, kind in (
            ((words,) if isinstance(words, str) else words, "command"),
            ((self.container or "",), "container"),
            (self.container_arguments, "container_arguments"),
        ):
            is_list = isinstance(given, (list, tuple))
            if not is_list or not all(isinstance(w, str) and "\0" not in w for w in given):
                raise UsageError(
                    f"The program's {kind} cannot be understood.",
                    expected="text, or a list of words" if kind == "command" else "text",
                    got=repr(getattr(self, kind)),
                )

    def _check_limits(self) -> None:
        limits: dict[str, Any] = {"time": self.time_limit, "memory": self.memory_limit}
        for name, limit in limits.items():
            if limit is not None and not (isinstance(limit, Real) and float(limit) > 0):
                raise UsageError(f"The {name} limit is not positive.", got=repr(limit))
        memory = self.memory_limit
        if memory is not None and not LEAST_MEMORY <= memory <= sys.maxsize:
            raise UsageError(
                "No program can run with this memory limit.",
                expected=f"{LEAST_MEMORY:,} bytes or more; None for no limit",
                got=f"{memory:g} bytes",
                fix="Program(memory_limit=...) is in bytes: 4e9 for the 4 GB of --memory-limit 4.",
            )

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit, a whole number."""
        return None if self.memory_limit is None else int(self.memory_limit)

    @property
    def name(self) -> str:
        """What to call it."""
        command = self.command or ""
        return self.container or (command if isinstance(command, str) else shlex.join(command))
