"""Every option of a conversion to the uniform format, in four groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.options import check_options, documented, normalise, option, options_of

MISSING_LABELS = ("nan", "NA", "None", "unassigned", "multiplet", "")
SEPARATORS = ("+", ",", ";", "|", "&")


def _layouts() -> Iterable[str]:
    from pereggrn_data.conversion.input_layouts import LAYOUTS

    return LAYOUTS


def _size_factors() -> Iterable[str]:
    from pereggrn_data.conversion.size_factors import SIZE_FACTORS

    return SIZE_FACTORS


def _ranks() -> Iterable[str]:
    from pereggrn_data.conversion.gene_ranks import RANKS

    return RANKS


def _presets() -> Iterable[str]:
    from pereggrn_data.conversion.cell_filters import PRESETS

    return PRESETS


def _scales() -> Iterable[str]:
    from pereggrn_data.conversion.value_scale import SCALES

    return SCALES


@dataclass(frozen=True)
class LabelOptions:
    """What was done to each cell."""

    layout: str | None = option(
        None, flags=("--from",), choices=_layouts, noun="layout",
        help="A known layout, which sets other options where they are not given: {choices}.",
    )  # fmt: skip
    perturbation: str | None = option(
        None, noun="column", help="Column of obs that names the perturbed genes."
    )
    control: tuple[str, ...] = option(
        (), help="Label of the controls; `*` stands for any text. May be given several times."
    )
    type: str | None = option(
        None, help="knockout, knockdown, overexpression, or the column of obs that says which."
    )
    separator: tuple[str, ...] = option(
        SEPARATORS, shown="+ , ; | &",
        help="What joins the genes of one label. May be given several times.",
    )  # fmt: skip
    strip_guide_suffix: bool = option(
        False, help="Take MYC_g1, MYC_sg2, MYC_1 and MYCg3 for guides of MYC."
    )
    missing_label: tuple[str, ...] = option(
        MISSING_LABELS, shown="nan, NA, None, unassigned, multiplet, empty text",
        help="Labels of cells of which nothing is known; they are dropped and counted.",
    )  # fmt: skip
    n_perturbations: str | None = option(
        None, noun="column",
        help="Column of obs with the number of perturbed genes: labels are divided only where "
        "it is above 1.",
    )  # fmt: skip
    replicate: str | None = option(None, noun="column", help="Column of obs with the replicate.")
    cell_type: str | None = option(None, noun="column", help="Column of obs with the cell type.")
    timepoint: str | None = option(None, noun="column", help="Column of obs with the time point.")


@dataclass(frozen=True)
class GeneOptions:
    """What the genes are called."""

    symbols: str | None = option(
        None, help="var:COLUMN with the names that labels use; by default the index of var."
    )
    gene_prefix: str | None = option(
        None, help="Keep only genes whose names begin so (GRCh38_), and take it away."
    )
    duplicates: str | None = option(
        None, choices=("sum", "suffix"), noun="way with duplicates",
        help="What becomes of genes of one name: {choices}. By default they are refused.",
    )  # fmt: skip
    mend_genes: bool = option(
        False, help="Give genes back their names where a spreadsheet made dates or numbers of "
        "them and one gene fits.",
    )  # fmt: skip
    genes_in_rows: bool = option(False, help="A table has a row per gene, and a column per cell.")


@dataclass(frozen=True)
class ValueOptions:
    """Where the values are, and what they mean."""

    counts: str | None = option(
        None, help="Where the counts are: X, raw or layer:NAME. By default the one place that "
        "holds whole numbers.",
    )  # fmt: skip
    estimated_counts: bool = option(
        False, help="Take counts that are not whole, as estimated by salmon or RSEM."
    )
    normalised: str | None = option(
        None, choices=_scales, noun="scale",
        help="There are no counts: the values are normalised already, and on this scale: "
        "{choices}. Rows stay as they are.",
    )  # fmt: skip


@dataclass(frozen=True)
class PipelineOptions:
    """What is done with the values, in the order of the paper's preprocessing."""

    filters: str | None = option(
        None, choices=_presets, noun="preset",
        help="Filters of cells and genes that the paper used: {choices}. Off by default.",
    )  # fmt: skip
    min_umis: float | None = option(None, help="Drop cells with fewer counts.")
    max_umis: float | None = option(None, help="Drop cells with more counts.")
    max_umis_percentile: float | None = option(
        None, help="Drop cells with more counts than this percentile of the cells."
    )
    max_top50: float | None = option(
        None, help="Drop cells with more than this share of counts in their 50 highest genes."
    )
    max_mitochondrial: float | None = option(
        None, help="Drop cells with more than this share of mitochondrial counts."
    )
    max_ribosomal: float | None = option(
        None, help="Drop cells with more than this share of counts of ribosomal proteins."
    )
    min_cells_per_gene: int | None = option(
        None, minimum=0, noun="number of cells",
        help="Drop genes detected in fewer cells, unless they are perturbed.",
    )  # fmt: skip
    cells: bool = option(False, help="Keep single cells; by default counts are summed.")
    by: tuple[str, ...] = option(
        (), help="Another column of obs within whose values counts are summed. May be repeated."
    )
    size_factors: str | None = option(
        None, choices=_size_factors, noun="kind of size factors",
        shown="median-of-ratios; total for cells", help="How depth is taken out: {choices}.",
    )  # fmt: skip
    rank: str | None = option(
        None, choices=_ranks, noun="kind of rank", shown="seurat_v3; variance without counts",
        help="How genes are ranked by variability: {choices}.",
    )  # fmt: skip
    unmoved: str = option(
        "remove", choices=("remove", "keep"), noun="way with unmoved targets",
        help="What becomes of knocked-down and overexpressed samples whose targets do not move "
        "as intended: {choices}.",
    )  # fmt: skip
    moved_p: float | None = option(
        None,
        help="Largest p-value of a one-sided t-test of the target against controls, where "
        "replicates allow one (the paper: 0.1 for nakatake). By default the direction decides.",
    )  # fmt: skip
    knockout_level: str = option(
        "zero", choices=("zero", "measured"), noun="knockout level",
        help="Level stated for knocked-out genes that are measured: {choices}.",
    )  # fmt: skip


