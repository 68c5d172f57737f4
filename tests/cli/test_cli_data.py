"""The commands of `pereggrn-data` around the catalog: what they print, and their exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import ArchiveServer, Faults
from archives import RECORD, small_h5ad, small_parquet
from service_fixtures import Ran

from pereggrn_data.pipelines.collection import open_dataset

Serve = Callable[..., ArchiveServer]
Command = Callable[..., Ran]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A local collection with a name of its own and a published one."""
    root = tmp_path / "mine"
    for name in ("mine", "nakatake"):
        (root / "perturbations" / name).mkdir(parents=True)
        (root / "perturbations" / name / "test.h5ad").write_bytes(small_h5ad(3))
    (root / "perturbations" / "perturbations.csv").write_text(
        "name,species,is_ready,direction\nmine,yeast,yes,knockout\nlater,yeast,no,knockout\n"
        "gone,yeast,yes,knockout\n"
    )
    (root / "networks" / "net" / "networks").mkdir(parents=True)
    (root / "networks" / "net" / "networks" / "a b.parquet").write_bytes(small_parquet())
    return root


def unzipped(collection: Path, tmp_path: Path) -> Path:
    """The same collection in the layout of the unzipped archives."""
    root = tmp_path / "unzipped"
    shutil.copytree(collection / "perturbations", root / "perturbation_data" / "perturbations")
    shutil.copytree(collection / "networks", root / "network_collection" / "networks")
    return root


def listed(ran: Ran) -> dict[tuple[str, str], dict[str, object]]:
    assert ran.code == 0, ran.err
    return {(row["name"], row["state"]): row for row in json.loads(ran.out)}


def test_list_shows_all_kinds_and_states(
    command: Command, serve: Serve, archives: dict[str, Path], collection: Path
) -> None:
    serve(archives)
    assert command("fetch", "nakatake", "gtex_rna", "-q").code == 0
    rows = listed(command("list", "--json", "--collection", str(collection)))
    assert rows["nakatake", "cached"]["size"]
    assert rows["nakatake", "local"]["shown_as"] == f"nakatake (local: {collection})"
    assert rows["norman", "remote"]["size"], "the index of its archive is known by now"
    assert rows["joung", "remote"]["size"] is None
    assert ("demo", "embedded") in rows
    assert ("later", "absent") in rows
    assert ("gone", "absent") in rows
    assert command("verify", "nakatake").code == 0
    assert ("nakatake", "verified") in listed(command("list", "--json"))


def test_list_filters(command: Command) -> None:
    rows = listed(command("list", "--kind", "network", "--species", "Mouse", "--json"))
    names = {name for name, _ in rows}
    assert names == {
        "chea",
        "fntm",
        "cellnet_mouse_4302",
        "cellnet_mouse_mogene",
        "celloracle_mouse",
        "celloracle_mouse_atac_atlas",
        "regulatorynetworks.org_mouse",
    }
    assert command("list", "--kind", "networks").code == 2
    assert command("list", "--species", "unicorn").code == 2
    text = command("list").out
    for column in ("name", "kind", "cells", "method", "perturbations", "size", "state"):
        assert column in text


