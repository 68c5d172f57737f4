"""Look at what can go wrong: the cache here, and the service with ``--online``."""

from __future__ import annotations

import os
import platform
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pereggrn_data.catalog import LockedArchive, load_catalog
from pereggrn_data.core.errors import PereggrnError
from pereggrn_data.loaders.archive import download_links
from pereggrn_data.loaders.cache import LOCKS, PARTS, SET_ASIDE, free_bytes, has_flock
from pereggrn_data.loaders.remote import HttpSettings, base_url, probe_link, user_agent
from pereggrn_data.pipelines.collection.service import Say, Service, open_service, silent

LITTLE_SPACE = 1 << 30


class Verdict(StrEnum):
    """How a check came out; ``info`` only tells."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    INFO = "info"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str


def doctor(
    *,
    online: bool = False,
    release: str | None = None,
    say: Say = silent,
    settings: HttpSettings | None = None,
) -> list[Check]:
    """Check the installation and the cache, and, if asked to, the service.

    Parameters
    ----------
    online
        Ask the service for a record and the first bytes of one of its files.
    """
    checks = [*_environment(), *_cache(release)]
    if online:
        service = open_service(release, say=say, settings=settings)
        try:
            checks += _online(service)
        finally:
            service.http.close()
    return checks


def _environment() -> Iterator[Check]:
    from importlib.metadata import version

    names = ("pereggrn-data", "anndata", "pandas", "duckdb", "pooch", "requests", "intake")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    yield Check("versions", Verdict.INFO, f"Python {platform.python_version()}, {versions}")
    yield Check("service", Verdict.INFO, base_url())
    yield Check("user agent", Verdict.INFO, user_agent())
    proxies = ", ".join(sorted(urllib.request.getproxies())) or "none"
    yield Check("proxies", Verdict.INFO, proxies)
    ours = [f"{n}={v}" for n, v in sorted(os.environ.items()) if n.startswith("PEREGGRN_")]
    yield Check("settings", Verdict.INFO, ", ".join(ours) or "none")


def _cache(release: str | None) -> Iterator[Check]:
    service = open_service(release, offline=True)
    cache, record = service.cache, service.files.release.record
    try:
        cache.make_folder(cache.root / LOCKS)
        with cache.locked("doctor"):
            pass
        yield Check("cache", Verdict.OK, f"{cache.root} can be written to and locked")
        if not has_flock(cache.root / LOCKS):
            text = "no flock here: a process that is killed leaves its lock, which stops others"
            yield Check("file locks", Verdict.WARNING, text)
    except (PereggrnError, OSError, NotImplementedError) as error:
        where = "" if cache.nowhere else f"{cache.root}: "
        yield Check("cache", Verdict.FAILURE, where + " ".join(str(error).split()))
    if cache.nowhere is None:
        free = free_bytes(cache.root)
        verdict = Verdict.OK if free > LITTLE_SPACE else Verdict.WARNING
        yield Check("disk", verdict, f"{free:,} bytes free")
    for name, what in ((PARTS, "unfinished transfers"), (SET_ASIDE, "files set aside")):
        left = [p for r in cache.records() for p in (cache.folder(r) / name).glob("*")]
        left = [p for p in left if p.suffix != ".json"]
        if left:
            text = f"{len(left)} {what}; `pereggrn-data cache clean` removes them"
            yield Check(name, Verdict.WARNING, text)
    known = service.files.known()
    text = f"{len(known.archives)} files, asked on {known.resolved}" if known else "not asked yet"
    yield Check(f"release {record}", Verdict.INFO, text)
    shipped = len(load_catalog().locks)
    yield Check("locks", Verdict.INFO, f"{shipped} releases are locked by this version")


def _online(service: Service) -> Iterator[Check]:
    record = service.files.release.record
    try:
        if not service.files.refresh(keep_indexes=True):
            service.files.lock()
        lock = service.files.lock()
    except PereggrnError as error:
        yield Check("API", Verdict.FAILURE, " ".join(str(error).split()))
        return
    sizes = ", ".join(f"{a.key} ({a.size:,} bytes)" for a in lock.archives) or "no files"
    yield Check("API", Verdict.OK, f"record {record}: {sizes}")
    without = ", ".join(a.key for a in lock.archives if a.md5 is None)
    if without:
        yield Check("checksums", Verdict.WARNING, f"the record has no md5 for {without}")
    zips = [a for a in lock.archives if a.key.lower().endswith(".zip")]
    if not zips:
        yield Check("archives", Verdict.FAILURE, "the record holds no zip archive")
        return
    yield from _links(service, lock.record, min(zips, key=lambda a: a.size))


def _links(service: Service, record: str, archive: LockedArchive) -> Iterator[Check]:
    for link in download_links(record, archive):
        for form, wanted in (("part", "bytes=0-3"), ("end", "bytes=-22")):
            probed = probe_link(service.http, link, wanted)
            verdict = Verdict.OK if probed.answers_ranges else Verdict.WARNING
            if probed.failure:
                verdict = Verdict.FAILURE
            yield Check(f"{form} of {archive.key}", verdict, f"{link}: {probed.describe()}")
