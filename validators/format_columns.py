"""The one registry of what files of the uniform format hold, slot by slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pereggrn_data.core.format import (
    CELL_TYPE,
    HIGHLY_VARIABLE_RANK,
    IS_CONTROL,
    LARGEST_LOG_EXPRESSION,
    LEVEL,
    MATCHED_CONTROL,
    MEASURED,
    NETWORK_COLUMNS,
    NOT_MEASURED,
    OBSERVATION,
    OVERLAP,
    PEREGGRN_UNS,
    PERTURBATION,
    PERTURBATION_TYPE,
    PREDICTION_STEP,
    SKIP_LOG_CHECK,
    TIMEPOINT,
    UNWEIGHTED,
    Kind,
    PerturbationType,
)


@dataclass(frozen=True)
class FormatColumn:
    """A column, a key or a matrix of a file.

    Parameters
    ----------
    kind
        The kind of file that has it.
    slot
        Where in the file.
    name
        Of the column or key; empty for a matrix, or the names of rows and columns.
    type
        Of its values.
    meaning
        What it says.
    example
        A value.
    unknown
        What to write where it is not known.
    needed_by
        Commands that need it; empty where nothing does.
    required
        Whether a file without it is invalid.
    convert_option
        Option of `pereggrn-data convert` that fills it; None where no option is needed
        or none is there.
    """

    kind: Kind
    slot: str
    name: str
    type: str
    meaning: str
    example: str
    unknown: str
    needed_by: tuple[str, ...] = ()
    required: bool = False
    convert_option: str | None = None


_D, _P, _N = Kind.DATASET, Kind.PREDICTIONS, Kind.NETWORK
_ALL = ("split", "predict", "score")
_PREDICT, _SCORE = ("predict",), ("score",)
_NO = "leave the column out"
_TYPES = ", ".join(PerturbationType)

FORMAT_COLUMNS = (
    FormatColumn(_D, "obs", "", "text, unique", "name of the observation: splits list them",
                 "`cell_7`", "number them", _ALL, True),
    FormatColumn(_D, "obs", PERTURBATION, "text", "the perturbed gene as `var` names it, or "
                 "genes joined by commas; controls have a label too", "`GATA1,KLF1`",
                 "remove the observation", _ALL, True, "perturbation"),
    FormatColumn(_D, "obs", IS_CONTROL, "bool", "whether nothing was perturbed", "`True`",
                 "remove the observation", _ALL, True, "control"),
    FormatColumn(_D, "obs", PERTURBATION_TYPE, f"text: {_TYPES}", "how the genes were changed; "
                 "controls have the type of the others", "`knockdown`",
                 "ask whoever made the data: models set the gene to the stated level by it",
                 _ALL, True, "type"),
    FormatColumn(_D, "obs", LEVEL, "number, or text with one number per gene", "expression of "
                 "the perturbed genes afterwards, natural log as in `X`; of knockouts 0",
                 "`0.0,1.4`", "`nan`, once per gene (`nan,nan`)", _ALL, True),
    FormatColumn(_D, "obs", CELL_TYPE, "text", "groups that are compared within themselves",
                 "`K562`", _NO, ("models of a time series",), False, "cell_type"),
    FormatColumn(_D, "obs", TIMEPOINT, "number", "time point, in any unit", "`24`", _NO,
                 ("models of a time series",), False, "timepoint"),
    FormatColumn(_D, "obs", MATCHED_CONTROL, "text", "name of the observation that was the "
                 "starting point of this one", "`cell_2`", _NO,
                 ("matching by `user`",)),
    FormatColumn(_D, "var", "", "text, unique", "name of the gene, of the same kind as in the "
                 "labels", "`GATA1`", "remove the gene", _ALL, True, "symbols"),
    FormatColumn(_D, "var", HIGHLY_VARIABLE_RANK, "number of 0 or more", "place of the gene by "
                 "variability; the lowest is the most variable", "`0`",
                 "the number of genes, for genes without a rank", ("split",), True, "rank"),
    FormatColumn(_D, "uns", MEASURED, "list of text", "perturbed genes that `var` has",
                 "`['GATA1']`", "an empty list", _ALL, True),
    FormatColumn(_D, "uns", NOT_MEASURED, "list of text", "perturbed genes that `var` lacks",
                 "`['TP63']`", "an empty list", ("validate",), True),
    FormatColumn(_D, "uns", OVERLAP, "bool", "whether labels name several genes", "`True`",
                 "leave the key out"),
    FormatColumn(_D, "uns", SKIP_LOG_CHECK, "bool", "that the scale of `X` is not to be judged",
                 "`True`", "leave the key out"),
    FormatColumn(_D, "X", "", "real numbers, dense or sparse", "normalised expression, natural "
                 f"log of 1 + x, below {LARGEST_LOG_EXPRESSION:g}; observations by genes",
                 "`2.303`", "impute it before the logarithm, or remove the gene", _ALL, True,
                 "counts"),
    FormatColumn(_D, "raw", "", "whole numbers, dense or sparse", "raw counts, of all genes",
                 "`9`", "what the values were before the logarithm", ("validate",), True,
                 "counts"),
    FormatColumn(_P, "obs", "", "text", "name of the test observation that is predicted, or any "
                 "other name", "`cell_7`", "number the rows"),
    FormatColumn(_P, "obs", PERTURBATION, "text", "label of a held-out perturbation, as in "
                 "`test_perturbations.csv`", "`GATA1,KLF1`", "leave the row out", _SCORE, True),
    FormatColumn(_P, "obs", PERTURBATION_TYPE, f"text: {_TYPES}",
                 "tells groups of one label apart", "`knockdown`", _NO),
    FormatColumn(_P, "obs", CELL_TYPE, "text", "tells groups of one label apart", "`K562`", _NO),
    FormatColumn(_P, "obs", TIMEPOINT, "number", "tells groups of one label apart", "`24`", _NO),
    FormatColumn(_P, "obs", IS_CONTROL, "bool", "rows that were predicted without perturbation",
                 "`False`", _NO),
    FormatColumn(_P, "obs", PREDICTION_STEP, "whole number", "after how many steps of a dynamic "
                 "model", "`1`", _NO),
    FormatColumn(_P, "obs", OBSERVATION, "text", "name of the test observation, where rows "
                 "cannot have it: in tables, and where they occur at several steps", "`cell_7`",
                 _NO),
    FormatColumn(_P, "var", "", "text, unique", "genes of the split, in any order", "`GATA1`",
                 "a model that leaves genes out is not scored", _SCORE, True),
    FormatColumn(_P, "uns", PEREGGRN_UNS, "text (JSON)", "which dataset and split are predicted, "
                 "as in `predictions_template.h5ad`", "`{\"format_version\": 1, ...}`",
                 "name dataset and split when scoring"),
    FormatColumn(_P, "X", "", "finite numbers", "forecast on the dataset's scale; rows by genes",
                 "`2.303`", "NaN, with `score --fill-missing control`", _SCORE, True),
    FormatColumn(_N, "edges", NETWORK_COLUMNS[0], "text", "gene that regulates", "`GATA1`",
                 "leave the edge out", ("networks", *_PREDICT), True),
    FormatColumn(_N, "edges", NETWORK_COLUMNS[1], "text", "gene that is regulated", "`KLF1`",
                 "leave the edge out", ("networks", *_PREDICT), True),
    FormatColumn(_N, "edges", NETWORK_COLUMNS[2], "number", "strength or confidence of the edge",
                 "`0.8`", f"`{UNWEIGHTED:g}` in all rows, or no such column"),
    FormatColumn(_N, "edges", CELL_TYPE, "text", "cell type in which the edge was found", "`K562`",
                 _NO),
)  # fmt: skip
"""Everything that a file may hold and commands look at, in the order of the documentation."""

_HEAD = "| where | required | type | meaning | example | where unknown | needed by |"


def format_table(kind: Kind, slots: Iterable[str]) -> str:
    """Return the documentation's table of some slots of a kind of file, as Markdown."""
    wanted = set(slots)
    lines = [_HEAD, "|" + "---|" * 7]
    for c in FORMAT_COLUMNS:
        if c.kind is kind and c.slot in wanted:
            required = "yes" if c.required else ""
            lines.append(f"| {_where(c)} | {required} | {c.type} | {c.meaning} | {c.example} "
                         f"| {c.unknown} | {', '.join(c.needed_by)} |")  # fmt: skip
    return "\n".join(lines)


def format_tables() -> dict[str, str]:
    """Return one table per kind of file and slot, by the name it has in the documentation."""
    slots = dict.fromkeys((c.kind, c.slot) for c in FORMAT_COLUMNS)
    return {f"format: {kind}, {slot}": format_table(kind, [slot]) for kind, slot in slots}


def _where(column: FormatColumn) -> str:
    if column.name:
        return f"`{column.name}`"
    return {"obs": "names of rows", "var": "names of genes"}.get(column.slot, "the matrix")
