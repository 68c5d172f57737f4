"""Reading archives in parts: properties, attacks, damage."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from archives import HDF5_HEAD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pereggrn_data.catalog import DatasetEntry, LockedArchive, LockedMember, NetworkEntry
from pereggrn_data.core.errors import IntegrityError
from pereggrn_data.core.safe_names import is_safe_file_name
from pereggrn_data.loaders.archive.zip_index import read_local_index
from pereggrn_data.loaders.archive.zip_member import unpack
from pereggrn_data.loaders.cache import cached_files, match_members
from pereggrn_data.loaders.files.any_file.integrity import check_magic

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C",), exclude_characters="/\\:*"),
    min_size=1,
    max_size=40,
).filter(is_safe_file_name)


def index_of(data: bytes, tmp_path: Path) -> tuple[LockedMember, ...]:
    path = tmp_path / "archive.zip"
    path.write_bytes(data)
    archive = LockedArchive(key="archive.zip", size=len(data), md5=None)
    members = read_local_index(path, archive).members
    assert members is not None
    return members


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=5000), min_size=1, max_size=5),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_every_member_is_unpacked_from_its_own_span(
    files: dict[str, bytes], method: int, tmp_path: Path
) -> None:
    data = zipped(files, method)
    members = index_of(data, tmp_path)
    assert {m.path for m in members} == set(files)
    for member in members:
        out = io.BytesIO()
        unpack(io.BytesIO(data[member.start : member.stop]), member, out)
        assert out.getvalue() == files[member.path]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    data=st.binary(min_size=50, max_size=2000),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    where=st.floats(0, 0.999),
    flip=st.integers(1, 255),
)
def test_no_damaged_byte_gets_through(
    data: bytes, method: int, where: float, flip: int, tmp_path: Path
) -> None:
    archive = zipped({"a": data}, method)
    (member,) = index_of(archive, tmp_path)
    header = 30 + 1
    position = member.start + header + int(where * member.compressed_size)
    damaged = bytearray(archive)
    damaged[position] ^= flip
    out = io.BytesIO()
    try:
        unpack(io.BytesIO(bytes(damaged[member.start : member.stop])), member, out)
    except IntegrityError:
        return
    assert out.getvalue() == data, "a damaged stream may unpack to the same bytes, never to others"


@settings(max_examples=80)
@given(name=NAMES, part=NAMES)
def test_names_survive_from_the_archive_to_the_cache(name: str, part: str) -> None:
    member = LockedMember(
        path=f"root/networks/{name}/networks/{part}.parquet",
        size=1,
        compressed_size=1,
        crc32=0,
        method=0,
        encrypted=False,
        start=0,
        stop=1,
    )
    entry = NetworkEntry(name=name, title="")
    matched = match_members(entry, [member])
    assert matched == {f"networks/{name}/networks/{part}.parquet": member}


@pytest.mark.parametrize("name", ["simulation_TrueNetwork=a b_S=1_NoiseSD=0.001", "a'b", "δ Δ"])
def test_they_survive_in_the_cache_folder(tmp_path: Path, name: str) -> None:
    entry = DatasetEntry(name=name, title="")
    file = tmp_path / "perturbations" / name / "test.h5ad"
    file.parent.mkdir(parents=True)
    file.touch()
    assert cached_files(entry, tmp_path) == {f"perturbations/{name}/test.h5ad": file}


@pytest.mark.parametrize(
    "evil",
    ["../../../etc/passwd", "..\\..\\x.parquet", ".hidden.parquet", "a\nb.parquet", "x" * 300],
)
def test_names_from_archives_are_never_trusted(evil: str) -> None:
    member = LockedMember(
        path=f"networks/chea/networks/{evil}.parquet",
        size=1,
        compressed_size=1,
        crc32=0,
        method=0,
        encrypted=False,
        start=0,
        stop=1,
    )
    entry = NetworkEntry(name="chea", title="")
    if "/" in evil:
        assert match_members(entry, [member]) is None
        return
    with pytest.raises(IntegrityError, match="not safe"):
        match_members(entry, [member])


def test_the_nearest_to_the_root_wins_and_ambiguity_is_an_error(tmp_path: Path) -> None:
    entry = DatasetEntry(name="norman", title="")
    near, far = "a/perturbations/norman/test.h5ad", "a/b/perturbations/norman/test.h5ad"
    members = index_of(zipped({far: b"1", near: b"2"}), tmp_path)
    (chosen,) = (match_members(entry, members) or {}).values()
    assert chosen.path == near
    twins = index_of(zipped({near: b"1", "b/perturbations/norman/test.h5ad": b"2"}), tmp_path)
    with pytest.raises(IntegrityError, match="ambiguous"):
        match_members(entry, twins)


def test_a_bomb_is_stopped_at_the_promised_size(tmp_path: Path) -> None:
    archive = zipped({"a": b"\0" * 5_000_000})
    (member,) = index_of(archive, tmp_path)
    lying = LockedMember(**{**vars(member), "size": 1000})
    out = io.BytesIO()
    with pytest.raises(IntegrityError, match="1000 bytes"):
        unpack(io.BytesIO(archive), lying, out)
    assert len(out.getvalue()) <= 1000


def test_what_is_no_archive_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="not a zip archive"):
        index_of(b"<html>" * 100, tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "ok"),
    [
        ("test.h5ad", HDF5_HEAD, True),
        ("test.h5ad", b"PAR1", False),
        ("a.parquet", b"PAR1", True),
        ("human.txt", b"MYC\n", True),
        ("human.txt", b"\n<!DOCTYPE html><html>", False),
        ("screen.csv", b"", True),
    ],
)
def test_magic_bytes(tmp_path: Path, name: str, data: bytes, ok: bool) -> None:
    path = tmp_path / "tmp123"
    path.write_bytes(data)
    if ok:
        check_magic(path, name)
        return
    with pytest.raises(IntegrityError):
        check_magic(path, name)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x05\x06" + bytes(18),
        b"PK\x05\x06" + b"\xff" * 18,
        b"PK\x06\x06" + b"\xff" * 52 + b"PK\x06\x07" + b"\xff" * 16 + b"PK\x05\x06" + b"\xff" * 18,
        b"PK\x05\x06" + bytes(6) + b"\x01\x00\x2e\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"",
    ],
    ids=["empty", "end of ones", "zip64 of ones", "end of another", "nothing"],
)
def test_an_end_without_an_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    archive = LockedArchive(key="a.zip", size=len(content), md5=None, link=None)
    with suppress(IntegrityError):
        assert read_local_index(path, archive).members == ()
