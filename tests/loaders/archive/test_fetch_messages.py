"""What is said before and instead of a transfer."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from archives import RECORD, small_h5ad
from test_fetch import Command, Serve

from pereggrn_data.catalog import load_catalog
from pereggrn_data.core.errors import UsageError
from pereggrn_data.pipelines.collection import fetch


def packed(tmp_path: Path, method: int) -> Path:
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", method) as out:
        out.writestr("perturbations/norman/test.h5ad", small_h5ad())
    return path


@pytest.mark.parametrize(("method", "word"), [(zipfile.ZIP_BZIP2, "bzip2"), (14, "LZMA")])
def test_the_real_reason_for_a_whole_archive_is_said(
    serve: Serve, tmp_path: Path, cache_folder: Path, command: Command, method: int, word: str
) -> None:
    serve({"perturbation_data.zip": packed(tmp_path, method)})
    ran = command("fetch", "norman")
    assert (ran.code, word in ran.err, "sends no parts" in ran.err) == (0, True, False)


@pytest.mark.parametrize(("offset", "value", "word"), [(8, 1, "encrypted"), (10, 9, "deflate64")])
def test_what_cannot_be_unpacked_is_refused_before_the_download(
    serve: Serve, tmp_path: Path, cache_folder: Path, offset: int, value: int, word: str
) -> None:
    path = packed(tmp_path, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + offset] = value
    path.write_bytes(data)
    server = serve({"perturbation_data.zip": path})
    with pytest.raises(UsageError, match="cannot be unpacked") as caught:
        fetch("norman")
    assert word in str(caught.value)
    assert len(server.file_requests()) == 1, "only the index was read"


def test_the_address_of_a_record_names_a_release() -> None:
    catalog = load_catalog()
    for named in (f"https://zenodo.org/records/{RECORD}", f"https://zenodo.org/record/{RECORD}/"):
        assert catalog.release(named).record == RECORD
    with pytest.raises(UsageError):
        catalog.release(f"https://example.org/records/{RECORD}")


@pytest.mark.parametrize("date", ["2025-03-18", None])
def test_croissant_has_the_records_own_date(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command, date: str | None
) -> None:
    serve(archives).published = date
    fetch("nakatake")
    described = json.loads(command("export", "nakatake", "--format", "croissant").out)
    assert described.get("datePublished") == date
