"""What the catalog says of a dataset, a network or a table: frozen types, facts only."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TypeAlias

from pereggrn_data.core.format import TEST_FILE
from pereggrn_data.core.printable import notebook_card


class EntryKind(StrEnum):
    """The three kinds of thing that the catalog lists."""

    DATASET = "dataset"
    NETWORK = "network"
    TABLE = "table"


class Group(StrEnum):
    """Where an entry belongs."""

    PAPER = "paper"
    ARCHIVE = "archive"
    EMBEDDED = "embedded"


GROUP_MEANINGS = {
    Group.PAPER: "in the paper's tables",
    Group.ARCHIVE: "in the archive, outside the paper's tables",
    Group.EMBEDDED: "part of this package",
}


@dataclass(frozen=True, kw_only=True)
class Citation:
    """A publication.

    Parameters
    ----------
    key
        BibTeX key.
    authors
        As ``"Family AB, Family C, and others"``.
    doi
        None where we do not know it.
    """

    key: str
    authors: str
    title: str
    journal: str
    year: int
    volume: str | None = None
    pages: str | None = None
    doi: str | None = None

    @property
    def first_author(self) -> str:
        """Family name of the first author, or the name of a consortium."""
        first = self.authors.split(",")[0]
        family, _, initials = first.rpartition(" ")
        return family if family and initials.isupper() else first

    def text(self) -> str:
        """Return the citation as one line."""
        where = " ".join(part for part in (self.journal, self.volume) if part)
        where += f":{self.pages}" if self.pages else ""
        link = f" https://doi.org/{self.doi}" if self.doi else ""
        authors = self.authors.replace(", and others", ", et al")
        return f"{authors} ({self.year}). {self.title}. {where}.{link}"

    def bibtex(self) -> str:
        """Return the citation as a BibTeX entry."""
        names = self.authors.removesuffix(", and others").split(", ")
        authors = " and ".join(_bibtex_name(name) for name in names)
        if self.authors.endswith(", and others"):
            authors += " and others"
        fields = {
            "author": authors,
            "title": f"{{{self.title}}}",
            "journal": self.journal,
            "year": str(self.year),
            "volume": self.volume,
            "pages": self.pages and self.pages.replace("-", "--"),
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@article{{{self.key},", *lines, "}"])


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What datasets, networks and tables have in common.

    Parameters
    ----------
    name
        Unique in the whole catalog; also the name of the cached folder.
    title
        One sentence.
    aliases
        Other names under which releases and experiments know it.
    variant_of
        Name of the entry that this one was made from.
    source
        Where the original data come from: a link, or a few words.
    citations
        What to cite.
    licence
        None where we do not know it.
    """

    name: str
    title: str
    group: Group = Group.ARCHIVE
    aliases: tuple[str, ...] = ()
    variant_of: str | None = None
    source: str | None = None
    licence: str | None = None
    citations: tuple[Citation, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The name, then the aliases: the folders that an archive may use."""
        return (self.name, *self.aliases)

    @property
    def kind(self) -> EntryKind:
        """Dataset, network or table."""
        raise NotImplementedError

    @property
    def species_shown(self) -> str | None:
        """The species as one text, or None where it does not apply."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        said |= {"citations": "; ".join(c.text() for c in self.citations)}
        return notebook_card(
            f"{self.name} ({self.kind})",
            lines=[said.pop("title")],
            facts={
                name.replace("_", " "): ", ".join(value) if isinstance(value, tuple) else value
                for name, value in said.items()
                if name not in ("name", "notes") and value is not False
            },
            notes=said["notes"],
        )


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """A perturbation dataset.

    Parameters
    ----------
    series
        ``perturbations``, ``timeseries`` or ``simulation``.
    resolution
        Single-cell, pseudo-bulk or bulk.
    genes_perturbed
        As the paper counts them; `n_perturbed` is the number, where there is one.
    files, optional_files
        File names in the dataset's folder.
    true_network
        For simulations, the network that generated the data.
    """

    series: str = "perturbations"
    simulated: bool = False
    assay: str | None = None
    resolution: str | None = None
    perturbation_type: str | None = None
    perturbation_method: str | None = None
    genes_perturbed: str | None = None
    n_perturbed: int | None = None
    gene_selection: str | None = None
    duration: str | None = None
    cell_line: str | None = None
    species: str | None = None
    preprocessing: str | None = None
    true_network: str | None = None
    files: tuple[str, ...] = (TEST_FILE,)
    optional_files: tuple[str, ...] = ()

    @property
    def kind(self) -> EntryKind:
        """Dataset."""
        return EntryKind.DATASET

    @property
    def species_shown(self) -> str | None:
        """The species, or None for simulations."""
        return self.species


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(Entry):
    """A collection of networks from one source; its subnetworks are found in the archive.

    Parameters
    ----------
    family
        Row of the paper's Table 2, or None for networks outside it.
    first_column
        ``regulator`` or ``symmetric``, as in the collection's table.
    filter
        Which edges the paper kept or added, or None if all were taken as they are.
    """

    family: str | None = None
    data_used: str | None = None
    species: tuple[str, ...] = ()
    first_column: str = "regulator"
    filter: str | None = None

    @property
    def kind(self) -> EntryKind:
        """Network."""
        return EntryKind.NETWORK

    @property
    def species_shown(self) -> str | None:
        """The species, joined by commas."""
        return ", ".join(self.species) or None


@dataclass(frozen=True, kw_only=True)
class TableEntry(Entry):
    """An accessory table.

    Parameters
    ----------
    files
        Paths in the archive, below its root folder; ``*`` stands for any name.
    """

    species: tuple[str, ...] = field(default=())
    files: tuple[str, ...] = ()

    @property
    def kind(self) -> EntryKind:
        """Table."""
        return EntryKind.TABLE

    @property
    def species_shown(self) -> str | None:
        """The species, joined by commas."""
        return ", ".join(self.species) or None


AnyEntry: TypeAlias = DatasetEntry | NetworkEntry | TableEntry


def _bibtex_name(name: str) -> str:
    """Turn ``Nakatake Y`` into ``Nakatake, Y.``; a consortium keeps its name in braces."""
    family, _, initials = name.rpartition(" ")
    if not family or not initials.isupper():
        return f"{{{name}}}"
    return f"{family}, {' '.join(f'{letter}.' for letter in initials)}"
