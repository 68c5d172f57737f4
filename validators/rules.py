"""The one registry of rules: every code that a report can hold, and what it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.format import (
    LARGEST_LOG_EXPRESSION,
    LEVEL_TOLERANCE,
    PREDICTIONS_FORMAT_VERSION,
    Kind,
    PerturbationType,
)
from pereggrn_data.core.printable import shortened
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.validators.format_columns import FORMAT_COLUMNS


class Use(StrEnum):
    """What `split`, `predict` and `score` do with a dataset that breaks a rule."""

    REFUSED = "refused"
    """They stop: there would be no result, or a wrong one."""
    STOPPED = "stops"
    """They stop unless the user insists: the numbers would mean nothing."""
    TOLD = "warns"
    """They go on, and say it."""
    IGNORED = "-"
    """They go on: it touches nothing that they compute with."""


@dataclass(frozen=True)
class Rule:
    """Something that a file must (error) or should (warning) satisfy.

    Parameters
    ----------
    code
        Stable name; never reused for something else.
    kinds
        The kinds of file that it is checked for.
    severity
        Error: the file is invalid. Warning: it is not.
    slot
        Where in the file.
    expected
        What is asked for.
    fix
        How to mend a file that breaks it.
    needs_dataset
        Whether it can be checked only next to the dataset, when scoring.
    blocks_use
        Whether a dataset that breaks it can be neither split nor scored, even where
        validation only warns: the result would be wrong, or there would be none.
    stops_use
        Whether numbers that are computed with such a dataset mean nothing, so that one has
        to insist on them.
    warns_in_use
        Whether it is said when the dataset is used, although validation only warns; of
        errors it is said anyway, unless they are about raw counts.
    mended_by
        Options of `pereggrn-data convert` that mend a dataset; empty where it does so
        without one, and None where it does not.
    """

    code: str
    kinds: tuple[Kind, ...]
    severity: Severity
    slot: str
    expected: str
    fix: str
    needs_dataset: bool = False
    blocks_use: bool = False
    stops_use: bool = False
    warns_in_use: bool = False
    mended_by: tuple[str, ...] | None = None

    @property
    def use(self) -> Use:
        """What commands do with a dataset that breaks the rule."""
        if self.blocks_use:
            return Use.REFUSED
        if self.stops_use:
            return Use.STOPPED
        touches = Kind.DATASET in self.kinds and self.slot in ("obs", "var", "uns", "X")
        if self.warns_in_use or (touches and self.severity is Severity.ERROR):
            return Use.TOLD
        return Use.IGNORED

    def found(
        self,
        got: str,
        *,
        column: str | None = None,
        n: int = 1,
        examples: Iterable[object] = (),
        slot: str | None = None,
        expected: str | None = None,
        fix: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Make a finding of this rule; the first few examples are kept."""
        return Finding(
            code=self.code,
            severity=severity or self.severity,
            slot=slot or self.slot,
            column=column,
            n=int(n),
            examples=tuple(map(shortened, list(examples)[:EXAMPLES_SHOWN])),
            expected=expected or self.expected,
            got=got,
            fix=fix or self.fix,
        )


def with_conversion(finding: Finding) -> Finding:
    """Say of a dataset's finding which options of `pereggrn-data convert` mend it, if any do."""
    options = RULES[finding.code].mended_by
    if options is None:
        return finding
    if finding.code == "obs-missing-column":
        options = tuple(
            c.convert_option
            for c in FORMAT_COLUMNS
            if c.kind is Kind.DATASET and c.name == finding.column and c.convert_option
        )
    return replace(finding, fix=f"{finding.fix} {_conversion(options)}")


def _conversion(options: Iterable[str]) -> str:
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in options)
    return f"Or let `pereggrn-data convert` do it{f' ({flags})' if flags else ''}."


_D, _P, _N = (Kind.DATASET,), (Kind.PREDICTIONS,), (Kind.NETWORK,)
_DP = (Kind.DATASET, Kind.PREDICTIONS)
_E, _W = Severity.ERROR, Severity.WARNING
_SCORED, _BLOCKS, _STOPS, _WARNS = True, True, True, True

_TYPES = ", ".join(PerturbationType)

