"""What a file says of its size is compared with what is there, before memory is taken."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pereggrn_data.catalog import LockedArchive
from pereggrn_data.core import sizes
from pereggrn_data.core.errors import IntegrityError, InvalidDataError, UsageError
from pereggrn_data.core.foreign_reading import trusting
from pereggrn_data.core.sizes import free_memory, require_memory
from pereggrn_data.loaders.archive.zip_index import read_local_index
from pereggrn_data.loaders.archive.zip_member import unpack
from pereggrn_data.loaders.files import read_model_file, read_predictions, write_arrays
from pereggrn_data.loaders.files.any_file import recognise, zip_bounds
from pereggrn_data.loaders.files.tables import read_parquet, text_streams, text_table


class Nowhere(io.RawIOBase):
    """Takes everything and keeps nothing."""

    def write(self, data: object) -> int:
        return len(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_are_unpacked_in_pieces_whatever_packed_them(tmp_path: Path, method: int) -> None:
    path, n = tmp_path / "a.zip", 20 << 20
    with zipfile.ZipFile(path, "w", method) as out, out.open("zeros", "w") as member:
        for _ in range(20):
            member.write(bytes(1 << 20))
    archive = LockedArchive(key="a.zip", size=path.stat().st_size, md5=None, link=None)
    (member_of,) = read_local_index(path, archive).members or ()
    tracemalloc.start()
    with path.open("rb") as raw:
        found = unpack(raw, member_of, Nowhere())  # type: ignore[arg-type]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.size == n
    assert most < 0.7 * n  # LZMA remembers 8 MiB


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_no_more_is_written_than_the_index_promises(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as out:
        out.writestr("x", b"some text " * 1000)
    data = path.read_bytes()
    for place in (22, data.rindex(b"PK\x01\x02") + 24):  # the size, in both headers
        data = data[:place] + (5000).to_bytes(4, "little") + data[place + 4 :]
    path.write_bytes(data)
    archive = LockedArchive(key="a.zip", size=len(data), md5=None, link=None)
    (member,) = read_local_index(path, archive).members or ()
    out_file = io.BytesIO()
    with path.open("rb") as raw, pytest.raises(IntegrityError, match="as the archive's index"):
        unpack(raw, member, out_file)
    assert len(out_file.getvalue()) <= 5000


@pytest.mark.parametrize(("limit", "value"), [("MOST_MEMBERS", 10), ("LARGEST_INDEX", 11 * 46)])
def test_archives_with_very_many_members_are_refused_unless_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    few, many = tmp_path / "few.zip", tmp_path / "many.zip"
    for path, n in ((few, 5), (many, 11)):
        with zipfile.ZipFile(path, "w") as out:
            for i in range(n):
                out.writestr(f"{i}", b"")
    monkeypatch.setattr(zip_bounds, limit, value)

    def read(path: Path) -> int:
        archive = LockedArchive(key=path.name, size=path.stat().st_size, md5=None, link=None)
        return len(read_local_index(path, archive).members or ())

    assert read(few) == 5
    with pytest.raises(IntegrityError, match=r"index of many\.zip is too long") as caught:
        read(many)
    assert "--trust" in str(caught.value)
    assert recognise(many).name == "zip"
    with trusting():
        assert read(many) == 11


def test_saved_models_with_very_many_members_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.npz"
    write_arrays(path, {f"a{i}": np.zeros(1) for i in range(10)}, {"dataset": "x"})
    assert len(read_model_file(path).content) == 10
    monkeypatch.setattr(zip_bounds, "MOST_MEMBERS", 10)
    with pytest.raises(InvalidDataError, match="too long"):
        read_model_file(path)


@pytest.mark.parametrize("filling", [b"0", b",", b"\n", b'"'])
def test_tables_that_unpack_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filling: bytes
) -> None:
    monkeypatch.setattr(text_streams, "SMALL_UNPACKED", 4 << 20)
    path = tmp_path / "predictions.csv.gz"
    text = b"perturbation,A,B\nA,1,2\n" + filling * (5 << 20)
    path.write_bytes(gzip.compress(text, 9))
    with pytest.raises(InvalidDataError, match=r"predictions\.csv\.gz"):
        read_predictions(path)


def test_a_table_of_measurements_may_be_packed_as_well_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv.gz"
    rng = np.random.default_rng(0)
    rows = (rng.random((200, 3000)) < 0.01).astype(int)
    text = ",".join(f"G{i}" for i in range(3000)) + "\n"
    text += "\n".join(",".join(map(str, row)) for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 9))
    assert text_table(path).read().num_rows == 200


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(4294967296, 4294967296)", "(-1,)"])
def test_a_saved_model_is_as_long_as_it_says(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "model.npz"
    write_arrays(path, {"a": np.zeros(3)}, {"dataset": "x"})
    with zipfile.ZipFile(path) as file:
        members = {n: file.read(n) for n in file.namelist()}
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    members["a.npy"] = b"\x93NUMPY\x01\x00v\x00" + text.encode() + bytes(24)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    with pytest.raises(InvalidDataError, match="holds no model"):
        read_model_file(path)


def test_parquet_is_compared_with_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": np.zeros(1000)}), path)
    monkeypatch.setattr(sizes, "SMALL", 100)
    monkeypatch.setattr(sizes, "free_memory", lambda: 3999)
    with pytest.raises(UsageError, match="more memory than there is"):
        read_parquet(path)
    monkeypatch.setattr(sizes, "free_memory", lambda: 4000)
    assert read_parquet(path).num_rows == 1000


def test_what_fits_and_what_does_not() -> None:
    free = free_memory()
    assert free is None or free > 0
    require_memory(1, "a byte")
    if free is not None:
        with pytest.raises(UsageError, match="X needs more memory"):
            require_memory(1 << 60, "X")


def test_what_pandas_noted_in_a_file_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    table = pa.table({"perturbation": ["A"], "G": [1.0]})
    for noted in (b"{", b"\xff", b"[" * 100_000, b'{"index_columns": ["x"], "columns": 3}'):
        pq.write_table(table.replace_schema_metadata({b"pandas": noted}), path)
        with pytest.raises(InvalidDataError, match="pandas"):
            read_predictions(path)
