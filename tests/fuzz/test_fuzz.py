"""Damaged files are refused cleanly, or read as they were: nothing else may happen.

The files are tried in a process of their own, with limits: see fuzz_trial.py, which also
prints the table of SECURITY.md (``python tests/fuzz/fuzz_trial.py --table``).
"""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fuzz_kinds import KINDS
from fuzz_trial import BAD

from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.loaders.files.hdf5 import open_h5ad, separate_reading
from pereggrn_data.loaders.files.hdf5.separate_reading import Ending

pytestmark = pytest.mark.looks_through

HERE = Path(__file__).resolve().parent
STORED = sorted((HERE / "stored").glob("*.h5ad.xz"))

ONCE_FAILED: Mapping[str, Sequence[int]] = {
    "h5ad of ours": [67],
    "h5ad CSR": [83],
    "h5ad CSC": [1017],
    "predictions csv.gz": [2, 25, 27, 74],
    "predictions parquet": [1, 6, 26, 27, 39, 40, 87, 1101],
    "network parquet": [1, 2, 22, 26, 70, 1133],
    "network csv.gz": [8, 22],
    "network foreign parquet": [115],
    "calibration.json": [113],
    "lock": [0, 25, 69],
    "hashes.json": [3, 10],
    "record JSON": [59],
    "test set json": [25],
    "archive": [1, 112],
    "saved model": [1047],
}
"""Numbers of damaged files that ended as a bug of ours, hung, or were valid and then refused."""

COSTLY = ("h5ad of ours", "predictions parquet", "network parquet", "network csv.gz")
"""Kinds of which one takes a tenth of a second: some of each are tried by every run."""

QUICK = (
    *("lock", "hashes.json", "record JSON", "HTTP headers", "recipe.toml", "pyproject.toml"),
    *("list of factors", "test set json", "test set csv", "collection table", "archive"),
)
"""Kinds of which one takes a hundredth of a second; all others are tried by the slow tests."""


def few() -> dict[str, list[int]]:
    """Return the numbers of the damaged files that every run of the tests tries."""
    new = dict.fromkeys(COSTLY, range(200, 203)) | dict.fromkeys(QUICK, range(200, 225))
    return {kind: [*ONCE_FAILED.get(kind, ()), *chosen] for kind, chosen in new.items()}


def tried(numbers: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Try damaged files in a new process, and return what happened to each."""
    command = [sys.executable, str(HERE / "fuzz_trial.py"), "--seconds", "100"]
    wanted = {kind: list(chosen) for kind, chosen in numbers.items()}
    ran = subprocess.run(
        [*command, "--numbers", json.dumps(wanted)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(found) == sum(map(len, wanted.values()))
    return found


def test_damaged_files_are_refused_or_read_as_they_were() -> None:
    assert sum(map(len, few().values())) >= 300
    assert not [outcome for outcome in tried(few()) if outcome["outcome"] in BAD]


@pytest.mark.slow
@pytest.mark.trial
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(kind: str) -> None:
    found = tried({kind: [*ONCE_FAILED.get(kind, ()), *range(1000, 1150)]})
    bad = [outcome for outcome in found if outcome["outcome"] in BAD]
    # validate does not know everything that a use asks for: one in fifty may be refused late.
    late = [outcome for outcome in bad if outcome["outcome"] == "disagree"]
    assert len(late) <= len(found) / 50
    assert not [outcome for outcome in bad if outcome not in late]


def unpacked(stored: Path, folder: Path) -> Path:
    path = folder / stored.name.removesuffix(".xz")
    path.write_bytes(lzma.decompress(stored.read_bytes()))
    return path


@pytest.mark.parametrize("stored", STORED[:2], ids=lambda p: p.name)
def test_what_hung_or_crashed_hdf5_does_so_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: Path
) -> None:
    monkeypatch.setattr(separate_reading, "SECONDS", 0.2)
    path = unpacked(stored, tmp_path)

    def read() -> None:
        with open_h5ad(path) as reader:
            reader.frame("obs", every=True)
            reader.frame("var", every=True)

    with pytest.raises(PereggrnError):  # another version of HDF5 may find out by itself
        read()


@pytest.mark.slow
@pytest.mark.parametrize("stored", STORED, ids=lambda p: p.name)
def test_files_that_hung_or_crashed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: Path
) -> None:
    monkeypatch.setattr(separate_reading, "SECONDS", 1.0)
    path = unpacked(stored, tmp_path)
    if separate_reading._spawned(path, 1) is Ending.FINE:
        pytest.skip("this version of HDF5 finds out by itself what is wrong")
    with pytest.raises(InvalidDataError, match="HDF5"), open_h5ad(path):
        pass
