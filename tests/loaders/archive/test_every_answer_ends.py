"""Servers that answer slowly, oddly or without end: every request comes to one."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pereggrn_data.catalog import LockedArchive
from pereggrn_data.core.errors import NetworkError
from pereggrn_data.loaders.archive.transfer import ByteSpan, NoProgress, Transfer
from pereggrn_data.loaders.cache import Cache
from pereggrn_data.loaders.remote import Http, HttpSettings, RemoteFile, http, http_failures

SIZE = 100_000
DATA = bytes(range(250)) * (SIZE // 250)
IMPATIENT = HttpSettings(
    read_timeout=0.3, answer_limit=0.4, slowest=10_000, tries=2, backoff=0.01, longest_wait=1
)

Answer = Iterator[bytes]
"""What a server says, piece by piece; a short wait follows each of them."""


@contextmanager
def saying(*answers: Callable[[], Answer], pause: float = 0.02) -> Iterator[str]:
    """Serve these answers one after the other, the last again and again."""
    server = socket.create_server(("127.0.0.1", 0))
    turns = itertools.chain(answers, itertools.repeat(answers[-1]))
    ended = threading.Event()

    def talk(connection: socket.socket, answer: Callable[[], Answer]) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            for piece in answer():
                connection.sendall(piece)
                if ended.wait(pause):
                    return

    def listen() -> None:
        with suppress(OSError):
            while not ended.is_set():
                connection, _ = server.accept()
                threading.Thread(target=talk, args=(connection, next(turns)), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"
    finally:
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def for_ever(first: bytes, again: bytes) -> Callable[[], Answer]:
    return lambda: itertools.chain([first], itertools.repeat(again))


def part(start: int = 0, *, length: str | None = None, etag: str = "") -> bytes:
    length = str(SIZE - start) if length is None else length
    return (
        (
            f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{SIZE - 1}/{SIZE}\r\n"
            f"Content-Length: {length}\r\n{etag and f'ETag: {etag}'}\r\n\r\n"
        )
        .replace("\r\n\r\n\r\n", "\r\n\r\n")
        .encode()
    )


NO_END = {
    "100 Continue": for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers byte by byte": for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "nothing": for_ever(b"", b""),
    "redirect with an endless body": for_ever(
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", b"a" * 1000
    ),
    "body byte by byte": for_ever(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"a"),
    "chunk byte by byte": for_ever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "answer without end": for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 20_000),
}


@pytest.mark.parametrize("kind", NO_END)
def test_what_has_no_end_is_broken_off(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 100_000)
    with saying(NO_END[kind]) as url:
        monkeypatch.setenv("PEREGGRN_BASE_URL", url)
        session = Http(IMPATIENT)
        start = time.monotonic()
        with pytest.raises(NetworkError):
            session.get_json(url)
        session.close()
    assert time.monotonic() - start < 20  # of ends that would not come at all


ODD = {
    "length is no ASCII digit": part(length="²"),
    "length of 5,000 digits": part(length="9" * 5000),
    "whole, length is no ASCII digit": "HTTP/1.1 200 OK\r\nContent-Length: ²\r\n\r\n".encode(
        "latin-1"
    ),
    "whole, length of 5,000 digits": b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n"
    % (b"9" * 5000),
    "range of 5,000 digits": b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-%s/%s\r\n\r\n"
    % (b"9" * 5000, b"9" * 5000),
    "redirect to nothing": b"HTTP/1.1 302 Found\r\nLocation: http://[::\r\n\r\n",
    "redirect to itself": b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    "wait of 5,000 digits": b"HTTP/1.1 429 Later\r\nRetry-After: %s\r\n\r\n" % (b"9" * 5000),
    "wait until no date": b"HTTP/1.1 429 Later\r\nRetry-After: Mon, 99 Foo 99999999999\r\n\r\n",
    "no status": b"HTTP/1.1 two OK\r\n\r\n",
    "no HTTP": b"\x00\xff\x00",
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("whole", [False, True], ids=["part", "whole"])
def test_odd_headers_are_refused_or_ignored(
    kind: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with saying(lambda: iter([ODD[kind], b"a"]), pause=0) as url:
        monkeypatch.setenv("PEREGGRN_BASE_URL", url)
        session = Http(IMPATIENT)
        file = RemoteFile(session, [url])
        with (
            pytest.raises(NetworkError),
            file.whole(0, SIZE) if whole else file.part(0, SIZE) as got,
        ):
            assert b"".join(got.chunks())
        session.close()


def transfer(url: str, folder: Path, settings: HttpSettings = IMPATIENT) -> Transfer:
    archive = LockedArchive(key="a.zip", size=SIZE, md5=None, link=None)
    file = RemoteFile(Http(settings), [url])
    place, span = folder / "1" / "parts" / "a.part", ByteSpan(url, 0, SIZE)
    return Transfer(file, archive, span, place, lambda _: None, NoProgress(), Cache(folder))


def test_little_progress_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that break after less than is read at a time bring the file all the same."""

    def some(start: int) -> Callable[[], Answer]:
        return lambda: iter([part(start), DATA[start : start + 30_000]])

    with saying(*map(some, (0, 30_000, 60_000))) as url:
        monkeypatch.setenv("PEREGGRN_BASE_URL", url)
        for arrived in (30_000, 60_000, 90_000):
            begun = transfer(url, tmp_path, HttpSettings(tries=1, backoff=0))
            with pytest.raises(NetworkError, match="again and again"):
                begun.run()
            begun.file.http.close()
            assert begun.part.read_bytes() == DATA[:arrived]


def test_a_slow_body_keeps_what_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with saying(for_ever(part() + DATA[:500], b"a")) as url:
        monkeypatch.setenv("PEREGGRN_BASE_URL", url)
        begun = transfer(url, tmp_path, HttpSettings(read_timeout=0.2, tries=1, backoff=0))
        with pytest.raises(NetworkError, match=r"fewer than 200 bytes in 0 s") as caught:
            begun.run()
        begun.file.http.close()
    assert "goes on where it stopped" in str(caught.value)
    assert begun.part.read_bytes().startswith(DATA[:500])


def test_a_server_that_changes_its_mind_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer has another ETag, and breaks off far enough not to count as a failure."""
    tags = itertools.count()

    def other() -> Answer:
        return iter([part(etag=f'"{next(tags)}"'), DATA[:80_000]])

    def onward() -> Answer:
        return iter([part(80_000, etag=f'"{next(tags)}"'), b"x"])

    with saying(*[other, onward] * 20) as url:
        monkeypatch.setenv("PEREGGRN_BASE_URL", url)
        begun = transfer(url, tmp_path, HttpSettings(tries=3, backoff=0))
        with pytest.raises(NetworkError, match="had to start again"):
            begun.run()
        begun.file.http.close()


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), (" 7 ", 7), ("²", None), ("9" * 5000, None), ("-1", None)]
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert http_failures.whole_number(text) == number
