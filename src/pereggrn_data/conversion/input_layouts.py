"""Known layouts of files: which options they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class InputLayout:
    """How files of one source name things.

    Parameters
    ----------
    about
        Where such files come from.
    options
        What the layout sets, where the user says nothing.
    if_present
        Options that name a column, set only where the file has it.
    """

    about: str
    options: Mapping[str, Any]
    if_present: Mapping[str, str] = field(default_factory=dict)


LAYOUTS: Mapping[str, InputLayout] = {
    "scperturb": InputLayout(
        "scPerturb's harmonised files (Zenodo 7041849 and later)",
        {"perturbation": "perturbation", "control": ("control",), "separator": ("_",),
         "counts": "X", "duplicates": "sum"},
        {"n_perturbations": "nperts"},
    ),
    "gears": InputLayout(
        "GEARS' data loader: GENE+ctrl, counts in a layer",
        {"perturbation": "condition", "control": ("ctrl",), "separator": ("+",),
         "counts": "layer:counts"},
        {"symbols": "gene_name", "cell_type": "cell_type"},
    ),
    "cell-eval": InputLayout(
        "cell-eval and the Virtual Cell Challenge",
        {"perturbation": "target_gene", "control": ("non-targeting",)},
        {"by": "batch"},
    ),
    "pertpy": InputLayout(
        "pertpy's Mixscape tutorials",
        {"perturbation": "gene_target", "control": ("NT",)},
        {"replicate": "replicate"},
    ),
    "cellxgene": InputLayout(
        "CZ CELLxGENE: Ensembl ids, symbols in var, counts in raw",
        {"counts": "raw", "symbols": "var:feature_name", "duplicates": "sum",
         "missing_label": ("nan", "NA", "None", "unassigned", "multiplet", "", "unknown")},
        {"cell_type": "cell_type"},
    ),
    "10x": InputLayout(
        "Cell Ranger's counts with protospacer_calls_per_cell.csv as --obs",
        {"perturbation": "feature_call", "separator": ("|",), "strip_guide_suffix": True,
         "counts": "X", "duplicates": "sum"},
    ),
}  # fmt: skip
"""By name; each is a set of options, which the user's own go before."""


def options_of_layout(name: str, obs_columns: list[str], var_columns: list[str]) -> dict[str, Any]:
    """Return what a layout sets for a file with these columns."""
    layout = LAYOUTS[name]
    found = dict(layout.options)
    for option, column in layout.if_present.items():
        if option == "symbols":
            if column in var_columns:
                found[option] = f"var:{column}"
        elif column in obs_columns:
            found[option] = (column,) if option == "by" else column
    return found


def layouts_table() -> str:
    """Return the documentation's table of layouts, as Markdown."""
    lines = ["| `--from` | what | sets |", "|---|---|---|"]
    for name, layout in LAYOUTS.items():
        sets = [f"`{_flag(o)}` {_shown(v)}".strip() for o, v in layout.options.items()]
        sets += [f"`{_flag(o)}` {c}, where there is one" for o, c in layout.if_present.items()]
        lines.append(f"| `{name}` | {layout.about} | {'; '.join(sets)} |")
    return "\n".join(lines)


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _shown(value: object) -> str:
    if value is True:
        return ""
    items = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"`{item}`".replace("|", "\\|") if item else "empty text" for item in items)
