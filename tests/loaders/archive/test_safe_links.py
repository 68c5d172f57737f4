"""Once https, always https; a certificate is not tried again; no password is shown."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from pereggrn_data.core.errors import NetworkError, UsageError
from pereggrn_data.loaders.cache.folders import Cache
from pereggrn_data.loaders.remote import Http, base_url
from pereggrn_data.loaders.remote.http_failures import UnsafeLinkError


class Answers(requests.adapters.BaseAdapter):
    """Stands for the network: notes what is asked for."""

    def __init__(self, answers: dict[str, str | Exception]) -> None:
        super().__init__()
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:  # type: ignore[override]
        self.asked.append(request.url)
        answer = self.answers[str(request.url)]
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.url, response.request = str(request.url), request
        response.status_code = 302 if answer else 200
        response.headers["Location"] = answer
        response.raw = io.BytesIO()
        return response

    def close(self) -> None:
        pass


@contextmanager
def network(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, str | Exception]
) -> Iterator[tuple[Http, Answers]]:
    adapter = Answers(answers)
    monkeypatch.setattr(requests.Session, "get_adapter", lambda *_, **__: adapter)
    monkeypatch.delenv("PEREGGRN_BASE_URL", raising=False)
    http = Http()
    monkeypatch.setattr(http, "_wait", lambda *_: None)
    yield http, adapter
    http.close()


def test_no_plain_request_follows_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, str | Exception] = {
        "https://zenodo.org/x": "http://zenodo.org/y",
        "http://zenodo.org/y": "",
    }
    with (
        network(monkeypatch, answers) as (http, adapter),
        pytest.raises(UnsafeLinkError, match="not encrypted"),
        http.get("https://zenodo.org/x", headers={}),
    ):
        pass
    assert adapter.asked == ["https://zenodo.org/x"]


def test_no_plain_request_follows_a_link_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        network(monkeypatch, {}) as (http, adapter),
        pytest.raises(UnsafeLinkError, match="not encrypted"),
        http.get("http://zenodo.org/x", headers={}),
    ):
        pass
    assert adapter.asked == []


def test_encrypted_redirects_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, str | Exception] = {
        "https://zenodo.org/x": "https://files.example/y",
        "https://files.example/y": "",
    }
    with (
        network(monkeypatch, answers) as (http, _),
        http.get("https://zenodo.org/x", headers={}) as response,
    ):
        assert response.url == "https://files.example/y"


def test_a_certificate_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = requests.exceptions.SSLError("certificate verify failed: self-signed certificate")
    with (
        network(monkeypatch, {"https://zenodo.org/x": refused}) as (http, adapter),
        pytest.raises(UnsafeLinkError, match="certificate"),
        http.get("https://zenodo.org/x", headers={}),
    ):
        pass
    assert len(adapter.asked) == 1


def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    error = NetworkError("https://me:swordfish@host/x was refused.", got="http://a:swordfish@b/")
    assert "swordfish" not in str(error)
    assert "https://host/x was refused." in str(error)
    monkeypatch.setenv("PEREGGRN_BASE_URL", "ftp://me:swordfish@host/")
    with pytest.raises(UsageError) as caught:
        base_url()
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize("name", ["api", "api.time"])
def test_locks_and_stamps_that_are_links_are_not_followed(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    mine.chmod(0o600)
    os.utime(mine, (1, 1))
    cache = Cache(tmp_path / "cache")
    locks = cache.root / ".locks"
    locks.mkdir(parents=True)
    (locks / f"{name}.lock").symlink_to(mine)
    with pytest.raises(UsageError, match="is a link"):
        cache.pace(0)
    assert mine.read_text() == "precious"
    assert (mine.stat().st_mode & 0o777, mine.stat().st_mtime) == (0o600, 1)
