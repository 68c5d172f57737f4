"""From an experiment's file to its checked metadata: every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import (
    InvalidDataError,
    PereggrnError,
    near_matches,
    or_list,
)
from pereggrn_data.core.printable import one_line
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.core.safe_names import is_safe_file_name
from pereggrn_data.loaders.files import METADATA_FILE, experiment_file, read_mapping
from pereggrn_data.pipelines.experiment.metadata_findings import finding
from pereggrn_data.pipelines.experiment.metadata_key import MetadataKey
from pereggrn_data.pipelines.experiment.metadata_keys import (
    AGGREGATE,
    CELL_TYPE_SPLIT,
    FOLD,
    FOLDS,
    GRID,
    HELDOUT_CELL_TYPE,
    KEYS,
    KEYS_OF_SPLITS,
    LADDER,
    SUBNETS,
    defaults,
    folds_of,
)
from pereggrn_data.pipelines.experiment.method_names import finding_of_method
from pereggrn_data.pipelines.experiment.named_data import finding_of_dataset, finding_of_network

_OLD_KEYS = {
    "default_level": "the original no longer knows it",
    "expand_prediction_timescale": "the original no longer knows it; a list of timescales "
    "makes conditions",
}
"""Keys of earlier versions of the original, which has refused them since."""


@dataclass(frozen=True)
class Experiment:
    """What an experiment's file says, with what it refers to and the defaults filled in.

    Parameters
    ----------
    file
        The file.
    metadata
        By key, in the order of the table's columns: the file's own, those of the
        experiment that it refers to, and the defaults.
    findings
        All problems, errors first.
    """

    file: Path
    metadata: Mapping[str, Any]
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        """The unique_id, or what the file is called where there is none."""
        given = self.metadata.get("unique_id")
        is_named = isinstance(given, str) and bool(given)
        return given if is_named else self.file.stem  # type: ignore[return-value]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep it from being run."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(f for f in self.findings if f.severity is Severity.WARNING)

    @property
    def valid(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def raise_if_invalid(self) -> None:
        """Raise if there is an error.

        Raises
        ------
        InvalidDataError
            Naming every error.
        """
        if not self.valid:
            lines = [line for finding in self.errors for line in finding.to_lines()]
            raise InvalidDataError(f"{self.file} cannot be run.", details=lines)

    def to_dict(self) -> dict[str, Any]:
        """Return what was found, as plain values."""
        from dataclasses import asdict

        return {
            "path": str(self.file),
            "name": self.name,
            "valid": self.valid,
            "findings": [{**asdict(f), "severity": str(f.severity)} for f in self.findings],
        }

    def __repr__(self) -> str:
        verdict = "valid" if self.valid else "INVALID"
        head = f"{one_line(str(self.file))}: {verdict} experiment {one_line(self.name)}"
        lines = [line for finding in self.findings for line in finding.to_lines()]
        return "\n  ".join([head, *lines])


def read_experiment(
    given: str | Path, *, force: bool = False, collection: str | None = None
) -> Experiment:
    """Read an experiment's metadata and check all of it; nothing is downloaded.

    Parameters
    ----------
    given
        A ``.json`` or ``.yaml`` file, or a folder with a ``metadata.json``.
    force
        Whether an experiment that is not active is taken all the same.
    collection
        Folder of the local collection, whose names are known as well.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If the file is no JSON or YAML with one mapping. What is wrong in the mapping is
        among the findings.
    """
    file = experiment_file(given)
    own = read_mapping(file)
    found: list[Finding] = []
    found += _of_identity(file, own, force=force)
    metadata, of_reference = _with_reference(file, own)
    found += of_reference
    for key, value in defaults().items():
        metadata.setdefault(key, value)
    found += _of_keys(metadata)
    found += _of_values(metadata)
    found += _of_splits(metadata)
    found += _of_networks(metadata, collection)
    found += _of_datasets(metadata, collection)
    found += _of_arguments(metadata)
    found.sort(key=lambda f: f.severity is not Severity.ERROR)
    return Experiment(file, metadata, tuple(found))


def values_of(value: Any) -> list[Any]:
    """Return the values of a key that varies: one, or those of a list."""
    return value if isinstance(value, list) else [value]


def _of_identity(file: Path, own: Mapping[str, Any], *, force: bool) -> Iterable[Finding]:
    given, folder = own.get("unique_id"), file.resolve().parent.name
    if file.name == METADATA_FILE and isinstance(given, str) and given != folder:
        yield finding(
            "unique-id-differs",
            "unique_id",
            f"the name of the folder, {folder}",
            given,
            f"rename the folder or write {folder!r}; the file may also be called otherwise "
            f"than {METADATA_FILE}.",
        )
    if own.get("is_active") is False:
        yield finding(
            "experiment-inactive",
            "is_active",
            "an active experiment",
            "false",
            "write true, or say --force.",
            severity=Severity.WARNING if force else Severity.ERROR,
        )


def _with_reference(
    file: Path, own: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Return the file's own keys, followed by those of the experiment that it refers to."""
    name = own.get("refers_to")
    if name is None:
        return {**own, "refers_to": None}, ()
    if not isinstance(name, str) or not is_safe_file_name(name):
        return dict(own), ()  # of which _of_values speaks
    other_file = file.resolve().parent.parent / name / METADATA_FILE
    try:
        other = read_mapping(experiment_file(other_file))
    except PereggrnError as error:
        why = "; ".join(part for part in (error.what, error.got) if part)
        there = sorted(
            f.parent.name for f in file.resolve().parent.parent.glob(f"*/{METADATA_FILE}")
        )
        near = near_matches(name, there)
        hint = f"did you mean {or_list(near)}?" if near else "put it there, or name another one."
        problem = finding(
            "refers-to-nothing", "refers_to", f"../{name}/{METADATA_FILE}", why, hint
        )
        return dict(own), (problem,)
    found = []
    if other.get("is_active") is False:
        found.append(
            finding(
                "refers-to-inactive",
                "refers_to",
                "an active experiment",
                f"{name}, whose is_active is false",
                f"activate {name}, or copy its keys.",
            )
        )
    if other.get("refers_to") is not None:
        found.append(
            finding(
                "refers-further",
                "refers_to",
                "an experiment that refers to no other one",
                f"{name}, which refers to {other['refers_to']}",
                f"refer to {other['refers_to']}, and copy the keys of {name}.",
            )
        )
    return {**own, **{k: v for k, v in other.items() if k not in own}}, tuple(found)


