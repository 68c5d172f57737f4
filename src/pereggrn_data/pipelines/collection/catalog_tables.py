"""The catalog's entries as tables in Markdown, for documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pereggrn_data.catalog import DatasetEntry, Group, NetworkEntry, load_catalog

UNKNOWN = "-"


def catalog_tables_by_name() -> dict[str, str]:
    """Return each table by the name under which documentation refers to it."""
    catalog = load_catalog()
    paper = [d for d in catalog.datasets if d.group is Group.PAPER]
    others = [d for d in catalog.datasets if d.group is not Group.PAPER]
    return {
        "paper-datasets": _paper_datasets(paper),
        "other-datasets": _other_datasets(others),
        "networks": _networks(catalog.networks),
        "tables": _markdown(
            ("Name", "Contents", "Files"),
            (
                (f"`{t.name}`", t.title, ", ".join(f"`{f}`" for f in t.files))
                for t in catalog.tables
            ),
        ),
        "releases": _markdown(
            ("Record", "Also", "What it is", "Archives known to be in it"),
            (
                (r.record, ", ".join(f"`{a}`" for a in r.aliases), r.title, ", ".join(r.archives))
                for r in catalog.releases.values()
            ),
        ),
        "aliases": _markdown(
            ("Other name", "Name"),
            ((f"`{alias}`", f"`{name}`") for alias, name in catalog.aliases.items()),
        ),
    }


def _paper_datasets(datasets: Iterable[DatasetEntry]) -> str:
    columns = (
        "Name", "Method", "Genes perturbed", "Chosen", "Duration", "Cells", "Resolution",
        "Variant of", "Citation",
    )  # fmt: skip
    return _markdown(
        columns,
        (
            (
                f"`{d.name}`",
                d.perturbation_method,
                d.genes_perturbed,
                d.gene_selection,
                d.duration,
                d.cell_line,
                d.resolution,
                f"`{d.variant_of}`" if d.variant_of else None,
                _links(d),
            )
            for d in datasets
        ),
    )


def _other_datasets(datasets: Iterable[DatasetEntry]) -> str:
    return _markdown(
        ("Name", "What it is", "Species", "Files"),
        (
            (
                f"`{d.name}`",
                d.title,
                d.species,
                "made when read" if d.group is Group.EMBEDDED else ", ".join(d.files),
            )
            for d in datasets
        ),
    )


def _networks(networks: Iterable[NetworkEntry]) -> str:
    return _markdown(
        (
            "Name",
            "In Table 2 as",
            "What it is",
            "Data",
            "Species",
            "First column",
            "Edges kept",
            "Citation",
        ),
        (
            (
                f"`{n.name}`",
                n.family,
                n.title,
                n.data_used,
                n.species_shown,
                n.first_column,
                n.filter or "all",
                _links(n),
            )
            for n in networks
        ),
    )


def _links(entry: DatasetEntry | NetworkEntry) -> str:
    return ", ".join(
        f"[{c.first_author} {c.year}](https://doi.org/{c.doi})"
        if c.doi
        else f"{c.first_author} {c.year}"
        for c in entry.citations
    )


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> str:
    lines = [columns, ["---"] * len(columns), *([c or UNKNOWN for c in row] for row in rows)]
    return "\n".join(
        "| " + " | ".join(c.replace("|", r"\|") for c in line) + " |" for line in lines
    )
