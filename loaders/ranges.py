"""Ask for a part of a remote file, and check that the answer is that part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import NetworkError
from pereggrn_data.loaders.http import Http
from pereggrn_data.loaders.http_failures import (
    BlockedError,
    InterruptedTransferError,
    NotThereError,
    PassingError,
    check_status,
    is_html,
    transfer_failures,
)

if TYPE_CHECKING:
    import requests

CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+)")
CHUNK = 1 << 18


class RangesIgnoredError(NetworkError):
    """The server sends the whole file whatever part is asked for."""


class WrongRangeError(PassingError):
    """The server sent another part than the one asked for."""


@dataclass(frozen=True)
class Validator:
    """What tells whether a remote file is still the same.

    Parameters
    ----------
    size
        Of the whole file, in bytes.
    etag, last_modified
        As the server gives them, or None.
    """

    size: int
    etag: str | None = None
    last_modified: str | None = None

    def differs_from(self, other: Validator) -> bool:
        """Whether the two cannot belong to the same file; unknown parts never differ."""
        if self.size != other.size:
            return True
        if self.etag is not None and other.etag is not None:
            return self.etag != other.etag
        if self.last_modified is not None and other.last_modified is not None:
            return self.last_modified != other.last_modified
        return False


@dataclass
class Part:
    """A part of a file that is arriving.

    Parameters
    ----------
    start, stop
        Its bytes, `stop` excluded.
    """

    start: int
    stop: int
    validator: Validator
    response: requests.Response

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive.

        Raises
        ------
        InterruptedTransferError
            If they stop arriving before the end.
        """
        left = self.stop - self.start
        try:
            for chunk in self.response.iter_content(CHUNK):
                taken = chunk[:left]
                left -= len(taken)
                yield taken
                if not left:
                    return
        except transfer_failures() as error:
            raise InterruptedTransferError(
                f"The transfer broke off {left} bytes before its end.",
                got=f"{type(error).__name__}",
            ) from None
        if left:
            raise InterruptedTransferError(f"The body ended {left} bytes too early.")


@dataclass
class RemoteFile:
    """One file under one or several links.

    Parameters
    ----------
    http
        The session.
    links
        Tried in turn, once; the one that works is kept.
    """

    http: Http
    links: Sequence[str]

    def __post_init__(self) -> None:
        self._direct: str | None = None

    @contextmanager
    def part(self, start: int, stop: int) -> Iterator[Part]:
        """Ask for bytes `start` to `stop` (excluded); a server may send fewer.

        Raises
        ------
        RangesIgnoredError
            If the server would send everything; the body is not read.
        WrongRangeError
            If it sends another part.
        """
        with self._ask(f"bytes={start}-{stop - 1}") as response:
            part = _read_part(response)
            if part.start != start or part.stop > stop or part.stop <= start:
                raise _wrong(response, f"bytes {start}-{stop - 1}")
            yield part

    @contextmanager
    def tail(self, length: int) -> Iterator[Part]:
        """Ask for the last bytes; a shorter file comes whole."""
        with self._ask(f"bytes=-{length}") as response:
            part = _read_part(response)
            if part.stop != part.validator.size or part.stop - part.start > length:
                raise _wrong(response, f"the last {length} bytes")
            yield part

    @contextmanager
    def whole(self, offset: int, size: int) -> Iterator[Part]:
        """Ask for everything from `offset` on; the answer may start at 0 all the same.

        `size` is used where the server does not say how long the file is.
        """
        with self._ask(f"bytes={offset}-" if offset else None) as response:
            if response.status_code == 206:
                part = _read_part(response)
                if part.start != offset:
                    raise _wrong(response, f"bytes from {offset}")
                yield part
            else:
                yield _whole_body(response, size)

    @contextmanager
    def _ask(self, wanted: str | None) -> Iterator[requests.Response]:
        headers = {"Range": wanted} if wanted else {}
        refusals: list[NetworkError] = []
        for link in [self._direct, *self.links] if self._direct else self.links:
            with self.http.get(link, headers=headers) as response:
                try:
                    check_status(response)
                    _check_is_no_page(response)
                except (BlockedError, NotThereError, NetworkError) as error:
                    refusals.append(error)
                    self._direct = None
                    continue
                # Where a link was redirected, the next request goes there at once.
                self._direct = response.url
                yield response
                return
        raise _most_telling(refusals)


def _most_telling(refusals: Sequence[NetworkError]) -> NetworkError:
    """Choose the refusal to show: a block says nothing of the file, but hides what would."""
    for kind in (BlockedError, NotThereError, NetworkError):
        for refusal in refusals:
            if isinstance(refusal, kind):
                return refusal
    return NetworkError("There is no link to download from.")


def _check_is_no_page(response: requests.Response) -> None:
    if is_html(response):
        raise NetworkError(
            f"{response.url} answered with a web page instead of the file.",
            expected="the bytes of the file",
            got=response.headers.get("Content-Type"),
            fix="another program may be answering in its place (a proxy, a login page).",
        )
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", ""):
        raise NetworkError(
            f"{response.url} was compressed on the way, against our request.",
            expected="Content-Encoding: identity",
            got=encoding,
        )


def _read_part(response: requests.Response) -> Part:
    if response.status_code == 200:
        raise RangesIgnoredError(f"{response.url} cannot be read in parts.")
    header = response.headers.get("Content-Range", "")
    match = CONTENT_RANGE.fullmatch(header.strip())
    if response.status_code != 206 or match is None:
        raise _wrong(response, "a part of the file")
    start, last, size = (int(digits) for digits in match.groups())
    length = response.headers.get("Content-Length")
    if last >= size or (length is not None and length != str(last + 1 - start)):
        raise _wrong(response, "a Content-Range that fits its length")
    return Part(start, last + 1, _validator(response, size), response)


def _whole_body(response: requests.Response, size: int) -> Part:
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else size
    return Part(0, size, _validator(response, size), response)


def _validator(response: requests.Response, size: int) -> Validator:
    headers = response.headers
    return Validator(size, headers.get("ETag"), headers.get("Last-Modified"))


def _wrong(response: requests.Response, expected: str) -> WrongRangeError:
    got = response.headers.get("Content-Range") or f"status {response.status_code}"
    return WrongRangeError(
        f"{response.url} sent another part than the one asked for.",
        expected=expected,
        got=got,
        fix="a proxy on the way may be at fault; try again, or from another network.",
    )
