"""How a model is fitted and forecasts: all choices in one object."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import UsageError, with_article
from pereggrn_data.core.options import check_choices, documented, normalise, option, options_of
from pereggrn_data.core.sizes import parse_memory

DEFAULT_MODEL = "RidgeCV"
DEFAULT_HOURS = 6.0
LEAST_MEMORY = 1_000_000
NEVER_A_LOG = (".h5ad", ".parquet", ".npz", ".joblib", ".csv", ".json")
"""Endings of files that are read or written by name, and must not become a log."""
START_CONTROL, START_HELDOUT = "control", "heldout"
_A_PROGRAM = ("command", "container", "adapter")


def parse_steps(text: str) -> tuple[int, ...]:
    """Read numbers of steps.

    Raises
    ------
    UsageError
        If one is not a whole number.

    Examples
    --------
    >>> parse_steps("1,3,10")
    (1, 3, 10)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,6}", part) for part in parts):
        raise UsageError(
            "The numbers of steps cannot be read.", expected="for example 1,3,10", got=repr(text)
        )
    return tuple(map(int, parts))


def parse_arguments(given: Sequence[str]) -> dict[str, Any]:
    """Read keyword arguments: values as JSON where they are, else as text.

    Raises
    ------
    UsageError
        If one is not NAME=VALUE, or a name occurs twice.

    Examples
    --------
    >>> parse_arguments(["alpha=0.1", "kernel=rbf", "alphas=[1, 10]"])
    {'alpha': 0.1, 'kernel': 'rbf', 'alphas': [1, 10]}
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or name in found:
            raise UsageError(
                f"The argument {text!r} cannot be read.",
                expected="NAME=VALUE, each name once, for example alpha=0.1",
            )
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def _runtimes() -> Iterable[str]:
    from pereggrn_data.loaders.program import Runtime

    return Runtime


def _of_grammar(name: str) -> Callable[[], Iterable[str]]:
    """Return what lists the values of one of the grammar's choices."""

    def known() -> Iterable[str]:
        from pereggrn_data import models

        values: Iterable[str] = getattr(models, name)
        return values

    return known


@documented
@dataclass(frozen=True)
class ModelOptions:
    """The choices of the grammar, as the command line and Python give them.

    Parameters
    ----------
    {options}

    Raises
    ------
    UsageError
        If a value is not among the choices, or the steps are no numbers.
    """

    model: str = option(
        DEFAULT_MODEL,
        flags=("--model", "-m"),
        help="Name of a method or adapter (pereggrn-eval models).",
    )
    arguments: Mapping[str, Any] = option(
        default_factory=dict,
        kind=list,
        flags=("--argument", "-a"),
        parse=parse_arguments,
        help="Argument of the method, NAME=VALUE (VALUE as in JSON, else text); repeatable.",
    )
    network: Any = option(
        None,
        kind=list,
        help="Name or path; several are united. Default: dense, all regulators for all genes.",
    )
    network_prior: str | None = option(
        None,
        choices=_of_grammar("NetworkPrior"),
        help="{choices}; restrictive if there is a network.",
    )
    eligible_regulators: str = option(
        "all",
        choices=("all", "tf", "perturbed"),
        noun="rule for eligible regulators",
        help="Which genes may be regulators: {choices}.",
    )
    tf_list: str | Path | Sequence[str] | None = option(
        None, help="tf: a file with one gene name per line (in Python also the names)."
    )
    species: str | None = option(
        None, help="tf: whose list to use; default: the dataset's species."
    )
    matching: str = option(
        "steady_state",
        choices=_of_grammar("Matching"),
        noun="matching method",
        help="Whose features an observation is trained on: {choices}.",
    )
    steps: int | Sequence[int] = option(
        (1,),
        kind=str,
        parse=parse_steps,
        shown="1",
        help="Numbers of steps to forecast, for example 1,3,10.",
    )
    exclusion: str = option(
        "gene",
        choices=_of_grammar("Exclusion"),
        noun="rule of exclusion",
        help="Observations that do not train a gene: those that perturb it (gene), or only "
        "those that perturb nothing else (label, as the original).",
    )
    predict_self: bool = option(False, help="Let a gene predict itself.")
    cell_type_sharing: str = option(
        "identical",
        choices=_of_grammar("CellTypeSharing"),
        noun="cell type sharing strategy",
        flags=("--cell-type-sharing-strategy", "--cell-type-sharing"),
        help="{choices} (one model per cell type).",
    )
    prune: int | None = option(
        None, minimum=1, help="Keep this many of the largest coefficients, and refit."
    )
    low_dimensional: str = option(
        "none",
        choices=_of_grammar("LowDimensionalStructure"),
        noun="low-dimensional structure",
        flags=("--low-dimensional-structure", "--low-dimensional"),
        help="Whether forecasts go through a subspace: {choices}.",
    )
    dimensions: Any = option(
        None,
        kind=str,
        flags=("--low-dimensional-value", "--dimensions"),
        help="The subspace: how many dimensions, or an .npy or .csv matrix (dimensions x genes).",
    )
    control_subtype: str | None = option(
        None, help="Start from controls whose label begins with this."
    )
    starting_expression: str = option(
        START_CONTROL,
        choices=(START_CONTROL, START_HELDOUT),
        help="control, or heldout (an oracle, and marked as one).",
    )
    hold_output: bool = option(
        True,
        flags=("--free-output",),
        help="Give perturbed genes their stated levels in the forecasts, not only while "
        "models look at them.",
        help_off="Leave perturbed genes in the forecasts as the model has them, as the "
        "original does.",
    )
    seed: int = option(0, minimum=0, help="Seed of everything random in the model.")

    def __post_init__(self) -> None:
        # Imported here, so that the command line can show its help without NumPy.
        from pereggrn_data.models import check_steps

        object.__setattr__(self, "steps", check_steps(self.steps))
        normalise(self)
        check_choices(self)

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
            name
            for name, about in options_of(ModelOptions).items()
            if name not in besides and not _equal(getattr(self, name), about.default)
        ]
        if made:
            raise UsageError(why, got=", ".join(made), fix="leave these choices out.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; a network or a matrix in memory is only named."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("network", "dimensions", "tf_list"):
            value = values[name]
            if not (value is None or isinstance(value, (str, int, Path))):
                values[name] = (
                    list(value) if _is_names(value) else with_article(type(value).__name__)
                )
        return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)


