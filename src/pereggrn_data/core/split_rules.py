"""What was done besides the draw: replicates merged, networks consulted, ranks recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError, near_matches
from pereggrn_data.core.format import CELL_TYPE, TIMEPOINT

CONTEXTS = (CELL_TYPE, TIMEPOINT)
"""Columns within which replicates can be merged separately."""


class AllowedRegulators(StrEnum):
    """Which genes may be held out: all, or regulators of any or of every named network."""

    ALL = "all"
    UNION = "union"
    INTERSECTION = "intersection"


@dataclass(frozen=True)
class SplitRules:
    """The optional rules of a split; the defaults are what a plain split does.

    Parameters
    ----------
    merge_replicates
        Observations were averaged within perturbation first; the names of the
        split are then those of the averages.
    keep_apart
        Of ``cell_type`` and ``timepoint``, those within which they were averaged.
    stratify_controls
        A stratified split that holds out controls too, as the original software does.
    rank_on_train
        ``highly_variable_rank`` was recomputed on the training observations.
    allowed_regulators
        ``all``, ``union`` or ``intersection``.
    networks
        Names of the networks that it refers to.
    """

    merge_replicates: bool = False
    keep_apart: tuple[str, ...] = ()
    stratify_controls: bool = False
    rank_on_train: bool = False
    allowed_regulators: str = AllowedRegulators.ALL
    networks: tuple[str, ...] = ()

    def require_consistent(self) -> None:
        """Check that no rule lacks what it needs.

        Raises
        ------
        UnknownNameError
            For a rule or a column that does not exist.
        UsageError
            If one option needs another one.
        """
        if self.allowed_regulators not in list(AllowedRegulators):
            raise UnknownNameError(
                "rule for allowed regulators", self.allowed_regulators, list(AllowedRegulators)
            )
        for column in self.keep_apart:
            if column not in CONTEXTS:
                raise UnknownNameError("column to keep apart", column, CONTEXTS)
        if self.keep_apart and not self.merge_replicates:
            raise UsageError(
                "--keep-apart says how replicates are merged, and they are not.",
                fix="add --merge-replicates.",
            )
        restricted = self.allowed_regulators != AllowedRegulators.ALL
        if restricted != bool(self.networks):
            raise UsageError(
                "Networks and the rule for allowed regulators belong together.",
                expected="--allowed-regulators union or intersection, with --network "
                "(predict: --split-network)",
                got=f"--allowed-regulators {self.allowed_regulators} with "
                f"{len(self.networks)} networks",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults, as plain values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != _DEFAULTS[name]
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
            raise _invalid(source, "a JSON object 'rules'", f"a {type(values).__name__}")
        read: dict[str, Any] = {}
        for name, value in values.items():
            if name not in _DEFAULTS:
                near = near_matches(str(name), list(_DEFAULTS))
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise _invalid(source, f"rules of {', '.join(_DEFAULTS)}", f"{name!r}{hint}")
            default = _DEFAULTS[name]
            if isinstance(default, tuple):
                if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                    raise _invalid(source, f"a list of names in {name!r}", f"{value!r:.60}")
                value = tuple(value)
            elif isinstance(default, bool) is not isinstance(value, bool) or not isinstance(
                value, (bool, str)
            ):
                raise _invalid(source, f"{name!r} of another type", f"{value!r:.60}")
            read[name] = value
        rules = cls(**read)
        try:
            rules.require_consistent()
        except UsageError as error:
            raise _invalid(source, "rules that go together", error.what) from error
        return rules


_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(SplitRules)}


def _invalid(source: str, expected: str, got: str) -> InvalidDataError:
    return InvalidDataError(
        f"{source} is not a valid split.",
        expected=expected,
        got=got,
        fix="make it again, or update pereggrn-data if it was made by a newer version.",
    )
