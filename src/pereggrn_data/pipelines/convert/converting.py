"""`convert`: open, read, preprocess, check, write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.conversion import (
    RANKS,
    SIZE_FACTORS,
    CellFilter,
    ConversionReport,
    ConvertOptions,
    check_rank,
    filter_of,
    options_of_layout,
)
from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.core.options import one_of, options_of
from pereggrn_data.core.reports import Report
from pereggrn_data.core.version import software
from pereggrn_data.loaders.files import CountSource, open_counts
from pereggrn_data.loaders.files.any_file import (
    check_writable_file,
    sha256_of_file,
    user_path,
    write_text,
)
from pereggrn_data.loaders.files.datasets import write_h5ad
from pereggrn_data.pipelines.collection import path_of_record_file
from pereggrn_data.pipelines.convert.convert_inputs import (
    CellReader,
    ChosenValues,
    choose_genes,
    choose_values,
)
from pereggrn_data.pipelines.convert.convert_values import Preprocessing
from pereggrn_data.pipelines.convert.recipe_files import read_recipe, recipe_text
from pereggrn_data.pipelines.validation import validate

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Converted:
    """A dataset of the uniform format, and how it came about.

    Parameters
    ----------
    adata
        Observations by genes: natural-log expression in ``X``, counts in ``raw``.
    report
        What was read, dropped, decided and assumed.
    options
        What was decided: with them, the same input becomes the same dataset again.
    validation
        What `validate` says of the dataset.
    made
        The input, its checksum where it is a file, and the version of this package.
    """

    adata: AnnData
    report: ConversionReport
    options: ConvertOptions
    validation: Report
    made: Mapping[str, str] = field(default_factory=dict)

    @property
    def recipe(self) -> str:
        """The options as TOML."""
        about = options_of(ConvertOptions)
        return recipe_text({name: getattr(self.options, name) for name in about}, self.made)

    def write(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write the dataset, and the recipe beside it; nothing is overwritten.

        Raises
        ------
        InvalidDataError
            If the dataset is not valid; nothing is written then.
        UsageError
            If there is such a file already, or it cannot be written.
        """
        self.validation.raise_if_invalid()
        output = user_path(path)
        check_outputs(output)
        write_h5ad(self.adata.copy(), output)
        write_text(self.recipe, recipe_path(output))
        return [output, recipe_path(output)]

    def __repr__(self) -> str:
        n, g = self.adata.shape
        return f"Converted: {n} observations x {g} genes ({self.validation.counted})"


def recipe_path(output: Path) -> Path:
    """Return where the recipe of an output is written."""
    return output.with_name(f"{output.name.removesuffix('.h5ad')}.recipe.toml")


def check_outputs(output: Path, others: Iterable[Path | None] = ()) -> None:
    """Check, before long work, that what is to be written is not there yet.

    Parameters
    ----------
    output
        The dataset.
    others
        Further files that are to be written.

    Raises
    ------
    UsageError
        If its name does not end in .h5ad, there is such a file, or it cannot be written.
    """
    if output.suffix != ".h5ad":
        raise UsageError(f"{output} is no name for a dataset.", expected="a name ending in .h5ad")
    for path in (output, recipe_path(output), *others):
        if path is None:
            continue
        if path.exists():
            raise UsageError(
                f"{path} exists already, and nothing is overwritten.",
                fix="name another file, or move this one away.",
            )
        check_writable_file(path)


