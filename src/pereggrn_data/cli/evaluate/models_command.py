"""The command `pereggrn-eval models`: what can forecast, and where it is described."""

from __future__ import annotations

from pereggrn_data.cli.output import emit, emit_json, emit_table
from pereggrn_data.cli.shared_options import Json


def models_command(as_json: Json = False) -> None:
    """List the methods: name, kind, what each does, reference."""
    from pereggrn_data.models import METHODS

    if as_json:
        emit_json(
            [
                {
                    "name": m.name,
                    "aliases": list(m.aliases),
                    "kind": str(m.kind),
                    "summary": m.summary,
                    "reference": m.reference,
                    "in_paper": m.in_paper,
                    "is_random": m.is_random,
                }
                for m in METHODS
            ]
        )
        return
    emit_table(
        ["model", "kind", "what it does", "in the paper", "reference"],
        [
            (m.name, str(m.kind), m.summary, "yes" if m.in_paper else None, m.reference)
            for m in METHODS
        ],
    )
    emit("")
    emit("Any other method: pereggrn-eval predict --command, or --container.")