def _of_keys(metadata: Mapping[str, Any]) -> Iterable[Finding]:
    for key in metadata:
        if key not in KEYS:
            near = near_matches(str(key), list(KEYS))
            hint = f"did you mean {or_list(near)}?" if near else "leave it out."
            why = _OLD_KEYS.get(key)
            hint = f"leave it out: {why}." if why else hint
            yield finding("key-unknown", str(key), "a key that there is", str(key), hint)
    for known in KEYS.values():
        if known.required and known.name not in metadata:
            fix = f"say it: {known.doc.rstrip('.')}."
            yield finding("key-missing", known.name, known.takes, "nothing", fix)


def _of_values(metadata: Mapping[str, Any]) -> Iterable[Finding]:
    for name, given in metadata.items():
        key = KEYS.get(name)
        if key is None:
            continue
        if isinstance(given, list) and key.varies and not given:
            yield finding("value-empty", name, key.takes, "an empty list", "leave the key out.")
            continue
        values = values_of(given) if key.varies and key.name != "network_datasets" else [given]
        for value in _once(values):
            yield from _of_value(key, value)


def _once(values: list[Any]) -> list[Any]:
    """Return the values without repetitions; they may be of any kind."""
    return list({repr(value): value for value in values}.values())


def _of_value(key: MetadataKey, value: Any) -> Iterable[Finding]:
    if not key.fits(value):
        yield finding(
            "value-of-another-kind", key.name, key.takes, f"{value!r:.80}", "write such a value."
        )
        return
    if key.name == "regression_method":
        yield from finding_of_method(value)
    if (why := key.not_here(value)) is not None:
        yield finding(
            "value-not-here",
            key.name,
            "what can be run here",
            f"{value}: {why}",
            "its conditions will say so, and the others are run.",
            severity=Severity.WARNING,
        )
    known = None if key.choices is None else [str(choice) for choice in key.choices()]
    if known is not None and value not in known:
        near = near_matches(str(value), known)
        hint = f"did you mean {or_list(near)}?" if near else "write one of these."
        yield finding("value-unknown", key.name, or_list(known), str(value), hint)


