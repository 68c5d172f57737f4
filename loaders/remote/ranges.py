"""Ask for a part of a remote file, and check that the answer is that part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import NetworkError
from pereggrn_data.loaders.remote.http import Http
from pereggrn_data.loaders.remote.http_failures import (
    BlockedError,
    InterruptedTransferError,
    LinkTroubleError,
    NotThereError,
    OfflineError,
    PassingError,
    RangeRefusedError,
    RangesIgnoredError,
    WaitAskedError,
    WrongRangeError,
    check_status,
    is_html,
    whole_number,
)

if TYPE_CHECKING:
    import requests

CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
LONGEST_TAG = 1000
"""Characters of what tells versions of a file apart; more is not kept."""

TRIES_PER_LINK = 2
"""Where there is another link, it has its turn after so many failures of one."""


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
    http: Http

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive.

        Raises
        ------
        InterruptedTransferError
            If they stop arriving before the end.
        """
        left = self.stop - self.start
        try:
            for chunk in self.http.body(self.response):
                taken = chunk[:left]
                left -= len(taken)
                yield taken
                if not left:
                    return
        except InterruptedTransferError as error:
            raise InterruptedTransferError(
                f"The transfer broke off {left} bytes before its end.", got=error.got
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
        Tried in turn; the one that gives what was asked for is kept.
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
            If no link gives parts: each would send everything (the body is
            not read), or refuses every part.
        WrongRangeError
            If another part is sent.
        """

        def read(response: requests.Response) -> Part:
            part = _read_part(self.http, response)
            if part.start != start or part.stop > stop or part.stop <= start:
                raise _wrong(response, f"bytes {start}-{stop - 1}")
            return part

        with ExitStack() as stack:
            try:
                part = stack.enter_context(self._ask(f"bytes={start}-{stop - 1}", read))
            except RangeRefusedError as error:
                raise RangesIgnoredError(error.what) from None
            yield part

    @contextmanager
    def tail(self, length: int) -> Iterator[Part]:
        """Ask for the last bytes; a shorter file comes whole."""

        def read(response: requests.Response) -> Part:
            part = _read_part(self.http, response)
            if part.stop != part.validator.size or part.stop - part.start > length:
                raise _wrong(response, f"the last {length} bytes")
            return part

        with self._ask(f"bytes=-{length}", read) as part:
            yield part

    @contextmanager
    def whole(self, offset: int, size: int) -> Iterator[Part]:
        """Ask for everything from `offset` on; the answer may start at 0 all the same.

        `size` is used where the server does not say how long the file is.
        """

        def read(response: requests.Response) -> Part:
            if response.status_code != 206:
                return _whole_body(self.http, response, size)
            part = _read_part(self.http, response)
            if part.start != offset:
                raise _wrong(response, f"bytes from {offset}")
            return part

        with ExitStack() as stack:
            try:
                part = stack.enter_context(self._ask(f"bytes={offset}-" if offset else None, read))
            except RangeRefusedError:
                part = stack.enter_context(self._ask(None, read))
            yield part

    @contextmanager
    def _ask(
        self, wanted: str | None, read: Callable[[requests.Response], Part]
    ) -> Iterator[Part]:
        """Ask one link after the other, in several rounds while a link may recover."""
        tries = self.http.settings.tries
        per_link = tries if len(self.links) == 1 else min(TRIES_PER_LINK, tries)
        rounds = -(-tries // per_link)
        for turn in range(1, rounds + 1):
            refusals: list[NetworkError] = []
            for link in dict.fromkeys([self._direct or self.links[0], *self.links]):
                with ExitStack() as stack:
                    try:
                        part = self._ask_one(stack, link, wanted, read, per_link)
                    except (OfflineError, WaitAskedError):
                        raise
                    except NetworkError as error:
                        refusals.append(error)
                        continue
                    # Where a link was redirected, the next request goes there at once.
                    self._direct = part.response.url
                    yield part
                    return
            self._direct = None
            refusal = _most_telling(refusals)
            if turn == rounds or not isinstance(refusal, LinkTroubleError):
                raise refusal
            self.http.wait_before_try(turn, refusal.what)

    def _ask_one(
        self,
        stack: ExitStack,
        link: str,
        wanted: str | None,
        read: Callable[[requests.Response], Part],
        tries: int,
    ) -> Part:
        headers = {"Range": wanted} if wanted else {}
        response = stack.enter_context(self.http.get(link, headers=headers, tries=tries))
        check_status(response)
        _check_is_no_page(response)
        return read(response)


def _most_telling(refusals: Sequence[NetworkError]) -> NetworkError:
    """Choose the refusal to show: a block says nothing of the file, but hides what would.

    That parts are impossible is the verdict only where every link that has
    the file says so: the whole archive may be many times larger.
    """
    order = (
        BlockedError,
        LinkTroubleError,
        PassingError,
        RangeRefusedError,
        RangesIgnoredError,
        RangesIgnoredError,
        NotThereError,
        NetworkError,
    )
    return min(
        refusals, key=lambda r: next(i for i, kind in enumerate(order) if isinstance(r, kind))
    )


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


def _read_part(http: Http, response: requests.Response) -> Part:
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
    return Part(start, last + 1, _validator(response, size), response, http)


def _whole_body(http: Http, response: requests.Response, size: int) -> Part:
    length = whole_number(response.headers.get("Content-Length", ""))
    size = size if length is None else length
    return Part(0, size, _validator(response, size), response, http)


def _validator(response: requests.Response, size: int) -> Validator:
    found = (response.headers.get(name) for name in ("ETag", "Last-Modified"))
    etag, last_modified = (t if t is not None and len(t) <= LONGEST_TAG else None for t in found)
    return Validator(size, etag, last_modified)


def _wrong(response: requests.Response, expected: str) -> WrongRangeError:
    got = response.headers.get("Content-Range", "")[:100] or f"status {response.status_code}"
    return WrongRangeError(
        f"{response.url} sent another part than the one asked for.",
        expected=expected,
        got=got,
        fix="a proxy on the way may be at fault; try again, or from another network.",
    )
