"""From an experiment's metadata to its conditions: one row for each run of a model.

Rows, columns and their order are those of the original's tables (PEREGGRN's software).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.pipelines.experiment.metadata import (
    Experiment,
    networks_said,
    read_experiment,
    values_of,
)
from pereggrn_data.pipelines.experiment.metadata_findings import finding
from pereggrn_data.pipelines.experiment.metadata_keys import (
    AGGREGATE,
    DENSE,
    FOLD,
    FOLDS,
    K_FOLD,
    KEYS,
    LADDER,
    SUBNETS,
    folds_of,
)
from pereggrn_data.pipelines.experiment.method_names import progresses
from pereggrn_data.pipelines.experiment.named_data import NetworkChoice, networks_of

if TYPE_CHECKING:
    import pandas as pd

MOST_CONDITIONS = 100_000
CONDITION = "condition"
"""Name of the table's index."""


class PartsUnknownError(UsageError):
    """Parts of a network are wanted one by one, and it is not known here which it has."""


@dataclass(frozen=True)
class Conditions:
    """The conditions of an experiment.

    Parameters
    ----------
    experiment
        What they are laid out from.
    rows
        One mapping from columns to values for each condition.
    arguments
        The method's arguments, for each condition.
    networks
        The experiment's networks by their names in the table.
    notes
        What the user should know of the layout.
    """

    experiment: Experiment
    rows: tuple[Mapping[str, Any], ...]
    arguments: tuple[Mapping[str, Any], ...]
    networks: Mapping[str, NetworkChoice]
    notes: tuple[Finding, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return the table of conditions, as the original writes it to ``conditions.csv``."""
        import pandas as pd

        columns = list(self.rows[0])
        table = pd.DataFrame([tuple(row.values()) for row in self.rows], columns=columns)
        return table.rename_axis(index=CONDITION)

    def to_csv(self) -> str:
        """Return the table as text, as the original writes it."""
        text: str = self.to_pandas().to_csv(lineterminator="\n")
        return text


def lay_out(experiment: Experiment, *, collection: str | None = None) -> Conditions:
    """Expand the metadata into conditions.

    Parameters
    ----------
    experiment
        The checked metadata.
    collection
        Folder of the local collection, where networks have their parts.

    Raises
    ------
    InvalidDataError
        If the metadata have errors, or lists that do not go together.
    PartsUnknownError
        If a network's parts are wanted one by one, and it is not known which there are.
    """
    experiment.raise_if_invalid()
    metadata = experiment.metadata
    networks = _networks(experiment, collection)
    varied = {k: v for k, v in metadata.items() if k not in KEYS or KEYS[k].noted}
    baseline = varied.pop("baseline_condition")
    varied["network_datasets"] = list(networks)
    if K_FOLD in values_of(metadata["type_of_split"]):
        varied |= {FOLDS: folds_of(metadata)}
        varied.setdefault(FOLD, list(range(varied[FOLDS])))
    is_ladder = metadata["expand"] == LADDER
    if not is_ladder:
        varied |= {name: metadata["kwargs"][name] for name in metadata["kwargs_to_expand"]}
    lists = {name: values_of(value) for name, value in varied.items()}
    rows = _ladder(experiment, lists) if is_ladder else _grid(experiment, lists)
    arguments, notes = _arguments(experiment, rows)
    baselines = baseline if isinstance(baseline, list) else [baseline] * len(rows)
    if len(baselines) != len(rows):
        raise _impossible(
            experiment, "baseline_condition", f"one, or {len(rows)}", f"{len(baselines)}"
        )
    finished = [_finished(row, first) for row, first in zip(rows, baselines, strict=True)]
    notes += tuple(_of_ignored_networks(finished))
    return Conditions(experiment, tuple(finished), arguments, networks, notes)


def check_experiment(
    given: str | Path, *, force: bool = False, collection: str | None = None
) -> Experiment:
    """Check an experiment's metadata, and whether its conditions can be laid out.

    Parameters
    ----------
    given
        A ``.json`` or ``.yaml`` file, or a folder with a ``metadata.json``.
    force
        Whether an experiment that is not active is taken all the same.
    collection
        Folder of the local collection.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If the file is no JSON or YAML with one mapping.
    """
    read = read_experiment(given, force=force, collection=collection)
    if not read.valid:
        return read
    try:
        notes = lay_out(read, collection=collection).notes
    except InvalidDataError as error:
        notes = (_of_layout(error, Severity.ERROR),)
    except PartsUnknownError as error:
        notes = (_of_layout(error, Severity.WARNING),)
    found = sorted((*read.findings, *notes), key=lambda f: f.severity is not Severity.ERROR)
    return replace(read, findings=tuple(found))


def _of_layout(error: PereggrnError, severity: Severity) -> Finding:
    code = "layout-impossible" if severity is Severity.ERROR else "parts-unknown"
    expected, fix = error.expected or "", error.fix or "see the documentation of expand."
    got = " ".join(part for part in (error.what, error.got) if part)
    return finding(code, None, expected, got, fix, severity=severity)


def _networks(experiment: Experiment, collection: str | None) -> dict[str, NetworkChoice]:
    made: dict[str, NetworkChoice] = {}
    for name, said in networks_said(experiment.metadata["network_datasets"]).items():
        try:
            choices = networks_of(
                name, said.get(SUBNETS, []), said.get(AGGREGATE, False), collection=collection
            )
        except PereggrnError as error:
            raise PartsUnknownError(
                f"It is not known here which parts the network {name} has.",
                expected=f"{SUBNETS} that are named, {AGGREGATE}: true, or the network here",
                got=error.what,
                fix=error.fix,
            ) from error
        made |= {choice.name: choice for choice in choices}
    return made


def _grid(experiment: Experiment, lists: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    n = prod(map(len, lists.values()))
    if n > MOST_CONDITIONS:
        raise _impossible(
            experiment, "expand", f"at most {MOST_CONDITIONS:,} conditions", f"{n:,}"
        )
    empty = [name for name, values in lists.items() if not values]
    if empty:
        raise _impossible(experiment, empty[0], "at least one value", "an empty list")
    return [dict(zip(lists, row, strict=True)) for row in product(*lists.values())]


def _ladder(experiment: Experiment, lists: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    lengths = {name: len(values) for name, values in lists.items()}
    n = max(lengths.values())
    if n > MOST_CONDITIONS:
        raise _impossible(
            experiment, "expand", f"at most {MOST_CONDITIONS:,} conditions", f"{n:,}"
        )
    wrong = {name: length for name, length in lengths.items() if length not in (1, n)}
    if wrong:
        raise _impossible(
            experiment,
            ", ".join(wrong),
            f"with expand: ladder, one value or {n}, as the longest list has",
            ", ".join(f"{name}: {length}" for name, length in wrong.items()),
        )
    return [
        {name: values[i if len(values) == n else 0] for name, values in lists.items()}
        for i in range(n)
    ]


def _arguments(
    experiment: Experiment, rows: list[dict[str, Any]]
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Finding, ...]]:
    """Return the method's arguments of each row, and what the user should know of them."""
    given, expanded = experiment.metadata["kwargs"], experiment.metadata["kwargs_to_expand"]
    if isinstance(given, Mapping):
        is_ladder = experiment.metadata["expand"] == LADDER
        names = () if is_ladder else expanded
        return tuple(
            {k: row[k] if k in names else v for k, v in given.items()} for row in rows
        ), ()
    if not given:
        return tuple({} for _ in rows), ()
    if len(given) != len(rows):
        raise _impossible(
            experiment,
            "kwargs",
            f"with expand: ladder, one mapping for each of {len(rows)} conditions",
            f"{len(given)}",
        )
    return tuple(given), ()


def _finished(row: Mapping[str, Any], baseline: int) -> dict[str, Any]:
    """Fill in what depends on other columns, and what the original puts last."""
    done = dict(row)
    if done["network_datasets"] == DENSE:
        # The original stores the dense network as one without edges.
        done["network_prior"] = "ignore"
    if done["does_simulation_progress"] is None:
        done["does_simulation_progress"] = progresses(
            str(done["regression_method"]), str(done["type_of_split"])
        )
    done["baseline_condition"] = baseline
    return done


def _of_ignored_networks(rows: list[dict[str, Any]]) -> list[Finding]:
    """Say where a network is named and ignored, which is seldom meant."""
    from pereggrn_data.pipelines.experiment.method_names import named_method

    ignored = [
        i
        for i, row in enumerate(rows)
        if row["network_prior"] == "ignore"
        and row["network_datasets"] != DENSE
        and (model := named_method(row["regression_method"]).model) is not None
        and _heeds_prior(model)
    ]
    if not ignored:
        return []
    return [
        finding(
            "network-ignored",
            "network_prior",
            "restrictive, for a network to matter to a regression",
            f"ignore, with a network that is not {DENSE}, in {len(ignored)} of "
            f"{len(rows)} conditions",
            "write network_prior: restrictive, unless this is meant.",
            severity=Severity.WARNING,
        )
    ]


def _heeds_prior(model: str) -> bool:
    from pereggrn_data.models import get_method

    return get_method(model).is_regression


def _impossible(experiment: Experiment, key: str, expected: str, got: str) -> InvalidDataError:
    return InvalidDataError(
        f"{experiment.file} cannot be laid out: {key}.", expected=expected, got=got
    )
