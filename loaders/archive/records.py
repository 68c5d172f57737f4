"""The archive's API: which files a record has, their sizes and checksums."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urljoin

from pereggrn_data.catalog import Holds, LockedArchive, Release, ReleaseLock
from pereggrn_data.core.errors import NetworkError
from pereggrn_data.core.safe_names import is_safe_file_name
from pereggrn_data.loaders.remote import Http, NotThereError, base_url

MD5_DIGITS = 32


def look_up_record(http: Http, release: Release) -> ReleaseLock:
    """Ask the service for a record's files; the archives' contents are not looked up yet.

    A concept record is resolved to the version that it stands for now: the
    answer's `record` is that version.

    Raises
    ------
    NetworkError
        If there is no usable answer, or it is about another record.
    """
    url = f"{base_url()}/api/records/{release.record}"
    try:
        values = http.get_json(url)
    except NotThereError as error:
        raise NotThereError(
            f"Record {release.record} does not exist at {base_url()}.",
            got=error.what,
            fix="check the number after --release.",
        ) from None
    return parse_record(values, release, url)


def parse_record(values: Any, release: Release, url: str) -> ReleaseLock:
    """Read the API's answer, in its present shape or in that of late 2023.

    Raises
    ------
    NetworkError
        If it has neither shape.
    """
    if not isinstance(values, Mapping):
        raise _unusable(url, "a JSON object", type(values).__name__)
    record = str(values.get("id") or values.get("recid") or release.record)
    if record != release.record and release.holds is not Holds.CONCEPT:
        raise _unusable(url, f"record {release.record}", f"record {record}")
    if not (record.isascii() and record.isdigit()):
        raise _unusable(url, "a record number", repr(record)[:60])
    metadata = values.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    files = values.get("files")
    if isinstance(files, Mapping):
        entries = files.get("entries")
        files = list(entries.values()) if isinstance(entries, Mapping) else entries
    if not isinstance(files, list):
        raise _unusable(url, "a list of files", f"{files!r:.60}")
    return ReleaseLock(
        record=record,
        doi=_text(values.get("doi")) or _text(metadata.get("doi")) or release.doi,
        title=_text(metadata.get("title")) or _text(values.get("title")),
        licence=_licence(metadata),
        resolved=datetime.now(UTC).isoformat(timespec="seconds"),
        archives=tuple(_archive(file, url) for file in files),
        published=_date(metadata.get("publication_date")),
    )


def download_links(record: str, archive: LockedArchive) -> tuple[str, ...]:
    """Return the links under which a file of a record can be had, the best first."""
    page = f"{base_url()}/records/{record}/files/{quote(archive.key, safe='')}?download=1"
    return (page, archive.link) if archive.link else (page,)


def _archive(file: Any, url: str) -> LockedArchive:
    if not isinstance(file, Mapping):
        raise _unusable(url, "files as JSON objects", f"{file!r:.60}")
    key = file.get("key") or file.get("filename")
    size = file.get("size", file.get("filesize"))
    if not isinstance(key, str) or not is_safe_file_name(key):
        raise _unusable(url, "a file name", f"{key!r:.60}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _unusable(url, f"a size of {key}", f"{size!r:.60}")
    return LockedArchive(
        key=key, size=size, md5=_md5(file.get("checksum")), link=_link(file.get("links"), url)
    )


def _md5(checksum: Any) -> str | None:
    """Read ``md5:...`` or a bare md5; anything else is not known to us."""
    if not isinstance(checksum, str):
        return None
    digits = checksum.removeprefix("md5:").lower()
    is_md5 = len(digits) == MD5_DIGITS and not set(digits) - set("0123456789abcdef")
    return digits if is_md5 else None


def _link(links: Any, url: str) -> str | None:
    """Take ``links.self``, or the older ``links.download``, as an absolute address."""
    if not isinstance(links, Mapping):
        return None
    for name in ("self", "content", "download"):
        link = links.get(name)
        if isinstance(link, str) and link:
            absolute = urljoin(url, link)
            return absolute if absolute.startswith(("https://", "http://")) else None
    return None


def _licence(metadata: Mapping[str, Any]) -> str | None:
    licence = metadata.get("license")
    if isinstance(licence, Mapping):
        licence = licence.get("id")
    rights = metadata.get("rights")
    if licence is None and isinstance(rights, list) and rights and isinstance(rights[0], Mapping):
        licence = rights[0].get("id")
    return _text(licence)


def _date(value: Any) -> str | None:
    """Take a date as the service writes it: a year, a month or a day."""
    is_date = isinstance(value, str) and re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", value, re.A)
    return value if is_date else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _unusable(url: str, expected: str, got: str) -> NetworkError:
    return NetworkError(
        f"{url} answered something that we cannot use.",
        expected=expected,
        got=got,
        fix="the service may have changed its API; `pereggrn-data doctor --online` shows more.",
    )
