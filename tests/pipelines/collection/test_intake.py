"""The catalog as intake reads it, here and from another environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from archive_server import ArchiveServer
from archives import small_h5ad, small_parquet

import pereggrn_data
from pereggrn_data.catalog import load_catalog
from pereggrn_data.loaders.cache import NotFetchedError
from pereggrn_data.pipelines.collection import catalog_path, intake_yaml

Serve = Callable[..., ArchiveServer]
REPOSITORY = Path(__file__).resolve().parents[3]

# intake itself warns on some versions of Python; what it does is tested, not what it says.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def cat(cache_folder: Path) -> object:
    intake = pytest.importorskip("intake")
    return intake.open_catalog(pereggrn_data.catalog_path())


def test_the_shipped_file_is_derived_from_the_entries() -> None:
    assert Path(catalog_path()).read_text("utf-8") == intake_yaml(), (
        "run: python -m pereggrn_data.pipelines.collection.intake_catalog > catalog/intake.yaml"
    )


def test_it_lists_our_names_unchanged(cat: object) -> None:
    catalog = load_catalog()
    names = {e.name for e in (*catalog.datasets, *catalog.networks)}
    assert set(cat) == names | {"replogle"}  # type: ignore[call-overload]
    values = yaml.safe_load(Path(catalog_path()).read_text("utf-8"))
    assert set(values["metadata"]["releases"]) == set(catalog.releases)


def test_datasets_and_networks_are_read(
    cat: object, serve: Serve, archives: dict[str, Path]
) -> None:
    import anndata
    import pandas as pd

    serve(archives)
    with pytest.raises(NotFetchedError):
        cat["nakatake"].read()  # type: ignore[index]
    pereggrn_data.fetch(["nakatake", "regulatorynetworks.org_human"])
    adata = cat["nakatake"].read()  # type: ignore[index]
    backed = cat["nakatake"].read(backed="r")  # type: ignore[index]
    assert isinstance(adata, anndata.AnnData)
    assert (backed.isbacked, backed.shape) == (True, adata.shape)
    backed.file.close()
    reader = cat["regulatorynetworks.org_human"]  # type: ignore[index]
    edges = reader.read()
    assert isinstance(edges, pd.DataFrame)
    assert set(edges.columns) >= {"regulator", "target", "weight", "subnetwork"}
    assert edges["subnetwork"].nunique() == 3
    relation = reader.read(to="relation")
    assert relation.count("*").fetchall() == [(len(edges),)]
    same = reader.to_reader("duckdb").read()
    assert same.count("*").fetchall() == [(len(edges),)]


def test_entries_resolve_when_they_are_read(
    cat: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_collection(tmp_path)
    monkeypatch.setenv("PEREGGRN_COLLECTION", str(root))
    assert cat["nakatake"].read().n_obs == 22  # type: ignore[index]
    assert len(cat["encode-nets_human"].read()) == 50  # type: ignore[index]


def test_the_embedded_dataset_needs_no_file(cat: object) -> None:
    assert cat["demo"].read().n_obs > 50  # type: ignore[index]


def make_collection(folder: Path) -> Path:
    root = folder / "collection"
    files = {
        "perturbations/nakatake/test.h5ad": small_h5ad(),
        "networks/encode-nets_human/networks/all.parquet": small_parquet(),
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(data)
    return root


SCRIPT = """
import json, sys
import intake, pereggrn_data
cat = intake.open_catalog(pereggrn_data.catalog_path())
adata = cat["nakatake"].read()
backed = cat["nakatake"].read(backed="r")
edges = cat["encode-nets_human"].read()
relation = cat["encode-nets_human"].read(to="relation")
print(json.dumps({
    "module": pereggrn_data.__file__,
    "listed": len(list(cat)),
    "shape": list(adata.shape),
    "backed": bool(backed.isbacked),
    "edges": len(edges),
    "relation": relation.count("*").fetchall()[0][0],
    "bonus": len(list(intake.cat.pereggrn)),
    "by_name": list(intake.cat.pereggrn["nakatake"].read().shape),
}))
"""


@pytest.mark.slow
@pytest.mark.wheel
def test_another_environment_with_only_our_wheel(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh environment has the wheel; only third-party packages are borrowed."""
    pytest.importorskip("intake")
    wheel = build_wheel(tmp_path)
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    folder = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / folder / "site-packages"
    # Path lines only: the .pth files of the borrowed folders, among them that
    # of an editable installation of ours, are not followed.
    borrowed = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True)
    environment = {
        **os.environ,
        "PEREGGRN_COLLECTION": str(make_collection(tmp_path)),
        "VIRTUAL_ENV": str(home),
    }
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["module"].startswith(str(site))
    # The catalog that is made anew has the names of the local collection besides.
    assert told["listed"] == len(load_catalog().datasets) + len(load_catalog().networks) + 1
    assert told["bonus"] >= told["listed"]
    assert told["shape"] == told["by_name"] == [22, 30]
    assert told["backed"]
    assert told["edges"] == told["relation"] == 50


def build_wheel(folder: Path) -> Path:
    """Take the wheel that is named, else build one from a copy of the repository."""
    if named := os.environ.get("PEREGGRN_WHEEL"):
        return Path(named)
    try:
        can_build = int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        can_build = False
    if not can_build:
        pytest.skip("no wheel is named by PEREGGRN_WHEEL, and no setuptools >= 77 to build one")
    source = folder / "source"
    said = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    folders = said["tool"]["setuptools"]["package-dir"].values()
    for name in {Path(folder).parts[0] for folder in folders}:
        skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(REPOSITORY / name, source / name, ignore=skip)
    for file in ("pyproject.toml", "LICENSE", "README.md"):
        if (REPOSITORY / file).exists():
            shutil.copy(REPOSITORY / file, source / file)
        else:
            (source / file).write_text("")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run(
        [*build, "--no-build-isolation", "--wheel-dir", str(folder), str(source)], check=True
    )
    return next(folder.glob("*.whl"))