def convert(
    source: str | os.PathLike[str] | AnnData,
    *,
    obs: str | os.PathLike[str] | None = None,
    recipe: str | os.PathLike[str] | None = None,
    options: ConvertOptions | None = None,
    **choices: Any,
) -> Converted:
    """Convert counts, or normalised expression, to a dataset of the uniform format.

    Nothing is guessed silently: what was not said and could be found out is in the
    report under ``assumed``; what could be either this or that is an error.

    Parameters
    ----------
    source
        An AnnData object (which is not changed), the name of a fetched file
        (``zenodo:RECORD/FILE``), or the path of an ``.h5ad`` file, a
        zarr store, Cell Ranger's ``.h5`` file or folder with ``matrix.mtx``, or a
        table of counts (CSV, TSV, parquet).
    obs
        Table of cells whose first column has their names, for inputs without one.
    recipe
        TOML file with options, as a conversion writes it; what is given by name goes
        before.
    options
        All options in one object,
    **choices
        or by name: the fields of :class:`ConvertOptions`.

    Returns
    -------
    Converted
        Whether the dataset is valid is in ``validation``; ``write`` refuses if not.

    Raises
    ------
    MissingFileError
        If there is no such file.
    UsageError
        If an option is wrong or missing, or could mean several things.
    InvalidDataError
        If the input cannot be read, or is not what the options say.
    MissingExtraError
        If genes are to be ranked by seurat_v3 without scikit-misc.

    Examples
    --------
    >>> made = convert("screen.h5ad", perturbation="gene", control="NT",
    ...                type="knockdown", counts="layer:counts")  # doctest: +SKIP
    >>> made.write("screen_uniform.h5ad")  # doctest: +SKIP
    """
    unknown = [name for name in choices if name not in options_of(ConvertOptions)]
    if unknown:
        raise UnknownNameError("option", unknown[0], options_of(ConvertOptions))
    given = one_of(ConvertOptions, options, choices)
    # By name, a default may be said on purpose, against a layout.
    said = given.said() if options is not None else {n: getattr(given, n) for n in choices}
    if recipe is not None:
        said = {**read_recipe(user_path(recipe)), **said}
    asked = ConvertOptions(**said)
    asked.check()
    report = ConversionReport()
    table = None if obs is None else path_of_record_file(obs) or user_path(obs)
    fetched = path_of_record_file(source) if isinstance(source, (str, os.PathLike)) else None
    with open_counts(fetched or source, obs=table, genes_in_rows=asked.genes_in_rows) as opened:
        asked = _with_layout(asked, said, opened, report)
        values = choose_values(opened, asked, report)
        decided, limits = _completed(asked, values)
        adata, decided = _dataset(opened, values, decided, limits, report)
    validation = validate(adata)
    return Converted(adata, report, decided, validation, _made(source, fetched))


def _dataset(
    opened: CountSource,
    values: ChosenValues,
    options: ConvertOptions,
    limits: CellFilter,
    report: ConversionReport,
) -> tuple[AnnData, ConvertOptions]:
    n_cells, n_genes = values.matrix.shape
    report.read = {
        "input": opened.name,
        "cells": n_cells,
        "genes": n_genes,
        "matrices": list(opened.matrices),
        "columns of obs": list(map(str, opened.obs.columns)),
        **opened.notes,
    }
    reader = CellReader(opened, options, report)
    genes = choose_genes(opened, values, reader.hints, options, report)
    cells = reader.read(genes)
    adata = Preprocessing(values, genes, cells, options, report).run(limits)
    report.decided["output"] = f"{adata.n_obs} observations x {adata.n_vars} genes"
    # A recipe says what was found too, so that it can be read without the input.
    return adata, replace(options, symbols=genes.symbols, **reader.found)


def _with_layout(
    asked: ConvertOptions, said: Mapping[str, Any], opened: CountSource, report: ConversionReport
) -> ConvertOptions:
    if asked.layout is None:
        return asked
    columns = [str(c) for table in opened.tables.values() for c in table.columns]
    found = options_of_layout(asked.layout, list(map(str, opened.obs.columns)), columns)
    if asked.normalised is not None:
        found.pop("counts", None)
    report.decided["layout"] = asked.layout
    merged = ConvertOptions(**{**found, **said})
    merged.check()
    return merged


def _completed(asked: ConvertOptions, values: ChosenValues) -> tuple[ConvertOptions, CellFilter]:
    """Fill in what depends on the input, and refuse what makes no sense with it."""
    limits = filter_of(asked.filters, {name: getattr(asked, name) for name in CellFilter.names()})
    rank = asked.rank or next(n for n, r in RANKS.items() if r.on_counts == values.are_counts)
    if not values.are_counts:
        useless = [n for n, on in (("size_factors", asked.size_factors), ("cells", asked.cells),
                                   ("filters", limits.limits())) if on]  # fmt: skip
        if useless:
            raise UsageError(
                f"--{useless[0].replace('_', '-')} needs counts.",
                got="values that are normalised already",
                fix="leave it out, or name the counts with --counts.",
            )
        if RANKS[rank].on_counts:
            raise UsageError(f"--rank {rank} needs counts.", fix="--rank variance")
        return replace(asked, rank=rank, normalised=values.scale), limits
    check_rank(rank)
    usual = next(n for n, f in SIZE_FACTORS.items() if f.for_cells or not asked.cells)
    factors = asked.size_factors or usual
    return replace(asked, rank=rank, size_factors=factors, counts=values.slot), limits


def _made(source: Any, fetched: Path | None) -> dict[str, str]:
    made = {"by": software()}
    if isinstance(source, (str, os.PathLike)):
        path = fetched or user_path(source)
        made["input"] = str(path if fetched is None else source)
        if path.is_file():
            made["sha256"] = sha256_of_file(path)
    return made
