"""Single files of any record: fetched by `zenodo:RECORD/FILE`, and read by that name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from archive_server import Faults
from archives import small_h5ad
from scipy import sparse
from test_fetch import Command, Serve

from pereggrn_data import convert, load, validate
from pereggrn_data.core.errors import IntegrityError, UnknownNameError, UsageError
from pereggrn_data.loaders.archive.record_files import RecordFile
from pereggrn_data.loaders.cache import NotFetchedError
from pereggrn_data.loaders.remote import OfflineError
from pereggrn_data.pipelines.collection import fetch

RECORD = "7041849"
NAME = f"zenodo:{RECORD}/data.h5ad"
MEMBER = f"zenodo:{RECORD}/all.zip#sets/a/data.h5ad"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "data.h5ad").write_bytes(small_h5ad(1))
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("sets/other.bin", np.random.default_rng(0).bytes(3_000_000))
        out.writestr("sets/a/data.h5ad", small_h5ad(2))
    return {name: tmp_path / name for name in ("data.h5ad", "all.zip")}


def test_a_file_is_fetched_once_and_read_by_its_name(
    serve: Serve, command: Command, files: dict[str, Path], cache_folder: Path
) -> None:
    server = serve(files, record=RECORD)
    ran = command("fetch", NAME)
    path = cache_folder / RECORD / "archives" / "data.h5ad"
    assert (ran.code, ran.out) == (0, f"{path}\n")
    assert path.read_bytes() == files["data.h5ad"].read_bytes()
    before = len(server.seen)
    assert command("fetch", NAME).code == 0
    assert len(server.seen) == before
    assert command("path", NAME).out == f"{path}\n"
    assert load(NAME).n_obs == validate_rows(path)
    assert validate(NAME).valid
    assert command("validate", NAME).code == 0
    assert "data.h5ad" in command("cache", "ls").out
    assert "ok" in command("verify").out


def validate_rows(path: Path) -> int:
    return anndata.read_h5ad(path).n_obs


@pytest.mark.parametrize("ranges", [True, False])
def test_one_file_inside_a_zip_file(
    serve: Serve, command: Command, files: dict[str, Path], cache_folder: Path, ranges: bool
) -> None:
    server = serve(files, Faults(ranges=ranges), record=RECORD)
    ran = command("fetch", f"zenodo:{RECORD}/all.zip", "--member", "sets/a/data.h5ad")
    assert ran.code == 0, ran.err
    path = cache_folder / RECORD / "members" / "all.zip" / "sets/a/data.h5ad"
    assert ran.out == f"{path}\n"
    with zipfile.ZipFile(files["all.zip"]) as archive:
        assert path.read_bytes() == archive.read("sets/a/data.h5ad")
    if ranges:
        assert server.bytes_sent() < 2_000_000, "the rest of the archive stays where it is"
    assert validate(MEMBER).valid
    assert "sets/a/data.h5ad" in command("verify").out
    path.write_bytes(path.read_bytes() + b"x")
    assert command("verify").code == 4
    with pytest.raises(IntegrityError):
        validate(MEMBER)
    assert command("fetch", MEMBER).code == 0
    assert validate(MEMBER).valid


def test_an_interrupted_transfer_goes_on(
    serve: Serve, files: dict[str, Path], tmp_path: Path
) -> None:
    data = np.random.default_rng(1).bytes(3_000_000)
    (tmp_path / "big.bin").write_bytes(data)
    faults = Faults(cut_after=[1_000_000, 1_000_000])
    server = serve({"big.bin": tmp_path / "big.bin"}, faults, record=RECORD)
    (fetched,) = fetch(f"zenodo:{RECORD}/big.bin")
    assert fetched.paths[0].read_bytes() == data
    assert server.bytes_sent() < 4_000_000, "what had arrived is not sent again"


def test_a_file_that_is_not_the_one_of_the_record_is_refused(
    serve: Serve, files: dict[str, Path], cache_folder: Path
) -> None:
    serve(files, Faults(wrong_md5=True), record=RECORD)
    with pytest.raises(IntegrityError, match="md5"):
        fetch(NAME)
    assert not (cache_folder / RECORD / "archives" / "data.h5ad").exists()


def test_what_is_not_there(serve: Serve, files: dict[str, Path]) -> None:
    serve(files, record=RECORD)
    with pytest.raises(NotFetchedError, match="has not been fetched") as caught:
        load(NAME)
    assert f"pereggrn-data fetch {NAME}" in str(caught.value)
    with pytest.raises(UnknownNameError, match=r"data\.h5ad"):
        fetch(f"zenodo:{RECORD}/date.h5ad")
    with pytest.raises(UnknownNameError, match=r"sets/a/data\.h5ad"):
        fetch(f"zenodo:{RECORD}/all.zip", member="sets/a/date.h5ad")
    with pytest.raises(UsageError, match="no zip file"):
        fetch(f"{NAME}#x")
    with pytest.raises(OfflineError):
        fetch(NAME, offline=True)
    with pytest.raises(UsageError, match="--member"):
        fetch("norman", member="x")


@pytest.mark.parametrize(
    "name",
    ["zenodo:", "zenodo:x/y", "zenodo:1", "zenodo:1/", "zenodo:1/..", "zenodo:1/a.zip#../b",
     "zenodo:1/a.zip#/etc/passwd", "zenodo:1/a/b", "zenodo:1/.hidden", "zenodo:1/a.zip#"],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no file of a record"):
        RecordFile.of(name)


def test_scperturb_is_fetch_and_convert(
    serve: Serve, command: Command, tmp_path: Path, cache_folder: Path
) -> None:
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(20)]
    labels = ["control", "G1", "G2", "G1_G2"]
    obs = pd.DataFrame({"perturbation": labels * 20, "nperts": [0, 1, 1, 2] * 20})
    obs.index = [f"c{i}" for i in range(80)]
    counts = sparse.csr_matrix(rng.poisson(9, (80, 20)).astype(np.float32))
    adata = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=genes))
    adata.write_h5ad(tmp_path / "Made2024.h5ad")
    serve({"Made2024.h5ad": tmp_path / "Made2024.h5ad"}, record=RECORD)
    name = f"zenodo:{RECORD}/Made2024.h5ad"
    out = tmp_path / "out.h5ad"
    words = ("convert", name, "-o", str(out), "--from", "scperturb", "--type", "knockout",
             "--rank", "variance")  # fmt: skip
    ran = command(*words)
    assert ran.code == 2
    assert f"pereggrn-data fetch {name}" in ran.err
    assert command("fetch", name).code == 0
    assert command(*words).code == 0
    made = anndata.read_h5ad(out)
    assert set(made.obs["perturbation"]) == {"control", "G1", "G2", "G1,G2"}
    assert name in out.with_name("out.recipe.toml").read_text()
    assert convert(name, layout="scperturb", type="knockout", rank="variance").validation.valid
