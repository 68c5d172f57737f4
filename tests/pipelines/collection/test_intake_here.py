"""The catalog of intake holds every name that can be read here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.catalog import load_catalog

# intake itself warns on some versions of Python; what it does is tested, not what it says.
pytestmark = [pytest.mark.filterwarnings("ignore")]
pytest.importorskip("intake")


@pytest.fixture
def collection(tmp_path: Path, cache_folder: Path) -> Path:
    folder = tmp_path / "mine"
    data = folder / "perturbations" / "my_data"
    data.mkdir(parents=True)
    pereggrn_data.split("demo").train.write_h5ad(data / "test.h5ad")
    edges = folder / "networks" / "my_network" / "networks"
    edges.mkdir(parents=True)
    table = {"regulator": ["A", "A"], "target": ["B", "C"], "weight": [1.0, -1.0]}
    pd.DataFrame(table).to_parquet(edges / "all.parquet")
    lists = folder / "tf_lists"
    lists.mkdir()
    (lists / "human.txt").write_text("GATA1\nKLF1\n")
    return folder


def check(cat: object) -> None:
    names = set(cat)  # type: ignore[call-overload]
    catalog = load_catalog()
    assert names >= {e.name for e in (*catalog.datasets, *catalog.networks)}
    assert names >= {"my_data", "my_network", "tf_lists", "demo"}
    assert cat["my_data"].read().n_obs > 100  # type: ignore[index]
    assert list(cat["my_network"].read()["target"]) == ["B", "C"]  # type: ignore[index]
    assert list(cat["tf_lists"].read()["human"]["gene"]) == ["GATA1", "KLF1"]  # type: ignore[index]
    assert cat["demo"].read().n_obs > 100  # type: ignore[index]


def test_by_the_variable(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEREGGRN_COLLECTION", str(collection))
    check(pereggrn_data.catalog())  # type: ignore[operator]


def test_by_its_folder(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEREGGRN_COLLECTION", raising=False)
    check(pereggrn_data.catalog(str(collection)))  # type: ignore[operator]


def test_without_one(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEREGGRN_COLLECTION", raising=False)
    cat = pereggrn_data.catalog()  # type: ignore[operator]
    assert "my_data" not in set(cat)
    assert cat["demo"].read().n_obs > 100


def test_the_room_is_still_a_room() -> None:
    import pereggrn_data.catalog as room

    assert room.load_catalog is load_catalog
    assert room is pereggrn_data.catalog
