"""What a split is: explicit lists that can be published, pinned and checked, and its rules.

The rules say what was done besides the draw: replicates merged, networks
consulted, ranks recomputed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import (
    InvalidDataError,
    UsageError,
    first_few,
    near_matches,
    with_article,
)
from pereggrn_data.core.format import CELL_TYPE, SPLIT_FORMAT_VERSION, TIMEPOINT
from pereggrn_data.core.options import check_options, documented, normalise, option, options_of
from pereggrn_data.core.printable import notebook_card, one_line

if TYPE_CHECKING:
    import pandas as pd


CONTEXTS = (CELL_TYPE, TIMEPOINT)
"""Columns within which replicates can be merged separately."""


class AllowedRegulators(StrEnum):
    """Which genes may be held out: all, or regulators of any or of every named network."""

    ALL = "all"
    UNION = "union"
    INTERSECTION = "intersection"


@documented
@dataclass(frozen=True, kw_only=True)
class SplitRules:
    """The optional rules of a split; the defaults are what a plain split does.

    They are written to ``split.json``, and an unknown one is refused there: a
    new rule is a field here, and the code that obeys it.

    Parameters
    ----------
    {options}
    """

    merge_replicates: bool = option(
        False, finer=True, help="Average within perturbation first; scores do the same."
    )
    keep_apart: tuple[str, ...] = option(
        (),
        finer=True,
        choices=CONTEXTS,
        noun="column to keep apart",
        help="With {merge_replicates}: average within {choices}; may be given twice.",
    )
    stratify_controls: bool = option(
        False,
        finer=True,
        applies_to=("stratified",),
        help="hold out controls too, as the original does.",
    )
    rank_on_train: bool = option(
        False, finer=True, help="Rank genes by their variance in the training observations."
    )
    allowed_regulators: str = option(
        str(AllowedRegulators.ALL),
        finer=True,
        choices=AllowedRegulators,
        noun="rule for allowed regulators",
        applies_to=("interventional", "k_fold"),
        help="hold out all genes, or only regulators in the union or the intersection of "
        "{networks} ({choices}).",
    )
    networks: tuple[str, ...] = option(
        (),
        finer=True,
        flags=("--network", "--split-network"),
        help="For {allowed_regulators}; name or path, repeatable.",
    )
    folds: int = option(
        5,
        minimum=2,
        finer=True,
        noun="number of folds",
        applies_to=("k_fold",),
        help="number of folds; each perturbation that can be held out is so in one of them.",
    )
    fold: int | None = option(
        None,
        minimum=0,
        finer=True,
        applies_to=("k_fold",),
        help="which fold to hold out, counted from 0.",
    )
    cell_type: str | None = option(
        None,
        finer=True,
        applies_to=("cell_type",),
        help="the cell type whose perturbed observations are held out.",
    )
    validation_fraction: float = option(
        0.0,
        finer=True,
        help="Share of the training perturbations (of observations, where perturbations may "
        "be on both sides) that is set aside for validation: it neither trains nor tests.",
    )

    def __post_init__(self) -> None:
        normalise(self)

    def require_consistent(self) -> None:
        """Check that every value is one that there is, and that no rule lacks what it needs.

        Raises
        ------
        UnknownNameError
            For a rule or a column that does not exist.
        UsageError
            If one option needs another one, or a number is out of range.
        """
        check_options(self)
        if self.keep_apart and not self.merge_replicates:
            raise UsageError(
                "--keep-apart says how replicates are merged, and they are not.",
                fix="add --merge-replicates.",
            )
        if self.fold is not None and self.fold >= self.folds:
            raise UsageError(
                f"There is no fold {self.fold}: folds are counted from 0.",
                expected=f"--fold 0 to {self.folds - 1}",
                got=f"--fold {self.fold} of {self.folds}",
            )
        if not _is_number(self.validation_fraction) or not 0 <= self.validation_fraction < 1:
            raise UsageError(
                "The fraction for validation is out of range.",
                expected="a number from 0, which is none, to less than 1",
                got=repr(self.validation_fraction),
            )
        restricted = self.allowed_regulators != AllowedRegulators.ALL
        if restricted != bool(self.networks):
            raise UsageError(
                "Networks and the rule for allowed regulators belong together.",
                expected="--allowed-regulators union or intersection, with --network "
                "(predict, score: --split-network)",
                got=f"--allowed-regulators {self.allowed_regulators} with "
                f"{len(self.networks)} networks",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults, as plain values."""
        given = {name: getattr(self, name) for name in options_of(SplitRules)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if options_of(SplitRules)[name].differs(value)
        }

    @classmethod
    def from_dict(cls, values: object, *, source: str) -> SplitRules:
        """Read the rules back; nothing about `values` is trusted.

        Raises
        ------
        InvalidDataError
            For an unknown rule, which must not be ignored, or a wrong type.
        """
        if not isinstance(values, Mapping):
            raise _newer(source, "a JSON object 'rules'", with_article(type(values).__name__))
        known = options_of(SplitRules)
        for name, value in values.items():
            if name not in known:
                near = near_matches(str(name), list(known))
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise _newer(source, f"rules of {', '.join(known)}", f"{name!r}{hint}")
            if known[name].kind is list:
                if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                    raise _newer(source, f"a list of names in {name!r}", f"{value!r:.60}")
            elif type(value) is not known[name].kind:
                raise _newer(source, f"{name!r} of another type", f"{value!r:.60}")
        rules = SplitRules(**values)
        try:
            rules.require_consistent()
        except UsageError as error:
            raise _newer(source, "rules that go together", error.what) from error
        return rules


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _newer(source: str, expected: str, got: str) -> InvalidDataError:
    return InvalidDataError(
        f"{source} is not a valid split.",
        expected=expected,
        got=got,
        fix="make it again, or update pereggrn-data if it was made by a newer version.",
    )


