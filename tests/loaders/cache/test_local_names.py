"""Names in local collections: aliases, rows that are not ready, accessory tables."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import small_h5ad, small_parquet
from service_fixtures import Ran

from pereggrn_data import split, validate
from pereggrn_data.core.errors import MissingFileError, UsageError
from pereggrn_data.pipelines.collection import (
    dataset_path,
    entry_paths,
    info,
    load,
    open_dataset,
    open_network,
)

PLI = "forweb_cleaned_exac_r03_march16_z_data_pLI_CNV-final.txt.gz"


@pytest.fixture(params=["", "inside"])
def local(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    folder = tmp_path / "mine"
    data, networks, tables = folder, folder, folder
    if request.param:
        data, networks = folder / "perturbation_data", folder / "network_collection"
        tables = folder / "accessory_data"
    for i, name in enumerate(("replogle", "unready", "norman")):
        place = data / "perturbations" / name
        place.mkdir(parents=True)
        (place / "test.h5ad").write_bytes(small_h5ad(i))
    rows = "name,is_ready\nreplogle,yes\nunready,no\nnorman,no\ngone,yes\nfreimer,yes\n"
    (data / "perturbations" / "perturbations.csv").write_text(rows)
    place = networks / "networks" / "later" / "networks"
    place.mkdir(parents=True)
    (place / "a.parquet").write_bytes(small_parquet())
    (networks / "networks" / "published_networks.csv").write_text("name,is_ready\nlater,no\n")
    tables.mkdir(exist_ok=True)
    for name in ("degree_info.csv.gz", PLI):
        (tables / name).write_bytes(gzip.compress(b"a\n"))
    monkeypatch.setenv("PEREGGRN_COLLECTION", str(folder))
    return folder


def test_a_folder_may_have_the_other_name(local: Path, command: Callable[..., Ran]) -> None:
    assert load("replogle1").n_obs == load("replogle").n_obs
    assert open_dataset("replogle1").shown_as == f"replogle (local: {local})"
    assert dataset_path("replogle1").parent.name == "replogle"
    assert entry_paths("replogle1") == [dataset_path("replogle")]
    assert info("replogle1")["local"]["name"] == "replogle"
    ran = command("path", "replogle1")
    assert (ran.code, "replogle1 is called replogle in" in ran.err) == (0, True)


@pytest.mark.parametrize("name", ["unready", "norman"])
def test_what_is_listed_as_not_ready_is_not_read(local: Path, name: str) -> None:
    for read in (load, dataset_path, entry_paths):
        with pytest.raises(UsageError, match="it is absent") as caught:
            read(name)
        assert "not ready, says its table" in str(caught.value)


def test_networks_that_are_not_ready_say_so(local: Path) -> None:
    with pytest.raises(UsageError, match="it is absent"):
        open_network("later")


def test_what_has_no_files_says_so(local: Path) -> None:
    with pytest.raises(UsageError, match="no files"):
        load("gone")
    with pytest.raises(UsageError, match="has not been fetched"):
        load("freimer")


def test_links_that_lead_nowhere_say_so(local: Path, command: Callable[..., Ran]) -> None:
    """git-annex and DataLad leave such links of files that are elsewhere."""
    data = next(local.rglob("perturbations")) / "gone"
    data.mkdir()
    (data / "test.h5ad").symlink_to("../.git/annex/objects/x")
    edges = next(local.rglob("later")) / "networks" / "b.parquet"
    edges.symlink_to("nowhere")
    (edges.parent.parent.parent / "published_networks.csv").unlink()
    for read, name in ((load, "gone"), (open_network, "later")):
        with pytest.raises(UsageError, match="a link to a file that is not here"):
            read(name)
    assert [command(*words).code for words in (("list",), ("info", "gone"))] == [0, 0]
    (dataset_path("replogle").parent / "train.h5ad").symlink_to("nowhere")
    assert load("replogle").n_obs, "few splits need more than test.h5ad"
    with pytest.raises(MissingFileError, match=r"train\.h5ad is a link"):
        split("replogle", type="timeseries")
    with pytest.raises(MissingFileError, match="is a link to a file that is not here"):
        open_network(edges.parent)
    with pytest.raises(MissingFileError, match="git annex get"):
        validate(data / "test.h5ad")


@pytest.mark.parametrize(
    ("name", "file"), [("network_degrees", "degree_info.csv.gz"), ("gene_constraint", PLI)]
)
def test_accessory_tables_are_found(
    local: Path, command: Callable[..., Ran], name: str, file: str
) -> None:
    (path,) = entry_paths(name)
    assert (path.name, path.is_file()) == (file, True)
    rows = json.loads(command("list", "--json", "--kind", "table").out)
    assert (name, "local") in [(row["name"], row["state"]) for row in rows]
