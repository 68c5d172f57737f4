"""The API's answers, in both shapes, and what cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from pereggrn_data.catalog import load_catalog
from pereggrn_data.core.errors import NetworkError, UsageError
from pereggrn_data.loaders.archive import download_links, parse_record
from pereggrn_data.loaders.remote import Validator, base_url, user_agent
from pereggrn_data.loaders.remote.http_failures import retry_after

MD5 = "0123456789abcdef" * 2
URL = "https://zenodo.org/api/records/15048156"
RELEASE = load_catalog().release(None)
NEW = {
    "id": 15048156,
    "doi": "10.5281/zenodo.15048156",
    "metadata": {"title": "T", "license": {"id": "cc-by-4.0"}},
    "files": [
        {
            "key": "perturbation data.zip",
            "size": 7,
            "checksum": f"md5:{MD5}",
            "links": {"self": f"{URL}/files/perturbation data.zip/content"},
        }
    ],
}
OLD = {
    "id": "15048156",
    "metadata": {"license": "cc-by-4.0"},
    "files": [
        {
            "filename": "perturbation data.zip",
            "filesize": 7,
            "checksum": MD5,
            "links": {"download": "/somewhere"},
        }
    ],
}


@pytest.mark.parametrize("values", [NEW, OLD], ids=["new", "old"])
def test_both_shapes_say_the_same(values: dict[str, Any]) -> None:
    lock = parse_record(values, RELEASE, URL)
    (archive,) = lock.archives
    assert (archive.key, archive.size, archive.md5) == ("perturbation data.zip", 7, MD5)
    assert (lock.record, lock.doi, lock.licence) == (
        "15048156",
        "10.5281/zenodo.15048156",
        "cc-by-4.0",
    )
    assert archive.members is None


def test_both_link_forms_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    (archive,) = parse_record(NEW, RELEASE, URL).archives
    page, api = download_links("15048156", archive)
    assert page == ("https://zenodo.org/records/15048156/files/perturbation%20data.zip?download=1")
    assert api == f"{URL}/files/perturbation data.zip/content"
    (archive,) = parse_record(OLD, RELEASE, URL).archives
    assert download_links("1", archive)[1] == "https://zenodo.org/somewhere"


def test_an_unknown_checksum_is_unknown() -> None:
    for checksum in (None, "sha512:abc", "md5:short", 7):
        files = [{**NEW["files"][0], "checksum": checksum}]  # type: ignore[index]
        (archive,) = parse_record({**NEW, "files": files}, RELEASE, URL).archives
        assert archive.md5 is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7},
        {"files": None},
        {"files": ["a"]},
        {"files": [{"key": "../x.zip", "size": 1}]},
        {"files": [{"key": "x.zip", "size": "1"}]},
        {"files": [{"key": "x.zip"}]},
    ],
)
def test_unusable_answers_are_said_so(change: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="cannot use"):
        parse_record({**NEW, **change}, RELEASE, URL)
    with pytest.raises(NetworkError):
        parse_record([], RELEASE, URL)


def test_the_host_can_be_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEREGGRN_BASE_URL", "https://mirror.example/")
    assert base_url() == "https://mirror.example"
    monkeypatch.setenv("PEREGGRN_BASE_URL", "ftp://x")
    with pytest.raises(UsageError):
        base_url()


def test_the_user_agent_is_name_and_version() -> None:
    import pereggrn_data

    assert user_agent() == f"pereggrn-data/{pereggrn_data.__version__}"


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [(429, "7", 7), (503, "0", 0), (200, "7", None), (500, "7", None), (429, "soon", None)],
)
def test_retry_after_counts_where_it_means_something(
    status: int, header: str, seconds: float | None
) -> None:
    import requests

    response = requests.Response()
    response.status_code = status
    response.headers["Retry-After"] = header
    assert retry_after(response) == seconds


def test_retry_after_may_be_a_date() -> None:
    import requests

    response = requests.Response()
    response.status_code = 503
    response.headers["Retry-After"] = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert retry_after(response) == 0


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (Validator(5, "a"), Validator(5, "a"), False),
        (Validator(5, "a"), Validator(6, "a"), True),
        (Validator(5, "a"), Validator(5, "b"), True),
        (Validator(5, "a"), Validator(5), False),
        (Validator(5, None, "x"), Validator(5, None, "y"), True),
        (Validator(5, "a", "x"), Validator(5, "a", "y"), False),
        (Validator(5), Validator(5), False),
    ],
)
def test_validators(one: Validator, other: Validator, differ: bool) -> None:
    assert one.differs_from(other) is differ
    assert other.differs_from(one) is differ
