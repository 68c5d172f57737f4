"""What the answers of a server mean, as errors that say what to do."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import NetworkError

if TYPE_CHECKING:
    import requests

RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
RETRY_AFTER_STATUS = frozenset({429, 503})
"""The service sends ``Retry-After`` on successes too, where it means nothing."""


class OfflineError(NetworkError):
    """The network is needed, and ``--offline`` forbids it."""


class BlockedError(NetworkError):
    """The service refused us as a client, which says nothing about the file."""


class NotThereError(NetworkError):
    """The service says that there is no such thing (404 or 410)."""


class RangeRefusedError(NetworkError):
    """The server has no such part of the file (416)."""


class RangesIgnoredError(NetworkError):
    """The server sends the whole file whatever part is asked for."""


class WaitAskedError(NetworkError):
    """The service asks us to wait for longer than we do."""


class LinkTroubleError(NetworkError):
    """A link did not work after some tries; another one, or a later run, may."""


class UnsafeLinkError(NetworkError):
    """A connection that would not be encrypted, or whose certificate is not accepted."""


class PassingError(NetworkError):
    """A failure that may not happen again at the next try."""


class WrongRangeError(PassingError):
    """The server sent another part than the one asked for."""


class InterruptedTransferError(PassingError):
    """The connection broke in the middle; what has arrived is kept."""


def check_status(response: requests.Response) -> None:
    """Raise what a refusal means.

    Raises
    ------
    BlockedError
        403 with a page for people: the service blocks us.
    NotThereError
        404 or 410.
    NetworkError
        Any other status of 400 or more.
    """
    status, url = response.status_code, response.url
    if status < 400:
        return
    if status == 403 and is_html(response):
        raise BlockedError(
            f"{host_of(url)} blocked the request (403, with a web page).",
            got="this says nothing about whether the file exists",
            fix="wait a while, or try from another network; "
            "`pereggrn-data doctor --online` shows what is answered.",
        )
    if status in (404, 410):
        raise NotThereError(f"{url} does not exist (status {status}).")
    if status == 416:
        raise RangeRefusedError(f"{url} has no such part (status 416).")
    raise NetworkError(f"{url} was refused.", expected="status 200 or 206", got=f"status {status}")


def is_html(response: requests.Response) -> bool:
    """Whether an answer declares itself a web page."""
    return "text/html" in response.headers.get("Content-Type", "").lower()


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds that a 429 or 503 asks us to wait, or None."""
    text = response.headers.get("Retry-After", "").strip()
    if response.status_code not in RETRY_AFTER_STATUS or not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def not_encrypted(url: str, target: str) -> UnsafeLinkError:
    """Say that a host sends us from https to something else."""
    return UnsafeLinkError(
        f"{host_of(url)} sent us on to {target}, which is not encrypted.",
        expected="https",
        fix="check what answers in its place; nothing was downloaded.",
    )


def certificate_refused(url: str, error: BaseException) -> UnsafeLinkError | None:
    """Return the error for a certificate that is not accepted, which no second try mends."""
    import requests

    if not isinstance(error, requests.exceptions.SSLError) or "certif" not in str(error).lower():
        return None
    return UnsafeLinkError(
        f"{host_of(url)} has a certificate that is not accepted.",
        got=_short(error),
        fix="check what answers in its place; REQUESTS_CA_BUNDLE names your own authorities.",
    )


def unreachable(url: str, error: BaseException) -> LinkTroubleError:
    """Say that a host cannot be reached."""
    import requests

    fix = "check the connection and the proxy settings, and run the command again."
    if isinstance(error, requests.exceptions.SSLError):
        fix = "the certificate was not accepted; REQUESTS_CA_BUNDLE names your own authorities."
    return LinkTroubleError(f"{host_of(url)} cannot be reached.", got=_short(error), fix=fix)


def slow_answer(url: str, seconds: float) -> LinkTroubleError:
    """Say that an answer began, or did not, and never came to its body."""
    return LinkTroubleError(
        f"{host_of(url)} did not come to an answer.",
        expected=f"an answer within {seconds:.0f} s",
        got="none, or only the beginning of one",
        fix="run the command again later; what has arrived is kept.",
    )


def too_many_redirects(url: str) -> LinkTroubleError:
    """Say that a host sends us on and on."""
    return LinkTroubleError(
        f"{host_of(url)} sent us on again and again.",
        fix="run the command again later, or from another network.",
    )


def whole_number(text: str) -> int | None:
    """Return a number of bytes from a header, or None if it is none that could be meant."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def transfer_failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions that mean a connection broke while a body was read."""
    import requests
    import urllib3

    return (
        requests.exceptions.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.Timeout,
        urllib3.exceptions.HTTPError,
        ConnectionError,
        TimeoutError,
    )


def connection_failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions that mean a host could not be reached."""
    import requests

    return (requests.exceptions.ConnectionError, requests.exceptions.Timeout)


def wait_asked(url: str, status: int, asked: float) -> WaitAskedError:
    """Say that a server asks for a long pause, and when it may be asked again."""
    return WaitAskedError(
        f"{host_of(url)} asks us to wait (status {status}).",
        got=_duration(asked),
        fix=f"run the command again in {_duration(asked)}; what has arrived is kept.",
    )


def gave_up(url: str, status: int, attempts: int) -> LinkTroubleError:
    """Say that a server keeps refusing."""
    return LinkTroubleError(
        f"{host_of(url)} answered {status} {attempts} times in a row.",
        fix="run the command again later; what has arrived is kept.",
    )


def _duration(seconds: float) -> str:
    if seconds > 86_400:
        return "more than a day"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"


def host_of(url: str) -> str:
    """Return the host of an address, without a password that it may hold."""
    return url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
