"""Speak HTTP to the archive's host politely: user agent, pace, retries, clear failures."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from pereggrn_data.core.errors import InvalidDataError, NetworkError, UsageError
from pereggrn_data.core.printable import without_password
from pereggrn_data.core.strict_json import loads
from pereggrn_data.core.version import software
from pereggrn_data.loaders.remote.http_failures import (
    RETRIED_STATUS,
    InterruptedTransferError,
    OfflineError,
    PassingError,
    certificate_refused,
    check_status,
    connection_failures,
    gave_up,
    host_of,
    not_encrypted,
    retry_after,
    slow_answer,
    too_many_redirects,
    transfer_failures,
    unreachable,
    wait_asked,
)

if TYPE_CHECKING:
    import requests

    from pereggrn_data.loaders.remote.watched import Watch

T = TypeVar("T")

BASE_URL_VARIABLE = "PEREGGRN_BASE_URL"
DEFAULT_BASE_URL = "https://zenodo.org"
CHUNK = 1 << 18
LARGEST_ANSWER = 1 << 26
"""Bytes of JSON: the record of ten thousand files has a few million."""

MOST_REDIRECTS = 20


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """How patient we are.

    Parameters
    ----------
    connect_timeout, read_timeout
        Seconds; the second is how long a transfer may stand still.
    answer_limit
        Seconds in which an answer must be complete up to its body, redirects included.
    slowest
        Bytes a second: a body that arrives more slowly, over `read_timeout`, is broken off.
    tries
        Attempts in a row that may fail.
    backoff
        Seconds before the second try; doubled each time.
    longest_wait
        Seconds. If the service asks for more, we give up and say so.
    api_interval
        Least seconds between two requests to the API.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    answer_limit: float = 60.0
    slowest: float = 1000.0
    tries: int = 5
    backoff: float = 1.0
    longest_wait: float = 60.0
    api_interval: float = 1.0


def base_url() -> str:
    """Return the host to talk to: ``PEREGGRN_BASE_URL``, else the public archive.

    Raises
    ------
    UsageError
        If it is not an http or https address.
    """
    url = os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    if not url.startswith(("https://", "http://")):
        raise UsageError(
            f"{BASE_URL_VARIABLE} is not an address.",
            expected="https://...",
            got=repr(without_password(url)),
        )
    return url.rstrip("/")


def is_https(url: str) -> bool:
    """Say whether an address is one of encrypted HTTP."""
    return url.lower().startswith("https://")


def user_agent() -> str:
    """Return how we introduce ourselves: name and version."""
    return software().replace(" ", "/")


