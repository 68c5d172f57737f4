"""Try one link and tell what came back, without judging it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pereggrn_data.core.errors import NetworkError
from pereggrn_data.loaders.remote.http import Http

TOLD = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "Last-Modified",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
)


@dataclass(frozen=True)
class Probed:
    """What a link answered.

    Parameters
    ----------
    failure
        Why there is no answer, or None.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    failure: str | None = None

    @property
    def answers_ranges(self) -> bool:
        """Whether a part was sent, whatever ``Accept-Ranges`` says."""
        return self.status == 206 and "Content-Range" in self.headers

    def describe(self) -> str:
        """Return status and headers as one line."""
        if self.failure:
            return self.failure
        told = ", ".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"status {self.status}; {told}"


def probe_link(http: Http, link: str, wanted: str) -> Probed:
    """Ask a link for a few bytes and read no body."""
    try:
        with http.get(link, headers={"Range": wanted}) as response:
            headers = {n: response.headers[n] for n in TOLD if n in response.headers}
            failure = None
            if response.status_code >= 400:
                failure = f"refused with status {response.status_code}; {headers}"
            return Probed(response.status_code, headers, failure)
    except NetworkError as error:
        return Probed(failure=" ".join(str(error).split()))
