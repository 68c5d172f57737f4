"""Names from locks and archives never lead out of the cache."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from archive_server import Faults
from archives import RECORD, stand_in
from test_fetch import Command, Serve

from pereggrn_data.catalog import ReleaseLock
from pereggrn_data.core.errors import IntegrityError, InvalidDataError
from pereggrn_data.loaders.cache import Cache


def a_lock(**changed: object) -> dict[str, object]:
    archive = {"key": "perturbation_data.zip", "size": 10, "md5": None}
    archive |= {k: v for k, v in changed.items() if k in archive}
    top = {"format_version": 1, "record": RECORD, "resolved": "2025-01-01", "archives": [archive]}
    return top | {k: v for k, v in changed.items() if k in top}


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "x/../../EVIL.zip"},
        {"key": "/tmp/EVIL.zip"},  # noqa: S108
        {"key": ".."},
        {"record": "../x"},
        {"record": "१२"},
        {"record": ""},
    ],
    ids=str,
)
def test_a_lock_with_names_that_lead_elsewhere_is_refused(changed: dict[str, object]) -> None:
    assert ReleaseLock.from_dict(a_lock(), source="lock").record == RECORD
    with pytest.raises(InvalidDataError, match="not a valid lock file"):
        ReleaseLock.from_dict(a_lock(**changed), source="lock")


def test_nothing_is_written_outside_the_cache(
    serve: Serve, tmp_path: Path, cache_folder: Path, command: Command
) -> None:
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("perturbations/norman/test.h5ad", stand_in("norman"))
    serve({"perturbation_data.zip": path, "x/../../EVIL.zip": path}, Faults(ranges=False))
    lock = tmp_path / "lock.json"
    values = a_lock(size=path.stat().st_size, key="x/../../EVIL.zip")
    lock.write_text(json.dumps(values))
    assert command("fetch", "norman", "--lock", str(lock)).code == 1
    assert not list(tmp_path.rglob("EVIL*"))


@pytest.mark.parametrize("name", ["../x", "../../x", "a/../../../x", ".."])
def test_the_cache_gives_no_path_outside_itself(tmp_path: Path, name: str) -> None:
    cache = Cache(tmp_path / "cache")
    with pytest.raises(IntegrityError, match="leads out of the cache"):
        cache.archive("1", f"../{name}")
    with pytest.raises(IntegrityError, match="leads out of the cache"):
        cache.file("1", f"../{name}")
    with pytest.raises(IntegrityError, match="leads out of the cache"):
        cache.part("../..", "x", 0, 1)
