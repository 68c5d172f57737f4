"""Describe a dataset or network for others: Croissant, as JSON-LD.

Croissant 1.0 is specified at https://docs.mlcommons.org/croissant/.
"""

from __future__ import annotations

import shlex
from typing import Any

from pereggrn_data.catalog import AnyEntry, Group, LockedArchive, LockedMember, load_catalog
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.archive import download_links
from pereggrn_data.loaders.cache import HashStore, KnownHash, find_cached
from pereggrn_data.pipelines.collection.service import Service, open_service

EXPORT_FORMATS = ("croissant",)
MEDIA_TYPES = {
    ".h5ad": "application/x-hdf5",
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".gz": "application/gzip",
    ".zip": "application/zip",
}
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def export_croissant(name: str, *, release: str | None = None) -> dict[str, Any]:
    """Describe a published entry in Croissant 1.0.

    Only checksums that are known are written: that of the archive, from the
    record, and those of files that have been fetched or locked.

    Raises
    ------
    UnknownNameError
        With near matches.
    UsageError
        If nothing is known yet about the release, or the entry is embedded.
    """
    entry = load_catalog().entry(name)
    if entry.group is Group.EMBEDDED:
        raise UsageError(f"{entry.name} is made when it is read: it has no files to describe.")
    cached = None if release else find_cached(entry)
    service = open_service(cached.record if cached else release, offline=True)
    archive, members = _place(service, entry)
    record = service.files.record
    lock = service.files.known()
    licence = entry.licence or (lock.licence if lock else None)
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": entry.name,
        "description": _description(entry),
        "url": f"https://doi.org/10.5281/zenodo.{record}",
        "version": record,
        "keywords": [str(entry.kind), *([entry.species_shown] if entry.species_shown else [])],
    }
    if licence:
        described["license"] = licence
    if lock is not None and lock.published:
        described["datePublished"] = lock.published
    if entry.citations:
        described["citeAs"] = "\n".join(c.bibtex() for c in entry.citations)
    hashes = HashStore(service.cache, record).all()
    described["distribution"] = [
        _archive_object(record, archive),
        *(
            _file_object(number, p, members[p], archive, hashes.get(p))
            for number, p in enumerate(sorted(members))
        ),
    ]
    return described


def _place(service: Service, entry: AnyEntry) -> tuple[LockedArchive, dict[str, LockedMember]]:
    place = service.files.known_place(entry)
    if place is not None and place.members:
        return place.archive, dict(place.members)
    raise UsageError(
        f"It is not known here yet which file of release {service.files.release.record} "
        f"holds {entry.name}, nor its checksum.",
        fix=f"pereggrn-data fetch {shlex.quote(entry.name)}, or pereggrn-data lock.",
    )


def _description(entry: AnyEntry) -> str:
    preprocessing = getattr(entry, "preprocessing", None)
    return " ".join(text for text in (entry.title, preprocessing, *entry.notes) if text)


def _archive_object(record: str, archive: LockedArchive) -> dict[str, Any]:
    described = {
        "@type": "cr:FileObject",
        "@id": archive.key,
        "name": archive.key,
        "contentUrl": download_links(record, archive)[0],
        "contentSize": f"{archive.size} B",
        "encodingFormat": MEDIA_TYPES[".zip"],
    }
    if archive.md5:
        described["md5"] = archive.md5
    return described


def _file_object(
    number: int,
    local: str,
    member: LockedMember,
    archive: LockedArchive,
    known: KnownHash | None,
) -> dict[str, Any]:
    suffix = local[local.rfind(".") :]
    described = {
        "@type": "cr:FileObject",
        "@id": f"file-{number}",  # file names may have spaces, which an id must not
        "name": local.rsplit("/", 1)[-1],
        "contentUrl": member.path,
        "containedIn": {"@id": archive.key},
        "contentSize": f"{member.size} B",
        "encodingFormat": MEDIA_TYPES.get(suffix, "application/octet-stream"),
    }
    sha256 = member.sha256 or (known.sha256 if known else None)
    if sha256:
        described["sha256"] = sha256
    return described
