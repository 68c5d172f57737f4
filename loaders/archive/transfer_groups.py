"""Which members of an archive come together in one transfer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pereggrn_data.catalog.locks import LockedMember

ADJACENT = 1 << 16
"""Members with at most this many bytes between them come in one transfer."""


def transfer_groups(
    missing: Mapping[str, LockedMember], begun: list[tuple[int, int]]
) -> list[tuple[tuple[int, int], dict[str, LockedMember]]]:
    """Group members by the transfers that bring them; those that were begun go on.

    A run that was killed while it unpacked has left the raw bytes of more
    members than are missing now: they are used, not brought again.
    """
    groups, left = [], dict(missing)
    for start, stop in begun:
        held = {
            p: m
            for p, m in sorted(left.items(), key=lambda item: item[1].start)
            if start <= m.start and m.stop <= stop and m.readable_alone
        }
        if held:
            groups.append(((start, stop), held))
            left = {p: m for p, m in left.items() if p not in held}
    return groups + [(span_of(group.values()), group) for group in _adjacent(left)]


def _adjacent(missing: Mapping[str, LockedMember]) -> list[dict[str, LockedMember]]:
    """Group members that lie next to each other, so that one request brings them all."""
    groups: list[dict[str, LockedMember]] = []
    end = -1
    for local, member in sorted(missing.items(), key=lambda item: item[1].start):
        if not groups or member.start - end > ADJACENT or not member.readable_alone:
            groups.append({})
        groups[-1][local] = member
        end = member.stop
    return groups


def span_of(members: Iterable[LockedMember]) -> tuple[int, int]:
    """Return the first byte of an archive that some members need, and the one behind the last."""
    members = list(members)
    return min(m.start for m in members), max(m.stop for m in members)