def _of_splits(metadata: Mapping[str, Any]) -> Iterable[Finding]:
    """Yield what is wrong with keys that only one type of split has."""
    types = list(dict.fromkeys(map(str, values_of(metadata["type_of_split"]))))
    for kind, keys in KEYS_OF_SPLITS.items():
        if kind in types and len(types) > 1:
            yield finding(
                "split-type-not-alone",
                "type_of_split",
                f"{kind} alone, as its keys ({or_list(keys)}) are columns of every condition",
                ", ".join(types),
                "write another experiment for the other types.",
            )
        for key in keys:
            if key in metadata and kind not in types:
                yield finding(
                    "key-without-effect",
                    key,
                    f"{key} with type_of_split: {kind}",
                    f"type_of_split: {', '.join(types)}",
                    f"leave it out, or write {kind}.",
                )
    if CELL_TYPE_SPLIT in types and HELDOUT_CELL_TYPE not in metadata:
        yield finding(
            "key-missing",
            HELDOUT_CELL_TYPE,
            f"the cell type that is held out, with type_of_split: {CELL_TYPE_SPLIT}",
            "nothing",
            "name one or several cell types of the dataset.",
        )
    folds = folds_of(metadata)
    if not KEYS[FOLDS].fits(folds):
        return  # of which _of_values speaks
    for fold in _once(values_of(metadata.get(FOLD, []))):
        if KEYS[FOLD].fits(fold) and fold >= folds:
            yield finding(
                "value-out-of-range",
                FOLD,
                f"numbers from 0 to {folds - 1}",
                str(fold),
                f"leave out {FOLD}, for all of them, or say {FOLDS}.",
            )


def _of_networks(metadata: Mapping[str, Any], collection: str | None) -> Iterable[Finding]:
    for name, said in networks_said(metadata.get("network_datasets")).items():
        where = "network_datasets"
        if not isinstance(said, Mapping):
            yield finding(
                "value-of-another-kind",
                where,
                f"a mapping with {SUBNETS} and {AGGREGATE}, or {{}}",
                f"{name}: {said!r:.60}",
                "write such a mapping.",
            )
            continue
        for option in said:
            if option not in (SUBNETS, AGGREGATE):
                near = near_matches(str(option), [SUBNETS, AGGREGATE])
                hint = f"did you mean {or_list(near)}?" if near else "leave it out."
                yield finding(
                    "key-unknown", where, f"{SUBNETS} or {AGGREGATE}", f"{name}: {option}", hint
                )
        subnets, aggregate = said.get(SUBNETS, []), said.get(AGGREGATE, False)
        if not isinstance(subnets, list) or not all(
            isinstance(s, str) and is_safe_file_name(s) for s in subnets
        ):
            yield finding(
                "value-of-another-kind",
                where,
                f"{SUBNETS}: a list of names of files",
                f"{name}: {subnets!r:.60}",
                "write such a list; an empty one means all.",
            )
        if not isinstance(aggregate, bool):
            yield finding(
                "value-of-another-kind",
                where,
                f"{AGGREGATE}: true or false",
                f"{name}: {aggregate!r:.60}",
                "write true or false.",
            )
        yield from finding_of_network(name, collection)


def networks_said(given: Any) -> dict[str, Any]:
    """Return what is said of each network: a name or a list of names says nothing of them."""
    if isinstance(given, str):
        return {given: {}}
    if isinstance(given, list):
        return {name: {} for name in given if isinstance(name, str)}
    return {str(k): v for k, v in given.items()} if isinstance(given, Mapping) else {}


def _of_datasets(metadata: Mapping[str, Any], collection: str | None) -> Iterable[Finding]:
    for name in _once(values_of(metadata.get("perturbation_dataset", []))):
        if isinstance(name, str) and name:
            yield from finding_of_dataset(name, collection)


def _of_arguments(metadata: Mapping[str, Any]) -> Iterable[Finding]:
    arguments, names = metadata["kwargs"], metadata["kwargs_to_expand"]
    if metadata["expand"] == GRID and not isinstance(arguments, Mapping):
        yield finding(
            "value-of-another-kind",
            "kwargs",
            "with expand: grid, a mapping",
            f"{arguments!r:.60}",
            f"write one mapping, or expand: {LADDER}.",
        )
    if metadata["expand"] == LADDER and isinstance(arguments, Mapping) and arguments:
        yield finding(
            "value-of-another-kind",
            "kwargs",
            "with expand: ladder, a list with one mapping for each condition",
            f"{arguments!r:.60}",
            f"write such a list, or expand: {GRID}.",
        )
    if metadata["expand"] != GRID or not isinstance(names, list):
        return
    for name in names:
        if not isinstance(name, str):
            continue  # which the check of kinds tells
        if name in metadata or name in KEYS:
            yield finding(
                "argument-is-a-key",
                "kwargs_to_expand",
                "names of arguments that are no keys of the metadata",
                str(name),
                "call the argument otherwise: expanded ones become columns of the table.",
            )
        elif isinstance(arguments, Mapping) and name not in arguments:
            near = near_matches(str(name), list(map(str, arguments)))
            hint = (
                f"did you mean {or_list(near)}?" if near else "give it in kwargs, or leave it out."
            )
            yield finding(
                "argument-missing", "kwargs_to_expand", "names in kwargs", str(name), hint
            )
