"""Datasets and networks that experiments name: which there are, and the parts of networks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pereggrn_data.catalog import EntryKind
from pereggrn_data.core.errors import PereggrnError, UnknownNameError, near_matches
from pereggrn_data.core.reports import Finding
from pereggrn_data.pipelines.collection import require_known, subnetwork_files
from pereggrn_data.pipelines.experiment.metadata_findings import finding, unknown_name_finding
from pereggrn_data.pipelines.experiment.metadata_keys import (
    DENSE,
    EMPTY,
    RANDOM,
)

_RANDOM = re.compile(rf"{RANDOM}(?P<density>[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)")


@dataclass(frozen=True)
class NetworkChoice:
    """One network of an experiment, as a condition uses it.

    Parameters
    ----------
    name
        In the table of conditions: of the network, followed by the part's if there are
        several.
    source
        Name or path of the network; ``dense``, ``empty`` or ``random0.1``.
    parts
        Its subnetworks; None for all.
    """

    name: str
    source: str
    parts: tuple[str, ...] | None = None

    @property
    def density(self) -> float | None:
        """The share of all edges in a random network; None if it is another one."""
        return random_density(self.source)


def random_density(name: str) -> float | None:
    """Return the share of edges that a name such as ``random0.1`` asks for, or None.

    Examples
    --------
    >>> random_density("random0.1"), random_density("netRandom")
    (0.1, None)
    """
    found = _RANDOM.fullmatch(name)
    return None if found is None else float(found["density"])


def networks_of(
    name: str, subnets: list[str], aggregate: bool, *, collection: str | None
) -> list[NetworkChoice]:
    """Return what an experiment's network stands for: one network, or each of its parts.

    Parts that are named are taken as they are written; others are those that the local
    collection, the cache or the archive's index knows, in the order of their names.

    Raises
    ------
    UsageError
        If parts are wanted one by one, and it is not known here which there are.
    """
    is_made_here = name in (DENSE, EMPTY) or random_density(name) is not None
    if is_made_here or aggregate:
        return [NetworkChoice(name, name, tuple(subnets) or None)]
    parts = subnets or subnetwork_files(name, collection)
    if not parts:
        return [NetworkChoice(name, name)]
    return [NetworkChoice(f"{name} {part}", name, (part,)) for part in parts]


def finding_of_network(name: str, collection: str | None) -> Iterable[Finding]:
    """Return the problem of a network that there is not."""
    if name in (DENSE, EMPTY):
        return
    density = random_density(name)
    if density is not None and 0 <= density <= 1:
        return
    key = "network_datasets"
    for found in _finding("network-unknown", key, name, EntryKind.NETWORK, collection):
        near = near_matches(name, [DENSE, EMPTY])
        yield replace(found, fix=f"did you mean {near[0]}?") if near else found


def finding_of_dataset(name: str, collection: str | None) -> Iterable[Finding]:
    """Return the problem of a dataset that there is not."""
    yield from _finding(
        "dataset-unknown", "perturbation_dataset", name, EntryKind.DATASET, collection
    )


def _finding(
    code: str, key: str, name: str, kind: EntryKind, collection: str | None
) -> Iterable[Finding]:
    try:
        require_known(name, kind, collection)
    except UnknownNameError as error:
        yield unknown_name_finding(code, key, error, name)
    except PereggrnError as error:
        expected = error.expected or f"a {kind} that there is"
        got = "; ".join(part for part in (error.what, error.got) if part)
        yield finding(code, key, expected, got, error.fix or "name another one.")
