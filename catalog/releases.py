"""Releases: which records exist, and what is known about their archives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Holds(StrEnum):
    """What a record is known to hold."""

    DATA = "data"
    RESULTS = "results"
    CODE = "code"
    UNKNOWN = "unknown"
    CONCEPT = "concept"
    """Not a version: it stands for the newest one, which changes."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One record of the collection.

    Parameters
    ----------
    record
        Number of the record; also the name of the folder in the cache.
    doi
        Version DOI; None for concept records.
    aliases
        Words that ``--release`` takes as well.
    archives
        File names that the record is known to hold; empty where that is looked
        up on first contact.
    default
        Whether commands use it when none is named.
    """

    record: str
    title: str
    holds: Holds
    doi: str | None = None
    aliases: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    default: bool = False