@dataclass
class Http:
    """One session with the archive's host.

    Parameters
    ----------
    settings
        Timeouts and patience.
    offline
        Refuse every request.
    say
        Called with a sentence for each wait and each retry.
    pace
        Called before each request to the API; may wait.
    """

    settings: HttpSettings = HttpSettings()
    offline: bool = False
    say: Callable[[str], None] = lambda _: None
    pace: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._session: requests.Session | None = None
        self._watch: Watch | None = None

    def close(self) -> None:
        """Close all connections."""
        if self._session is not None and self._watch is not None:
            self._session.close()
            self._watch.let_go()
            self._session = None

    def get_json(self, url: str) -> Any:
        """Ask the API and parse its answer.

        Raises
        ------
        NetworkError
            If there is no answer, a refusal, or something that is not JSON.
        """
        return self.persist(lambda: self._get_json(url))

    def _get_json(self, url: str) -> Any:
        self.pace()
        with self.get(url, headers={"Accept": "application/json"}) as response:
            check_status(response)
            content = b""
            for chunk in self.body(response, decoded=True):
                content += chunk
                if len(content) > LARGEST_ANSWER:
                    raise NetworkError(
                        f"The answer of {host_of(url)} is too long.",
                        expected=f"at most {LARGEST_ANSWER} bytes",
                        fix="another program may be answering in its place.",
                    )
            try:
                return loads(content, url)
            except InvalidDataError:
                raise NetworkError(
                    f"{url} did not answer with JSON.",
                    expected="JSON",
                    got=response.headers.get("Content-Type", "no content type"),
                    fix="another program may be answering in its place (a proxy, a login page).",
                ) from None

    def body(self, response: requests.Response, *, decoded: bool = False) -> Iterator[bytes]:
        """Yield a body as it arrives: each piece at once, however small.

        Parameters
        ----------
        decoded
            Undo a compression.

        Raises
        ------
        InterruptedTransferError
            If it breaks off, or is slower than the settings say.
        """
        window, watch = self.settings.read_timeout, self._connected()[1]
        least = self.settings.slowest * window
        arrived = 0
        with watch.limited(window) as limit:
            try:
                while chunk := response.raw.read1(CHUNK, decode_content=decoded):
                    arrived += len(chunk)
                    if arrived >= least:
                        arrived = 0
                        limit.extend(window)
                    yield chunk
                if not limit.is_over:
                    return
                cause = "the end"
            except transfer_failures() as error:
                cause = type(error).__name__
        if limit.is_over:
            cause = f"fewer than {least:.0f} bytes in {window:.0f} s"
        raise InterruptedTransferError(
            f"The answer of {host_of(response.url)} broke off.", got=cause
        ) from None

    @contextmanager
    def get(
        self, url: str, *, headers: dict[str, str], tries: int | None = None
    ) -> Iterator[requests.Response]:
        """Send a GET request, again if that may help; the body is not read yet.

        `tries` is how often; by default as the settings say.

        Yields whatever answer is left after the retries, of any status but
        the retried ones.

        Raises
        ------
        OfflineError
            With ``--offline``.
        LinkTroubleError
            If the host cannot be reached, or keeps refusing.
        WaitAskedError
            If it asks to wait for long.
        """
        response = self._with_retries(url, headers, tries or self.settings.tries)
        try:
            yield response
        finally:
            response.close()
            if self._watch is not None:
                self._watch.let_go()

    def _with_retries(self, url: str, headers: dict[str, str], tries: int) -> requests.Response:
        if self.offline:
            raise OfflineError(f"{url} is needed, but --offline forbids it.")
        for attempt in range(1, tries + 1):
            last = attempt == tries
            try:
                response = self._send(url, headers)
            except connection_failures() as error:
                if (refused := certificate_refused(url, error)) is not None:
                    raise refused from None
                if last:
                    raise unreachable(url, error) from None
                self._wait(attempt, None, f"{host_of(url)} does not answer")
                continue
            except (OSError, ValueError, HTTPException) as error:
                # All of requests, a bad list of authorities, and headers that are none.
                raise unreachable(url, error) from None
            if response.status_code not in RETRIED_STATUS:
                return response
            asked = retry_after(response)
            reason = f"{host_of(url)} answered {response.status_code}"
            response.close()
            if asked is not None and asked > self.settings.longest_wait:
                raise wait_asked(url, response.status_code, asked)
            if last:
                raise gave_up(url, response.status_code, attempt)
            self._wait(attempt, asked, reason)
        raise UsageError("The number of tries must be 1 or more.")

    def _send(self, url: str, headers: dict[str, str]) -> requests.Response:
        # Links come from records, too: before a plain request is sent.
        if not is_https(url) and is_https(base_url()):
            raise not_encrypted(base_url(), url)
        session, watch = self._connected()
        with watch.limited(self.settings.answer_limit) as limit:
            try:
                return self._followed(session, url, headers)
            except connection_failures():
                if not limit.is_over:
                    raise
        raise slow_answer(url, self.settings.answer_limit)

    def _connected(self) -> tuple[requests.Session, Watch]:
        if self._session is None or self._watch is None:
            from pereggrn_data.loaders.remote.watched import Watch, watched_session

            self._watch = Watch()
            self._session = watched_session(self._watch)
            self._session.headers["User-Agent"] = user_agent()
            # A range counts bytes of the file, so nothing may compress it on the way.
            self._session.headers["Accept-Encoding"] = "identity"
        return self._session, self._watch

    def _followed(
        self, session: requests.Session, url: str, headers: dict[str, str]
    ) -> requests.Response:
        """Send a request, and follow redirects, but never from https to anything else."""
        from pereggrn_data.loaders.remote.watched import redirect_target

        timeout = (self.settings.connect_timeout, self.settings.read_timeout)
        for _ in range(MOST_REDIRECTS):
            response = session.get(url, headers=headers, stream=True, timeout=timeout)
            if is_https(url) and not is_https(response.url):
                response.close()
                raise not_encrypted(url, response.url)
            target = redirect_target(session, response)
            if target is None:
                return response
            response.close()
            onward = urljoin(response.url, target)
            if is_https(url) and not is_https(onward):
                raise not_encrypted(url, onward)
            url = onward
        raise too_many_redirects(url)

    def persist(self, action: Callable[[], T]) -> T:
        """Do something small again, as often as our patience lasts, while it breaks off.

        Raises
        ------
        PassingError
            The last one.
        """
        for attempt in range(1, self.settings.tries):
            try:
                return action()
            except PassingError as error:
                self._wait(attempt, None, error.what)
        return action()

    def wait_before_try(self, failures: int, reason: str) -> None:
        """Wait as long as is fitting after so many failures in a row."""
        self._wait(failures, None, reason)

    def _wait(self, attempt: int, asked: float | None, reason: str) -> None:
        backoff = self.settings.backoff * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311
        seconds = backoff if asked is None else max(asked, self.settings.backoff)
        self.say(f"{reason}; trying again in {seconds:.0f} s")
        time.sleep(seconds)