def _equal(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return tuple(value) == default
    return value is default or (isinstance(value, type(default)) and bool(value == default))


@documented
@dataclass(frozen=True)
class Program:
    """A method that is not ours: a local command, a container image, or an adapter.

    Parameters
    ----------
    {options}

    Raises
    ------
    UsageError
        If choices do not go together, or a limit is not one.
    """

    command: str | Sequence[str] | None = option(
        None,
        help='Forecast by this instead, for example "python my_model.py {{dir}}" (in Python also '
        "a list of words). No shell.",
    )
    container: str | None = option(None, help="Forecast by this image.")
    adapter: str | None = option(
        None,
        help="Forecast by this adapter (pereggrn-eval adapters list; a path ending in .py is one "
        "of your own), as --model NAME does.",
    )
    runtime: str = option("docker", choices=_runtimes, needs=("container",), help="{choices}.")
    container_arguments: Sequence[str] = option(
        (),
        flags=("--container-argument",),
        needs=("container",),
        help="Argument of the runtime, for example --gpus=all; repeatable.",
    )
    time_limit: float = option(
        DEFAULT_HOURS * 3600,
        needs=_A_PROGRAM,
        shown=f"{DEFAULT_HOURS * 3600:.0f} ({DEFAULT_HOURS:g} hours)",
        help="Seconds, after which the program and all it has started end.",
    )
    memory_limit: float | None = option(
        None,
        needs=_A_PROGRAM,
        flags=("--memory", "--memory-limit"),
        kind=str,
        parse=parse_memory,
        help="For example 4GB (in Python bytes); of each process of a command, of the whole "
        "container.",
    )
    log: str | Path | None = option(
        None, needs=_A_PROGRAM, help="Write the program's output here while it runs."
    )
    keep: str | Path | None = option(
        None,
        needs=_A_PROGRAM,
        help="Make the program's folder here (empty or not there yet), and keep it.",
    )

    def __post_init__(self) -> None:
        given = [name for name in _A_PROGRAM if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                "A program is a command, a container or an adapter.",
                expected="one of --command, --container and --adapter",
                got=" and ".join(given) or "none of them",
            )
        # Imported here, as in ModelOptions.
        from pereggrn_data.loaders.program import check_runtime

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
                got=f"--command {self.name}" if self.adapter is None else f"--adapter {self.name}",
            )
        words = () if self.command is None else self.command
        for given, kind in (
            ((words,) if isinstance(words, str) else words, "command"),
            ((self.container or "",), "container"),
            ((self.adapter or "",), "adapter"),
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
                fix="Program(memory_limit=...) is in bytes: 4e9 for --memory 4GB.",
            )

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit, a whole number."""
        return None if self.memory_limit is None else int(self.memory_limit)

    @property
    def name(self) -> str:
        """What to call it."""
        if self.adapter is not None:
            from pereggrn_data.adapters import find_adapter

            found = find_adapter(self.adapter)
            return self.adapter if found is None else found.name
        command = self.command or ""
        return self.container or (command if isinstance(command, str) else shlex.join(command))
