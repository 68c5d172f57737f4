"""The command `pereggrn-eval models`: what can forecast, and where it is described."""

from __future__ import annotations

from pereggrn_data.cli.output import emit, emit_json, emit_prose, emit_table
from pereggrn_data.cli.shared_options import Json


def models_command(as_json: Json = False) -> None:
    """List the methods and adapters: name, kind, what each does, reference."""
    from pereggrn_data.models import METHODS
    from pereggrn_data.pipelines.predict import adapters

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
            + [adapter.to_dict() for adapter in adapters()]
        )
        return
    emit_table(
        ["model", "kind", "what it does", "in the paper", "reference"],
        [
            (m.name, str(m.kind), m.summary, "yes" if m.in_paper else None, m.reference)
            for m in METHODS
        ]
        + [
            (
                a.name,
                "adapter",
                f"{a.summary} Licence: {a.licence}. Needs {a.needs}. Environment: {a.size}. "
                f"Tried: {a.tried}.",
                None,
                a.reference,
            )
            for a in adapters()
        ],
    )
    emit("")
    emit_prose("Any other method: pereggrn-eval predict --command, or --container.")