@dataclass(frozen=True)
class Split:
    """Which observations of a dataset are held out, and which genes are modelled.

    Every observation that is not in `test_observations` or `validation_observations`
    trains, except those of a time series: there, a separate file trains.

    Parameters
    ----------
    dataset, sha256
        Name and hash of the dataset that was split.
    type
        Name of the split type, for example ``"interventional"``.
    seed, heldout_fraction, num_genes
        What the split was made with.
    genes
        Names of the modelled genes, in the dataset's order.
    heldout_perturbations
        Labels of the test set, in order of first appearance.
    test_observations
        Names of the held-out observations, in the order of the test set: the
        dataset's, unless the type of split has its own.
    software
        Name and version of what made it.
    rules
        What was done besides the draw.
    train_observations
        Names of the training observations where they stand in another order
        than the dataset's; else empty.
    given_observations
        Names of controls that neither train nor are scored, but are known: those
        of a time series.
    train_sha256
        Hash of the separate training file of a time series; else None.
    validation_observations
        Names of observations of the training side (of a time series: of its training
        file) that are set aside: they neither train nor are scored.
    seen
        Each held-out perturbation of several genes, with ``seen0``, ``seen1``, ... for
        the number of its genes that a training perturbation has.
    """

    dataset: str
    sha256: str
    type: str
    seed: int
    heldout_fraction: float
    num_genes: int
    genes: tuple[str, ...]
    heldout_perturbations: tuple[str, ...]
    test_observations: tuple[str, ...]
    software: str
    rules: SplitRules = field(default_factory=SplitRules)
    train_observations: tuple[str, ...] = ()
    given_observations: tuple[str, ...] = ()
    train_sha256: str | None = None
    validation_observations: tuple[str, ...] = ()
    seen: tuple[tuple[str, str], ...] = ()
    format_version: int = SPLIT_FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain values, in the layout of ``split.json``.

        Optional fields are there only where they say something.
        """
        optional = {
            "rules": self.rules.to_dict(),
            "train_dataset": {"sha256": self.train_sha256} if self.train_sha256 else None,
            "train_observations": list(self.train_observations),
            "given_observations": list(self.given_observations),
            "validation_observations": list(self.validation_observations),
            "seen": dict(self.seen),
        }
        return {
            "format_version": self.format_version,
            "dataset": {"name": self.dataset, "sha256": self.sha256},
            "type": self.type,
            "seed": self.seed,
            "heldout_fraction": self.heldout_fraction,
            "num_genes": self.num_genes,
            "software": self.software,
            "heldout_perturbations": list(self.heldout_perturbations),
            "test_observations": list(self.test_observations),
            "genes": list(self.genes),
            **{name: value for name, value in optional.items() if value},
        }

    @classmethod
    def from_dict(cls, values: object, *, source: str = "split.json") -> Split:
        """Read a split back from the layout of ``split.json``.

        Parameters
        ----------
        values
            Parsed JSON; nothing about it is trusted.
        source
            Named in messages.

        Raises
        ------
        InvalidDataError
            If a field is missing or of the wrong type, if a list has
            duplicates or is empty, or if the format version is unknown.
        """
        if not isinstance(values, Mapping):
            raise _invalid(source, "a JSON object", with_article(type(values).__name__))
        version = values.get("format_version")
        if type(version) is not int or version != SPLIT_FORMAT_VERSION:
            raise _invalid(source, f"format_version {SPLIT_FORMAT_VERSION}", repr(version))
        dataset = _field(values, "dataset", Mapping, source)
        return cls(
            dataset=_field(dataset, "name", str, source),
            sha256=_field(dataset, "sha256", str, source),
            type=_field(values, "type", str, source),
            seed=_at_least(0, values, "seed", source),
            heldout_fraction=_fraction(values, source),
            num_genes=_at_least(1, values, "num_genes", source),
            genes=_names(values, "genes", source),
            heldout_perturbations=_names(values, "heldout_perturbations", source),
            test_observations=_names(values, "test_observations", source),
            software=_field(values, "software", str, source),
            rules=SplitRules.from_dict(values.get("rules", {}), source=source),
            train_observations=_optional_names(values, "train_observations", source),
            given_observations=_optional_names(values, "given_observations", source),
            train_sha256=_field(
                _field(values, "train_dataset", Mapping, source), "sha256", str, source
            )
            if "train_dataset" in values
            else None,
            validation_observations=_optional_names(values, "validation_observations", source),
            seen=_seen(values, source),
        )

    def is_same_as(self, other: Split) -> bool:
        """Say whether another split divides the same data alike.

        Who made it, the order of its lists, and what follows from them, do not matter.
        """
        return self._content() == other._content()

    def digest(self) -> str:
        """Return the sha256 of what the split says, equal for splits that are the same."""
        text = json.dumps(self._content(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _content(self) -> dict[str, Any]:
        content = {k: v for k, v in self.to_dict().items() if k not in ("software", "seen")}
        content["dataset"] = self.sha256
        return {k: sorted(v) if isinstance(v, list) else v for k, v in content.items()}

    def to_pandas(self) -> pd.DataFrame:
        """Return the held-out observations, one row each."""
        import pandas as pd

        return pd.DataFrame({"observation": list(self.test_observations)})

    def _repr_html_(self) -> str:
        return notebook_card(
            f"Split {self.type} of {self.dataset}",
            facts={
                "seed": self.seed,
                "perturbations held out": len(self.heldout_perturbations),
                "observations held out": len(self.test_observations),
                "genes": len(self.genes),
                "the first of them": first_few(self.heldout_perturbations),
                "sha256 of the dataset": self.sha256,
            },
        )

    def __repr__(self) -> str:
        return (
            f"Split {self.type} of {one_line(self.dataset)} (seed {self.seed}): "
            f"{len(self.heldout_perturbations)} perturbations, "
            f"{len(self.test_observations)} observations held out, {len(self.genes)} genes"
        )


_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    list: "a list",
    Mapping: "an object",
    (int, float): "a number",
}


def _fraction(values: Mapping[str, Any], source: str) -> float:
    given = _field(values, "heldout_fraction", (int, float), source)
    if not 0 < given <= 1:
        expected = "'heldout_fraction' above 0 and at most 1"
        raise _invalid(
            source, expected, f"{given!r:.60}" if isinstance(given, float) else "another number"
        )
    return float(given)


def _at_least(least: int, values: Mapping[str, Any], name: str, source: str) -> int:
    value: int = _field(values, name, int, source)
    if value < least:
        raise _invalid(source, f"{name!r} of {least} or more", "a smaller number")
    return value


def _field(values: Mapping[str, Any], name: str, kind: Any, source: str) -> Any:
    if name not in values:
        raise _invalid(source, f"a field {name!r}", f"only {sorted(map(str, values))}")
    value = values[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _invalid(
            source, f"{name!r} of another type", f"{type(value).__name__} {value!r:.60}"
        )
    return value


def _names(values: Mapping[str, Any], name: str, source: str) -> tuple[str, ...]:
    names = _field(values, name, list, source)
    if not names:
        raise _invalid(source, f"at least one name in {name!r}", "an empty list")
    wrong = [v for v in names if not isinstance(v, str)]
    if wrong:
        raise _invalid(source, f"names (text) in {name!r}", f"{wrong[0]!r:.60}")
    if len(set(names)) < len(names):
        raise _invalid(source, f"each name of {name!r} once", "duplicates")
    return tuple(names)


def _optional_names(values: Mapping[str, Any], name: str, source: str) -> tuple[str, ...]:
    return _names(values, name, source) if name in values else ()


def _seen(values: Mapping[str, Any], source: str) -> tuple[tuple[str, str], ...]:
    if "seen" not in values:
        return ()
    found = _field(values, "seen", Mapping, source)
    wrong = [v for v in found.values() if not isinstance(v, str)]
    if wrong:
        raise _invalid(source, "a text for each perturbation in 'seen'", f"{wrong[0]!r:.60}")
    return tuple((str(label), text) for label, text in found.items())


def _invalid(source: str, expected: str, got: str) -> InvalidDataError:
    return InvalidDataError(
        f"{source} is not a valid split.",
        expected=expected,
        got=got,
        fix="make it again with `pereggrn-eval split`.",
    )