@documented
@dataclass(frozen=True)
class ConvertOptions(LabelOptions, GeneOptions, ValueOptions, PipelineOptions):
    """How a file becomes a dataset of the uniform format.

    Parameters
    ----------
    {options}
    """

    def __post_init__(self) -> None:
        normalise(self)

    def check(self) -> None:
        """Check every choice, range and combination.

        Raises
        ------
        UnknownNameError
            For a value that is not among the choices.
        UsageError
            For a number out of range, or options that exclude each other.
        """
        check_options(self)
        if self.counts and self.normalised:
            raise UsageError(
                "Counts and normalised values were both named.",
                expected="--counts, or --normalised",
                got=f"--counts {self.counts} --normalised {self.normalised}",
            )
        if "" in self.separator:
            raise UsageError("An empty text separates nothing.", fix="leave --separator '' out.")
        for name in ("max_top50", "max_mitochondrial", "max_ribosomal"):
            _check_range(name, getattr(self, name), 1)
        _check_range("max_umis_percentile", self.max_umis_percentile, 100)
        _check_range("moved_p", self.moved_p, 1)
        if self.symbols is not None and not self.symbols.startswith("var:"):
            raise UsageError(
                "It is not said where the symbols are.",
                expected="var:COLUMN",
                got=repr(self.symbols),
                fix=f"--symbols var:{self.symbols}",
            )

    def said(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults."""
        about = options_of(type(self))
        values = {name: getattr(self, name) for name in about}
        return {n: v for n, v in values.items() if about[n].differs(v)}


def _check_range(name: str, value: float | None, most: float) -> None:
    if value is not None and not 0 <= value <= most:
        flag = "--" + name.replace("_", "-")
        raise UsageError(f"{flag} is out of range.", expected=f"0 to {most:g}", got=f"{value:g}")


def options_from(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Check the names and types of options that were read from a recipe.

    Raises
    ------
    UsageError
        If a name is no option, or a value is of another type.
    """
    about = options_of(ConvertOptions)
    unknown = [name for name in values if name not in about]
    if unknown:
        raise UsageError(
            f"{source} has options that do not exist.",
            expected="names of options, as in `pereggrn-data convert --help`, with underscores",
            got=", ".join(unknown),
        )
    for name, value in values.items():
        kind = about[name].kind
        fits = {
            bool: isinstance(value, bool),
            str: isinstance(value, str),
            list: isinstance(value, list) and all(isinstance(item, str) for item in value),
        }.get(kind, isinstance(value, (int, float)) and not isinstance(value, bool))
        if not fits:
            wanted = {list: "a list of texts", str: "a text", bool: "true or false"}
            raise UsageError(
                f"{source} has a value of the wrong type for {name}.",
                expected=wanted.get(kind, "a number"),
                got=repr(value),
            )
    return dict(values)
