"""A network as models see it: which genes regulate each target, perhaps per cell type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pereggrn_data.core.errors import InvalidDataError, first_few


@dataclass(frozen=True)
class RegulatorySets:
    """Regulators of each target.

    Parameters
    ----------
    regulators
        From target to its regulators, over all cell types; a target that is
        not there has none. An empty mapping is the empty network. The dense
        network is no network at all (None).
    by_cell_type
        The same for each cell type, where edges carry one.
    """

    regulators: Mapping[str, frozenset[str]]
    by_cell_type: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    @classmethod
    def from_edges(
        cls,
        regulators: Iterable[str],
        targets: Iterable[str],
        cell_types: Iterable[str] | None = None,
    ) -> RegulatorySets:
        """Make a network from edges; repeated ones count once.

        Parameters
        ----------
        regulators, targets
            The two ends of each edge.
        cell_types
            Where each edge is, if edges carry cell types.

        Raises
        ------
        ValueError
            If they are not equally many.
        """
        every: dict[str, set[str]] = defaultdict(set)
        typed: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        if cell_types is None:
            for regulator, target in zip(regulators, targets, strict=True):
                every[target].add(regulator)
        else:
            for regulator, target, cell_type in zip(regulators, targets, cell_types, strict=True):
                every[target].add(regulator)
                typed[cell_type][target].add(regulator)
        return cls(
            regulators=_frozen(every),
            by_cell_type={cell_type: _frozen(edges) for cell_type, edges in typed.items()},
        )

    @classmethod
    def empty(cls) -> RegulatorySets:
        """Return the network without edges."""
        return cls({})

    @property
    def n_edges(self) -> int:
        """Number of distinct (regulator, target) pairs."""
        return sum(len(r) for r in self.regulators.values())

    def of(self, cell_type: str | None) -> Mapping[str, frozenset[str]]:
        """Return the regulators of each target in one cell type.

        Parameters
        ----------
        cell_type
            None means all of them together. A network whose edges carry no
            cell type is the same everywhere.

        Raises
        ------
        InvalidDataError
            If edges carry cell types, and this is none of them.
        """
        if cell_type is None or not self.by_cell_type:
            return self.regulators
        if cell_type not in self.by_cell_type:
            raise InvalidDataError(
                f"The network has no edges for the cell type {cell_type!r}.",
                expected=f"one of {first_few(sorted(self.by_cell_type))}",
                fix="use a network with all cell types of the data, or "
                "cell_type_sharing_strategy identical.",
            )
        return self.by_cell_type[cell_type]

    def targets_of(self) -> dict[str, frozenset[str]]:
        """Return the targets of each regulator, over all cell types."""
        found: dict[str, set[str]] = defaultdict(set)
        for target, regulators in self.regulators.items():
            for regulator in regulators:
                found[regulator].add(target)
        return _frozen(found)


def _frozen(edges: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {key: frozenset(values) for key, values in edges.items()}