_RULES = (
    # Any file
    Rule("file-unreadable", tuple(Kind), _E, "file", "a complete file of this kind",
         "fetch or write it again: it may have been cut short, or be an error page."),
    Rule("element-unreadable", _DP, _E, "file", "an element that anndata can read",
         "write the file again with anndata.", blocks_use=_BLOCKS),
    Rule("element-left", _DP, _W, "file", "elements that can be read",
         "nothing, if it is not needed: it is left out of whatever is made of this file."),
    # Observations
    Rule("obs-missing-column", _DP, _E, "obs", "every required column",
         "add the column to obs.", blocks_use=_BLOCKS, mended_by=()),
    Rule("obs-names-duplicated", _DP, _E, "obs", "unique names of observations",
         "call adata.obs_names_make_unique(); a split lists observations by name.",
         blocks_use=_BLOCKS),
    Rule("perturbation-missing", _DP, _E, "obs", "a label in every row",
         "label every row; controls have a label too, for example 'control'.",
         blocks_use=_BLOCKS, mended_by=("missing_label",)),
    Rule("perturbation-not-text", _DP, _E, "obs", "text: a gene, or genes joined by commas",
         "convert the labels to text.", blocks_use=_BLOCKS, mended_by=("perturbation",)),
    Rule("perturbation-white-space", _DP, _E, "obs",
         "labels without white space and characters that are not seen",
         "remove them, for example 'GATA1,KLF1' for 'GATA1, KLF1'.",
         mended_by=("separator",)),
    Rule("perturbation-empty-name", _DP, _E, "obs", "no empty name among the genes of a label",
         "name every gene, and remove commas at the ends and double commas.",
         mended_by=("separator",)),
    Rule("perturbation-repeated-gene", _DP, _W, "obs", "each gene of a label once",
         "remove the repeated gene and its level.", mended_by=("separator",)),
    Rule("perturbation-order", _DP, _E, "obs", "one label for one set of genes",
         "write the genes of a label in one order; else a split can hold out one spelling "
         "and train on the other.", mended_by=("separator",)),
    Rule("perturbation-spelling", _DP, _E, "obs", "one label for one perturbation",
         "write each gene in one way, without white space, quotation marks or guides; else a "
         "split can hold out one spelling and train on the other.",
         mended_by=("strip_guide_suffix",)),
    Rule("perturbation-unknown", _D, _E, "obs", "a perturbation in every row that is no control",
         "remove these observations, or mark them by is_control = True if they are controls: "
         "what is not known is no perturbation.", mended_by=("missing_label",)),
    Rule("perturbation-like-control", _D, _W, "obs", "controls marked by is_control",
         "set is_control = True in these rows, if they are controls; else they are held out and "
         "scored as a perturbation.", warns_in_use=_WARNS, mended_by=("control",)),
    Rule("perturbation-names-control", _D, _E, "obs", "labels that name genes only",
         "remove the control from the label and its level: 'AHR' for 'AHR,ctrl'; else one gene "
         "counts as a combination.", mended_by=("control", "separator")),
    Rule("perturbation-separator", _D, _W, "obs", "genes joined by commas",
         "join the genes by commas, 'AHR,KLF1' for 'AHR+KLF1'; else the label names one gene, "
         "which nothing measures.", warns_in_use=_WARNS, mended_by=("separator",)),
    Rule("perturbed-names-of-another-kind", _D, _W, "obs", "perturbed genes that are in var",
         "name genes in labels as in var, and fill both lists anew; a split can hold out "
         "measured genes only.", mended_by=("symbols", "strip_guide_suffix")),
    Rule("is-control-contradicts-label", _D, _E, "obs", "controls and perturbations of "
         "different labels", "correct is_control, or the label, of the rows that are wrong.",
         stops_use=_STOPS, mended_by=("control",)),
    Rule("is-control-not-bool", _D, _E, "obs", "true or false (bool) in every row",
         "convert it: adata.obs['is_control'] = adata.obs['is_control'].astype(bool), "
         "after looking at what it holds (text 'False' becomes True).", blocks_use=_BLOCKS,
         mended_by=("control",)),
    Rule("no-controls", _D, _E, "obs", "at least one control",
         "mark the controls by is_control = True.", blocks_use=_BLOCKS, mended_by=("control",)),
    Rule("only-controls", _D, _E, "obs", "at least one observation that is not a control",
         "a training file of a time series may hold controls only: name it train.h5ad, or "
         "validate it with --role train.", blocks_use=_BLOCKS),
    Rule("perturbation-type-unknown", _D, _E, "obs", f"one of {_TYPES}, in every row",
         "use one of these words, also for controls.", mended_by=("type",)),
    Rule("level-not-a-number", _D, _E, "obs", "a number, or numbers joined by commas; "
         "NaN where unknown", "write numbers, or nan where the level is unknown.",
         blocks_use=_BLOCKS, mended_by=()),
    Rule("level-count", _D, _E, "obs", "as many levels as genes in every row",
         "write one level per gene, in the order of the genes, for example '0.0,nan'.",
         blocks_use=_BLOCKS, mended_by=()),
    Rule("level-unknown-for-several-genes", _D, _W, "obs", "one level per gene, nan where unknown",
         "write 'nan,nan' for two genes of unknown level.", mended_by=()),
    Rule("level-differs-from-X", _D, _E, "obs", "the value in X within "
         f"{LEVEL_TOLERANCE:g}; for knockouts 0, or that",
         "copy the level from X after the last normalisation, or set it to nan.",
         stops_use=_STOPS, warns_in_use=True, mended_by=()),
    Rule("train-missing-column", _D, _E, "obs", "timepoint and cell_type in the "
         "training file of a time series",
         "add the column; if this is no time series, validate it with --role test."),
    Rule("train-timepoint-not-numeric", _D, _E, "obs", "numbers in the training file of a "
         "time series", "convert the time points to numbers, for example hours."),
    Rule("timepoint-not-numeric", _DP, _W, "obs", "numbers",
         "convert the time points to numbers."),
    Rule("obs-missing-values", _D, _W, "obs", "a value in every row",
         "fill in the missing values, or remove the column: rows are grouped by it.",
         mended_by=("cell_type", "timepoint")),
    # Genes
    Rule("var-missing-column", _D, _E, "var", "every required column",
         "add the column: rank genes by variability, 0 or 1 for the most variable one.",
         blocks_use=_BLOCKS, mended_by=("rank",)),
    Rule("var-names-duplicated", _D, _E, "var", "unique gene names",
         "combine or rename the genes that share a name (adata.var_names_make_unique() "
         "renames, so that perturbations no longer find them).", blocks_use=_BLOCKS,
         mended_by=("duplicates",)),
    Rule("var-name-empty", _DP, _E, "var", "no empty gene name", "name the gene or remove it."),
    Rule("var-name-unusable", _DP, _W, "var",
         "gene names without commas, white space and characters that are not seen",
         "rename these genes: no perturbation label can name them."),
    Rule("var-name-spoiled", _DP, _W, "var", "names of genes, no dates or numbers",
         "give these genes back their names (1-Mar was MARCH1, today MARCHF1); a spreadsheet "
         "has changed them.", mended_by=("mend_genes",)),
    Rule("rank-missing", _D, _E, "var", "a rank for every gene",
         "rank every gene. If scanpy left NaN (flavor='seurat_v3' ranks n_top_genes only): "
         "n_top_genes=adata.n_vars, or fillna(adata.n_vars) to put the others last.",
         blocks_use=_BLOCKS, mended_by=("rank",)),
    Rule("rank-not-a-number", _D, _E, "var", "finite numbers, lowest = most variable",
         "write the ranks as numbers.", blocks_use=_BLOCKS, mended_by=("rank",)),
    Rule("rank-negative", _D, _E, "var", "ranks of 0 or more",
         "rank from 0 or 1 upwards; a variance is not a rank.", mended_by=("rank",)),
    # Lists of genes
    Rule("uns-missing-key", _D, _E, "uns", "both lists of gene names (they may be empty)",
         "add the list to uns.", blocks_use=_BLOCKS, mended_by=()),
    Rule("uns-not-names", _D, _E, "uns", "a list of gene names", "store a list of text.",
         blocks_use=_BLOCKS, mended_by=()),
    Rule("uns-names-duplicated", _D, _W, "uns", "each gene once", "remove the duplicates.",
         mended_by=()),
    Rule("measured-not-in-var", _D, _E, "uns", "genes that are in var",
         "move these genes to perturbed_but_not_measured_genes.", mended_by=()),
    Rule("unmeasured-in-var", _D, _E, "uns", "genes that are not in var",
         "move these genes to perturbed_and_measured_genes.", mended_by=()),
    Rule("listed-not-perturbed", _D, _E, "uns", "genes that some perturbation label names",
         "remove these genes from the list, or correct the labels.", mended_by=()),
    Rule("perturbed-not-listed", _D, _W, "uns", "every gene that is perturbed",
         "add these genes to the list; a split holds out listed genes only.", mended_by=()),
    Rule("skip-log-check-not-bool", _D, _W, "uns", "true or false (it is ignored)",
         "store a bool."),
    Rule("overlap-contradicted", _D, _W, "uns", "true where labels name several genes",
         "set uns['perturbations_overlap'] = True.", mended_by=()),
    # Expression
    Rule("X-missing", _DP, _E, "X", "a matrix", "store natural-log expression in X.",
         blocks_use=_BLOCKS, mended_by=("counts",)),
    Rule("X-empty", _DP, _E, "X", "at least one observation and one gene",
         "check the filters that were applied.", blocks_use=_BLOCKS),
    Rule("X-shape", _DP, _E, "X", "as many rows as obs and as many columns as var",
         "write the file again with anndata.", blocks_use=_BLOCKS),
    Rule("X-not-numeric", _DP, _E, "X", "real numbers", "convert X to float32.",
         blocks_use=_BLOCKS),
    Rule("X-not-finite", _D, _E, "X", "finite values", "remove or impute them before log.",
         blocks_use=_BLOCKS),
    Rule("X-not-log", _D, _E, "X", f"natural-log expression, below {LARGEST_LOG_EXPRESSION:g}",
         "normalise and take log1p; if the values are right, set uns['skip_log_check'] = True.",
         stops_use=_STOPS, mended_by=("counts",)),
    Rule("X-other-log", _D, _E, "X", "natural logarithms, taken once",
         "convert X to ln(1 + x); if the values are right, set uns['skip_log_check'] = True.",
         stops_use=_STOPS, mended_by=("counts", "normalised")),
    Rule("X-z-scores", _D, _E, "X", "natural-log expression, not scaled",
         "take X before scanpy.pp.scale; if the values are right, set "
         "uns['skip_log_check'] = True.", stops_use=_STOPS, mended_by=("counts",)),
    Rule("X-outliers", _D, _W, "X", f"natural-log expression, below {LARGEST_LOG_EXPRESSION:g}",
         "look at these values; if they are right, set uns['skip_log_check'] = True."),
    Rule("X-negative", _D, _W, "X", "values of 0 or more",
         "nothing, if these are log ratios or array intensities."),
    # Raw counts
    Rule("raw-missing", _D, _E, "raw", "raw counts for all genes",
         "set adata.raw = adata before normalising.", mended_by=("counts",)),
    Rule("raw-shape", _D, _E, "raw", "as many rows as obs and as many columns as raw.var",
         "write the file again with anndata."),
    Rule("raw-not-numeric", _D, _E, "raw", "real numbers", "store counts as numbers."),
    Rule("raw-not-finite", _D, _W, "raw", "finite values", "look at how they arose."),
    Rule("raw-negative", _D, _W, "raw", "counts of 0 or more",
         "nothing, if these are log ratios or array intensities."),
    Rule("raw-not-integer", _D, _W, "raw", "whole counts",
         "nothing, if these are estimated counts, log ratios or array intensities."),
    Rule("raw-genes-missing", _D, _W, "raw", "all genes of var, before any selection of genes",
         "set adata.raw before selecting genes.", mended_by=("counts",)),
    # Predictions
    Rule("predictions-header-missing", _P, _W, "uns", "what is predicted, as in "
         "predictions_template.h5ad", "name the dataset and the split when scoring, or fill in "
         "the template that `pereggrn-eval split` writes."),
    Rule("predictions-header-invalid", _P, _E, "uns",
         f"JSON text with format_version {PREDICTIONS_FORMAT_VERSION}, dataset and split",
         "copy uns['pereggrn'] from predictions_template.h5ad unchanged, or remove it."),
    Rule("predictions-duplicate-gene", _P, _E, "var", "each gene once",
         "keep one column per gene."),
    Rule("predictions-missing-gene", _P, _E, "var", "all genes of the split",
         "use the genes of predictions_template.h5ad, in any order."),
    Rule("predictions-extra-gene", _P, _W, "var", "only genes of the split",
         "nothing to do, if that is meant: they are ignored."),
    Rule("predictions-missing-perturbation", _P, _E, "obs", "all held-out perturbations",
         "predict them too, or score the rest with --allow-missing."),
    Rule("predictions-partly-grouped", _P, _E, "obs",
         "perturbation_type, cell_type and timepoint in every predicted row, or in none, unless "
         "the dataset lacks some, too",
         "fill the column in as in test_perturbations.csv, or remove it."),
    Rule("predictions-not-in-split", _P, _W, "obs",
         "held-out perturbations, and controls",
         "correct the labels, or remove these rows; mark controls by is_control."),
    Rule("predictions-not-filled-in", _P, _E, "X", "predicted expression",
         "write your predictions into X."),
    Rule("predictions-not-a-number", _P, _E, "X", "a finite number for every row and gene",
         "predict them, or score with --fill-missing control, which replaces NaN."),
    # Predictions next to their dataset
    Rule("predictions-unknown-perturbation", _P, _E, "obs",
         "labels of the held-out perturbations",
         "use the labels of test_perturbations.csv.", _SCORED),
    Rule("predictions-marked-control", _P, _E, "obs", "held-out perturbations that are not "
         "marked by is_control", "remove the column is_control from the predictions, or correct "
         "it: a predicted row keeps no flag of the control that it was made from."),
    Rule("predictions-not-held-out", _P, _W, "obs", "held-out perturbations only",
         "nothing, if that is meant: these rows are not scored. Else name the split that the "
         "predictions were made for.", _SCORED),
    Rule("predictions-unknown-group", _P, _E, "obs",
         "combinations of labels and types, cell types or timepoints that were held out",
         "copy these columns from test_perturbations.csv, or leave them out.", _SCORED),
    Rule("predictions-wrong-label", _P, _E, "obs",
         "the perturbation of the test observation that the row is named after",
         "rows and labels were probably sorted apart: copy both from the template. If the names "
         "are not meant as those of observations, give other ones.", _SCORED),
    Rule("predictions-repeated", _P, _W, "X", "each prediction once",
         "nothing, if that is meant: rows of a group are averaged, so that repeating one weighs "
         "nothing against other groups. Else look at how the rows were joined.", _SCORED),
    Rule("predictions-raw-counts", _P, _E, "X", "natural-log expression",
         "they look like raw or unlogged counts: normalise them as the dataset is, then take "
         "the natural log of 1 + x. If they are meant, say --no-scale-check.", _SCORED),
    Rule("predictions-z-scores", _P, _E, "X",
         "natural-log expression, which in this dataset is not negative",
         "they look like z-scores or log fold changes: undo the scaling, or say --scale logfc "
         "for natural-log fold changes. If they are meant, say --no-scale-check.", _SCORED),
    Rule("predictions-not-fold-change", _P, _E, "X", "log fold change over the training controls",
         "leave out --scale logfc, or subtract the mean of the training controls. If they are "
         "meant, say --no-scale-check.", _SCORED),
    Rule("predictions-log2", _P, _W, "X", "natural-log expression",
         "multiply by ln(2) = 0.693 if they are log2.", _SCORED),
    Rule("predictions-log10", _P, _W, "X", "natural-log expression",
         "multiply by ln(10) = 2.303 if they are log10.", _SCORED),
    Rule("predictions-log-twice", _P, _W, "X", "natural-log expression",
         "take numpy.expm1 once: log1p was applied to values that were logarithms already.",
         _SCORED),
    Rule("predictions-sqrt", _P, _W, "X", "natural-log expression",
         "square them, normalise them as the dataset is, then take the natural log of 1 + x.",
         _SCORED),
    Rule("predictions-sqrt-of-log", _P, _W, "X", "natural-log expression",
         "square them: a square root was taken of values that were logarithms already.", _SCORED),
    Rule("predictions-other-total", _P, _W, "X", "natural-log expression",
         "normalise cells to the total that those of the dataset have, such as 10,000 instead of "
         "a million, and take the natural log of 1 + x.", _SCORED),
    Rule("predictions-outliers", _P, _W, "X", "natural-log expression",
         "look at these values: a forecast far from all others counts much in mean squared "
         "errors.", _SCORED),
    Rule("predictions-mixed-scales", _P, _W, "X", "all groups on one scale",
         "look at how these rows were made: another logarithm, or counts, among the others.",
         _SCORED),
    Rule("predictions-clipped", _P, _W, "X", "values that are not cut off",
         "predict without limits: a score of values that were cut is one of the limit.",
         _SCORED),
    Rule("predictions-of-another", _P, _W, "X",
         "forecasts, not profiles that were observed for another held-out perturbation",
         "check that rows and labels were not sorted apart; held-out expression is no forecast.",
         _SCORED),
    Rule("predictions-of-training", _P, _W, "X",
         "forecasts, not the mean profile of a training perturbation",
         "nothing, if that is meant: the most similar training perturbation is a baseline.",
         _SCORED),
    Rule("predictions-alike", _P, _W, "X", "predictions that differ between perturbations",
         "nothing, if that is meant: such predictions are a baseline, and tell no perturbation "
         "from another.", _SCORED),
    Rule("predictions-constant", _P, _W, "X", "values that differ between genes",
         "check that the rows were filled in.", _SCORED),
    Rule("predictions-controls-drift", _P, _W, "X",
         "predicted controls like the training controls, or none",
         "nothing: log fold changes are taken over the training controls, never over predicted "
         "ones.", _SCORED),
    # Networks
    Rule("network-not-parquet", _N, _E, "file", "a parquet file of edges",
         "`pereggrn-data networks import` makes a parquet file of it."),
    Rule("edges-missing-column", _N, _E, "edges", "columns regulator and target",
         "name the columns regulator, target and weight, or let `pereggrn-data networks import` "
         "read them by other names."),
    Rule("edges-no-weight", _N, _W, "edges", "a column weight",
         "nothing, if the network is unweighted: all weights then count as -1."),
    Rule("edges-column-type", _N, _E, "edges", "text for names, a number for weight",
         "write the column with that type, or let `pereggrn-data networks import` do it."),
    Rule("edges-null", _N, _E, "edges", "a value in every row", "remove these edges."),
    Rule("edges-empty-name", _N, _E, "edges", "no empty names", "remove these edges."),
    Rule("edges-white-space", _N, _W, "edges",
         "names of genes without white space and characters that are not seen",
         "remove them: names are matched exactly."),
    Rule("weight-not-finite", _N, _E, "edges", "finite numbers",
         "write -1 for all edges of an unweighted network."),
    Rule("edges-duplicated", _N, _W, "edges", "each edge once (per cell type)",
         "keep one row per regulator, target and cell type."),
    Rule("edges-none", _N, _E, "edges", "at least one edge", "check how the file was made."),
)  # fmt: skip

RULES: dict[str, Rule] = {rule.code: rule for rule in _RULES}
"""All rules by code, in the order of the documentation."""

CAN_INSIST = tuple(rule.code for rule in _RULES if rule.use is Use.STOPPED)
"""Codes that one can insist on."""


def rules_table() -> str:
    """Return the documentation's table of rules, as Markdown."""
    lines = ["| code | severity | in use | checked for | where | expected | how to mend it |"]
    lines.append("|" + "---|" * 7)
    lines.extend(
        f"| `{r.code}` | {r.severity} | {_used(r)} | {_checked_for(r)} "
        f"| {r.slot} | {r.expected} | {_mended(r)} |"
        for r in RULES.values()
    )
    return "\n".join(lines)


def _used(rule: Rule) -> str:
    return str(rule.use) if Kind.DATASET in rule.kinds else ""


def _mended(rule: Rule) -> str:
    return rule.fix if rule.mended_by is None else f"{rule.fix} {_conversion(rule.mended_by)}"


def _checked_for(rule: Rule) -> str:
    return ", ".join(rule.kinds) + (" (when scored)" if rule.needs_dataset else "")
