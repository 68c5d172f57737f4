"""Shared fixtures: where the real data are, and how tests that need them are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("PEREGGRN_SHARED", REPOSITORY.parent / "shared"))
SHARED_IS_HERE = (SHARED / "data").is_dir() and (SHARED / "golden").is_dir()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED_IS_HERE:
        return
    skip = pytest.mark.skip(reason="needs the shared real data, which are not here")
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the real data and golden outputs; for tests marked `shared`."""
    return SHARED


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own settings out of the tests."""
    monkeypatch.delenv("PEREGGRN_COLLECTION", raising=False)
    monkeypatch.delenv("PEREGGRN_CACHE", raising=False)
    monkeypatch.delenv("PEREGGRN_BASE_URL", raising=False)
