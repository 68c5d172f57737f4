"""What the catalog lists, against the collection's own tables and the issue of names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pereggrn_data.catalog import (
    CatalogError,
    EntryKind,
    Group,
    Holds,
    LockedArchive,
    LockedMember,
    ReleaseLock,
    load_catalog,
    read_catalog,
)
from pereggrn_data.core.errors import InvalidDataError, UnknownNameError

PAPER_DATASETS = [
    "nakatake",
    "nakatake_simulated_scrna",
    "joung",
    "norman",
    "replogle1",
    "replogle2",
    "replogle2_large_effect",
    "replogle2_tf_only",
    "replogle3",
    "replogle4",
    "adamson",
    "freimer",
    "dixit",
    "frangieh_IFNg_v1",
    "frangieh_IFNg_v2",
    "frangieh_IFNg_v3",
]
OTHER_DATASETS = [
    "definitive_endoderm",
    "definitive_endoderm_downsampled",
    "fantom4",
    "paul1",
    "paul2",
    "BETS_A549",
    "saunders",
    "saunders_axial_mesoderm",
    "saunders_blood",
    "saunders_endoderm",
    "saunders_pigment_cells",
    "simulation_realistic0",
    "dcdfg_test",
    "debug",
    "cmap",
]
PAPER_NETWORKS = [
    "encode-nets_human",
    "chea",
    "humanbase",
    "celloracle_human",
    "csnets",
    "ANANSE",
    "ANANSE_tissue",
    "ANANSE_0.5",
    "ANANSE_tissue_0.5",
    "magnum_compendium_32",
    "magnum_compendium_394",
    "magnum_compendium_ppi",
    "MARA_FANTOM4",
    "gtex_rna",
    "cellnet_human_Hg1332",
    "cellnet_human_Hugene",
    "cellnet_mouse_4302",
    "cellnet_mouse_mogene",
]
OTHER_NETWORKS = [
    "fntm",
    "endoderm",
    "regulatorynetworks.org_human",
    "regulatorynetworks.org_mouse",
    "STRING",
    "celloracle_mouse",
    "celloracle_mouse_atac_atlas",
    "celloracle_zebrafish",
]
RECORDS = [
    "15048156",
    "15115945",
    "13345104",
    "13785607",
    "10436339",
    "8071809",
    "17103072",
    "8071808",
    "10363068",
    "13255724",
    "13785280",
]
catalog = load_catalog()


def rows(shared: Path, table: str) -> list[dict[str, str]]:
    with (shared / "reference" / table).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", [*PAPER_DATASETS, *OTHER_DATASETS])
def test_every_dataset_is_there(name: str) -> None:
    entry = catalog.entry(name, EntryKind.DATASET)
    assert (entry.group is Group.PAPER) == (name in PAPER_DATASETS)


@pytest.mark.parametrize("name", [*PAPER_NETWORKS, *OTHER_NETWORKS])
def test_every_network_is_there(name: str) -> None:
    entry = catalog.entry(name, EntryKind.NETWORK)
    assert (entry.group is Group.PAPER) == (name in PAPER_NETWORKS)


def test_time_series_have_their_files() -> None:
    for entry in catalog.datasets:
        if entry.series == "timeseries":
            assert entry.files == ("train.h5ad", "test.h5ad")
            assert entry.optional_files == ("screen.csv",)


def test_entries_of_the_paper_are_described() -> None:
    for entry in catalog.datasets:
        if entry.group is Group.PAPER:
            facts = (entry.assay, entry.resolution, entry.perturbation_type, entry.duration)
            more = (entry.cell_line, entry.species, entry.preprocessing, entry.gene_selection)
            assert all((*facts, *more, entry.n_perturbed, entry.citations, entry.source))
            assert entry.citations[0].doi


def test_filters_of_the_paper_are_stated() -> None:
    filters = {e.name: e.filter for e in catalog.networks if e.filter}
    assert filters == {
        "humanbase": "posterior > 0.5",
        "fntm": "posterior > 0.5",
        "ANANSE_0.5": "weight > 0.5",
        "ANANSE_tissue_0.5": "weight > 0.5",
        "gtex_rna": "symmetrised: each edge is present in both directions",
    }


def test_dixit_is_human_as_in_the_paper() -> None:
    entry = catalog.entry("dixit")
    assert entry.species_shown == "human"
    assert any("mouse" in note for note in entry.notes)


@pytest.mark.shared
def test_the_collections_tables_are_covered(shared: Path) -> None:
    """Every row that is ready is listed, and species, type and first column agree."""
    for row in rows(shared, "perturbations.csv"):
        if row["is_ready"] != "yes":
            continue
        entry = next(e for e in catalog.datasets if e.name == row["name"])
        if row["name"] != "dixit" and row["species"] not in ("na", ""):
            assert entry.species == row["species"]
        assert entry.perturbation_type == row["direction"].lower()
    for row in rows(shared, "published_networks.csv"):
        if row["is_ready"] == "yes":
            found = next(e for e in catalog.networks if e.name == row["name"])
            assert found.first_column == row["first_column"]
            assert set(found.species) == set(row["species"].split("_"))


@pytest.mark.shared
def test_what_the_experiments_name_is_there(shared: Path) -> None:
    """Datasets, and networks but those that are made rather than fetched."""
    datasets, networks = set(), set()
    for file in sorted((shared / "experiments").glob("*/metadata.json")):
        experiment = json.loads(file.read_text(encoding="utf-8"))
        datasets.add(experiment.get("perturbation_dataset"))
        networks.update(experiment.get("network_datasets") or {})
    datasets.discard(None)
    networks -= {"dense", "empty"}
    assert "cmap" in datasets
    assert "celloracle_zebrafish" in networks
    for names, kind in ((datasets, EntryKind.DATASET), (networks, EntryKind.NETWORK)):
        for name in names:
            assert name in catalog.entry(name, kind).names


@pytest.mark.shared
def test_no_sentence_is_the_collections(shared: Path) -> None:
    theirs = {row["summary"].strip().casefold() for row in rows(shared, "perturbations.csv")}
    theirs |= {
        row["description"].strip().casefold() for row in rows(shared, "published_networks.csv")
    }
    for entry in catalog.entries.values():
        assert entry.title.strip().casefold() not in theirs


def test_aliases_and_unknown_names() -> None:
    assert catalog.entry("replogle").name == "replogle1"
    with pytest.raises(UnknownNameError) as caught:
        catalog.entry("Nakatke")
    assert caught.value.near == ["nakatake"]
    with pytest.raises(UnknownNameError):
        catalog.entry("nakatake", EntryKind.NETWORK)


def test_releases() -> None:
    assert set(catalog.releases) == set(RECORDS)
    assert catalog.release(None).record == "15048156"
    assert catalog.release("10.5281/zenodo.13345104").record == "13345104"
    assert catalog.release("full").archives == (
        "perturbation_data.zip",
        "network_collection.zip",
        "accessory_data.zip",
    )
    three = {"perturbation_data.zip", "network_collection.zip", "accessory_data.zip"}
    for record in ("8071809", "10436339", "13255724", "13345104"):
        assert set(catalog.release(record).archives) == three
    assert catalog.release("13785280").archives == ("evaluation_results.zip",)
    assert catalog.release("99999999").holds is Holds.UNKNOWN
    with pytest.raises(UnknownNameError, match="minimal"):
        catalog.release("minimale")


def test_citations_are_written_out() -> None:
    (citation,) = catalog.entry("norman").citations
    assert citation.text().endswith("https://doi.org/10.1126/science.aax4438")
    bibtex = citation.bibtex()
    assert bibtex.startswith("@article{norman2019,")
    assert bibtex.count("{") == bibtex.count("}")
    assert "author = {Norman, T. M. and Horlbeck, M. A." in bibtex
    assert "and others}," in bibtex


def write(root: Path, entry: str, *, citations: str = "", name: str = "x") -> Path:
    for folder in ("datasets", "networks", "tables", "releases"):
        (root / folder).mkdir()
    (root / "citations.toml").write_text(citations)
    (root / "releases" / "1.toml").write_text(
        'record = "1"\ntitle = ""\nholds = "data"\ndefault = true\n'
    )
    (root / "datasets" / f"{name}.toml").write_text(entry)
    return root


def test_an_entry_is_found_by_listing_the_folder(tmp_path: Path) -> None:
    read = read_catalog(write(tmp_path, 'name = "x"\ntitle = "t"'))
    assert [e.name for e in read.datasets] == ["x"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('name = "y"\ntitle = "t"', "names 'y'"),
        ('name = "x"\ntitle = "t"\ncolour = "red"', "unknown keys"),
        ('name = "x"', "x.toml lacks title"),
        ('name = "x"\ntitle = "t"\ngroup = "other"', "'other', which is none of paper, archive"),
        ('name = "x"\ntitle = "t"\ncitations = ["nobody"]', "nobody"),
        ('name = "x"\ntitle = "t"\nvariant_of = "z"', "variant of z"),
        ('name = "x"\ntitle = "t"\naliases = ["x"]', "taken"),
    ],
)
def test_mistakes_in_the_catalog_are_caught(tmp_path: Path, entry: str, says: str) -> None:
    with pytest.raises(CatalogError, match=says):
        read_catalog(write(tmp_path, entry))


def test_a_lock_survives_writing_and_reading() -> None:
    member = LockedMember(
        path="a/b",
        size=2,
        compressed_size=1,
        crc32=3,
        method=8,
        encrypted=False,
        start=0,
        stop=40,
        sha256="ab" * 32,
    )
    archive = LockedArchive(key="a.zip", size=50, md5="cd" * 16, members=(member,))
    lock = ReleaseLock(
        record="1", doi=None, title=None, licence=None, resolved="2025", archives=(archive,)
    )
    read = json.loads(json.dumps(lock.to_dict()))
    assert ReleaseLock.from_dict(read, source="x") == lock


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 9},
        {"record": 1},
        {"archives": None},
        {"archives": [{"key": "a.zip", "size": -1}]},
        {"archives": [{"key": "a.zip", "size": 1, "md5": "xyz", "members": None}]},
        {"archives": ["no"]},
    ],
)
def test_a_broken_lock_is_said_to_be_one(change: dict[str, object]) -> None:
    good = {"format_version": 1, "record": "1", "resolved": "2025", "archives": []}
    with pytest.raises(InvalidDataError, match="not a valid lock"):
        ReleaseLock.from_dict({**good, **change}, source="x")