@pytest.mark.parametrize("layout", ["flat", "unzipped"])
def test_a_local_collection_is_a_catalog_too(
    command: Command,
    serve: Serve,
    archives: dict[str, Path],
    collection: Path,
    tmp_path: Path,
    layout: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = collection if layout == "flat" else unzipped(collection, tmp_path)
    serve(archives)
    assert command("fetch", "nakatake", "-q").code == 0
    monkeypatch.setenv("PEREGGRN_COLLECTION", str(root))
    ours = open_dataset("nakatake")
    assert ours.shown_as == f"nakatake (local: {root})"
    assert ours.path is not None
    assert Path(ours.path).is_relative_to(root)
    assert open_dataset("mine").shown_as == "mine"
    assert command("path", "nakatake").out.startswith(str(root))
    assert command("path", "net").out.endswith("a b.parquet\n")
    assert command("info", "mine").out.startswith("name: mine")
    fetched = command("fetch", "nakatake", "-q")
    assert str(root) not in fetched.out, "fetch always means the release"
    assert command("verify", "nakatake").code == 0
    ran = command("fetch", "mine")
    assert (ran.code, "local collection" in ran.err) == (2, True)


def test_a_broken_table_is_said_so(command: Command, collection: Path) -> None:
    (collection / "perturbations" / "perturbations.csv").write_text("dataset,x\na,b\n")
    ran = command("list", "--collection", str(collection))
    assert (ran.code, "no column 'name'" in ran.err) == (1, True)
    assert command("list", "--collection", str(collection / "none")).code == 2


def test_info_shows_citation_and_licence(
    command: Command, serve: Serve, archives: dict[str, Path]
) -> None:
    ran = command("info", "norman")
    assert "@article{norman2019," in ran.out
    assert "licence: not known to us" in ran.out
    assert "checksum not known yet" in ran.out
    serve(archives)
    command("fetch", "norman", "-q")
    facts = json.loads(command("info", "norman", "--json").out)
    (file,) = facts["files"]
    assert facts["release_licence"] == "cc-by-4.0"
    assert (file["checksum"], len(file["sha256"])) == ("first seen", 64)
    assert command("info", "normann").code == 2
    assert "another name" in command("info", "replogle").err
    assert command("info", "demo").code == 0


def test_fetch_prints_sizes_first_and_paths_on_stdout(
    command: Command, serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    ran = command("fetch", "nakatake", "norman")
    assert ran.err.index("to download") < ran.err.index("1 file fetched")
    assert "first seen" in ran.err
    assert ran.out.splitlines() == [
        str(cache_folder / RECORD / "perturbations" / name / "test.h5ad")
        for name in ("nakatake", "norman")
    ]
    quiet = command("fetch", "nakatake", "--quiet")
    assert (quiet.err, quiet.code) == ("", 0)
    values = json.loads(command("fetch", "nakatake", "--json", "-q").out)
    assert values[0]["files"][0]["downloaded"] is False


@pytest.mark.parametrize(
    ("arguments", "faults", "code"),
    [
        (["fetch", "nakatake"], Faults(block_with_page=True), 3),
        (["fetch", "nakatake"], Faults(corrupt=9, ranges=False), 4),
        (["fetch", "nakatake", "--offline"], Faults(), 3),
        (["fetch", "nakatake", "--release", "code"], Faults(), 2),
        (["fetch"], Faults(), 2),
        (["fetch", "--all", "nakatake"], Faults(), 2),
        (["path", "nakatake"], Faults(), 2),
        (["path", "demo"], Faults(), 2),
        (["verify", "nakatake"], Faults(), 2),
        (["export", "nakatake"], Faults(), 2),
        (["export", "nakatake", "--format", "xml"], Faults(), 2),
        (["lock", "--release", "nonsense"], Faults(), 2),
        (["cache", "clean", "nakatake"], Faults(), 2),
    ],
)
def test_exit_codes(
    command: Command,
    serve: Serve,
    archives: dict[str, Path],
    arguments: list[str],
    faults: Faults,
    code: int,
) -> None:
    serve(archives, faults)
    ran = command(*arguments)
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_an_unreachable_host(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEREGGRN_BASE_URL", "http://127.0.0.1:9")
    ran = command("fetch", "nakatake")
    assert (ran.code, "cannot be reached" in ran.err) == (3, True)
    ran = command("doctor", "--online")
    assert (ran.code, "failure" in ran.out) == (3, True)


def test_verify_everything(
    command: Command, serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    assert command("verify").code == 0
    command("fetch", "nakatake", "norman", "tf_lists", "-q")
    files = json.loads(command("verify", "--json").out)
    assert {f["state"] for f in files} == {"ok"}
    assert len(files) == 4
    (cache_folder / RECORD / "perturbations/norman/test.h5ad").unlink()
    (cache_folder / RECORD / "tf_lists/human.txt").write_text("x")
    ran = command("verify")
    assert ran.code == 4
    assert "changed" in ran.out


def test_the_cache_can_be_looked_at_and_cleaned(
    command: Command, serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    command("fetch", "nakatake", "gtex_rna", "-q")
    assert command("cache", "dir").out.strip() == str(cache_folder)
    rows = json.loads(command("cache", "ls", "--json").out)
    assert {r["name"] for r in rows} == {"nakatake", "gtex_rna"}
    left = cache_folder / RECORD / "parts" / "x-0.part"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"1234")
    assert command("cache", "clean").code == 0
    assert not left.exists()
    assert command("cache", "clean", "nakatake", "-y").code == 0
    assert not (cache_folder / RECORD / "perturbations").exists()
    assert "nakatake" in (cache_folder / RECORD / "hashes.json").read_text(), "checksums stay"
    assert command("cache", "clean", "--all", "-y").code == 0
    assert command("cache", "ls", "--json").out.strip() == "[]"


def test_the_cache_is_a_collection(
    command: Command,
    serve: Serve,
    archives: dict[str, Path],
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve(archives)
    command("fetch", "nakatake", "gtex_rna", "tf_lists", "-q")
    rows = listed(command("list", "--json", "--collection", str(cache_folder / RECORD)))
    assert ("gtex_rna", "local") in rows
    assert ("tf_lists", "local") in rows


def test_lock_writes_what_the_service_says(
    command: Command, serve: Serve, archives: dict[str, Path], tmp_path: Path
) -> None:
    serve(archives)
    values = json.loads(command("lock").out)
    assert {a["key"] for a in values["archives"]} == set(archives)
    assert all(len(a["md5"]) == 32 and a["members"] for a in values["archives"])
    members = [m for a in values["archives"] for m in a["members"]]
    assert all(m["sha256"] is None for m in members), "nothing was fetched, so none is known"
    serve(archives, Faults(ranges=False))
    values = json.loads(command("lock").out)
    assert all(a["members"] is None for a in values["archives"]), "not read, so not invented"


def test_doctor_looks_and_asks(command: Command, serve: Serve, archives: dict[str, Path]) -> None:
    server = serve(archives, Faults(retry_after="60"))
    ran = command("doctor")
    assert (ran.code, server.seen) == (0, [])
    checks = json.loads(command("doctor", "--online", "--json").out)
    assert {c["verdict"] for c in checks} <= {"ok", "info"}
    text = " ".join(c["detail"] for c in checks)
    for told in ("X-RateLimit-Limit: 60", "ETag", "Retry-After: 60", "pereggrn-data/"):
        assert told in text
    serve(archives, Faults(ranges=False))
    checks = json.loads(command("doctor", "--online", "--json").out)
    assert any(c["verdict"] == "warning" for c in checks)


def test_croissant(command: Command, serve: Serve, archives: dict[str, Path]) -> None:
    serve(archives)
    command("fetch", "nakatake", "-q")
    described = json.loads(command("export", "nakatake", "--format", "croissant").out)
    archive, file = described["distribution"]
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert (archive["@id"], len(archive["md5"])) == ("perturbation_data.zip", 32)
    assert file["containedIn"] == {"@id": "perturbation_data.zip"}
    assert len(file["sha256"]) == 64
    assert "norman" not in json.dumps(described)
    norman = json.loads(command("export", "norman").out)
    assert "sha256" not in norman["distribution"][1], "it was not fetched, so it is not known"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid(
    command: Command, serve: Serve, archives: dict[str, Path], tmp_path: Path
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    serve(archives)
    for name in ("nakatake", "gtex_rna", "fantom4"):
        command("fetch", name, "-q")
        path = tmp_path / "croissant.json"
        path.write_text(command("export", name).out)
        dataset = mlcroissant.Dataset(jsonld=str(path))
        assert not dataset.metadata.ctx.issues.errors
        assert dataset.metadata.name == name
