"""What a conversion read, dropped, decided and assumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.printable import one_line


@dataclass(frozen=True)
class Dropped:
    """Something that is in the input and not in the output.

    Parameters
    ----------
    what
        What it was, and why it was dropped.
    n
        How many.
    examples
        The first few, by name.
    of
        ``"cells"``, ``"genes"`` or ``"values"``: what `n` counts. Cells are rows of the input.
    """

    what: str
    n: int
    examples: tuple[str, ...]
    of: str


@dataclass
class ConversionReport:
    """The account of one conversion.

    Nothing of the input is lost that `dropped` does not count: rows that were read
    are those of the output (or summed in them) and the dropped ``cells``.
    """

    read: dict[str, Any] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    decided: dict[str, Any] = field(default_factory=dict)
    assumed: dict[str, Any] = field(default_factory=dict)

    def drop(self, what: str, names: Iterable[object], *, of: str = "cells") -> None:
        """Count what was dropped; nothing, where there are no names."""
        listed = list(names)
        if listed:
            first = tuple(map(str, listed[:EXAMPLES_SHOWN]))
            self.dropped.append(Dropped(what, len(listed), first, of))

    def n_dropped(self, of: str = "cells") -> int:
        """Return how many cells (or genes) were dropped in all."""
        return sum(entry.n for entry in self.dropped if entry.of == of)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {
            "read": self.read,
            "dropped": [
                {"what": d.what, "n": d.n, "examples": list(d.examples), "of": d.of}
                for d in self.dropped
            ],
            "decided": self.decided,
            "assumed": self.assumed,
        }

    def to_lines(self) -> list[str]:
        """Return the report as lines of text."""
        lines = []
        for title in ("read", "dropped", "decided", "assumed"):
            section = self.to_dict()[title]
            if not section:
                continue
            lines.append(f"{title}:")
            if title == "dropped":
                for d in self.dropped:
                    more = ", ..." if d.n > len(d.examples) else ""
                    lines.append(f"  {d.n} {d.of}: {d.what} ({', '.join(d.examples)}{more})")
            else:
                lines += [f"  {name}: {_shown(value)}" for name, value in section.items()]
        return [one_line(line) for line in lines]

    def __str__(self) -> str:
        return "\n".join(self.to_lines())


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        items = [str(item) for item in value]
        more = f", ... ({len(items)} in all)" if len(items) > EXAMPLES_SHOWN else ""
        return ", ".join(items[:EXAMPLES_SHOWN]) + more
    if isinstance(value, dict):
        return _shown([f"{key} = {item}" for key, item in value.items()])
    return str(value)
