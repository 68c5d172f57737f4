"""A local server that behaves like the archive's service, and misbehaves on request."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

BLOCK = 1 << 16
PAGE = b"<!DOCTYPE html><html><body>Unusual traffic from your network.</body></html>"


@dataclass
class Faults:
    """How the server misbehaves. Counters run down to nothing; flags stay.

    Parameters
    ----------
    status
        Status codes to answer with, one request each, before behaving.
    retry_after
        Sent with those, and, as the real service does, with successes too.
    cut_after
        Bytes of a body after which the connection is closed; one body each.
    stall_after
        As `cut_after`, but the connection stays open and silent.
    corrupt
        How many bodies get one byte changed.
    page_link
        What the link of the web page answers to a request for a part, while
        the API's link behaves: ``whole``, ``wrong``, ``unsaid`` (no
        Content-Range), ``closed`` (no answer at all) or a status.
    api_link_status
        What the API's link answers, always.
    refuse_ranges
        Answer 416 to every request for a part.
    only_rest_ranges
        Ignore ranges, but those that go on to the end.
    """

    ranges: bool = True
    suffix_ranges: bool = True
    accept_ranges: str | None = "bytes"
    etag: bool = True
    last_modified: bool = True
    chunked: bool = False
    status: list[int] = field(default_factory=list)
    retry_after: str | None = None
    cut_after: list[int] = field(default_factory=list)
    stall_after: list[int] = field(default_factory=list)
    corrupt: int = 0
    wrong_content_range: int = 0
    block_with_page: bool = False
    block_without_agent: bool = True
    page_instead_of_file: bool = False
    page_link_missing: bool = False
    page_link: str | None = None
    api_link_status: int | None = None
    refuse_ranges: bool = False
    only_rest_ranges: bool = False
    redirect: bool = False
    wrong_md5: bool = False
    old_json: bool = False
    bytes_per_second: int | None = None
    delay: float = 0.0


@dataclass
class Seen:
    """One request, and how many bytes of body were sent for it."""

    path: str
    range: str | None
    agent: str
    status: int = 0
    sent: int = 0


class _QuietServer(ThreadingHTTPServer):
    """Does not print when a client leaves in the middle, which is what is tested."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class ArchiveServer:
    """Records with files, under the paths of the real service.

    Parameters
    ----------
    records
        Files by record number and key; a path is served from the disk.
    concepts
        From concept record to the version that it stands for.
    """

    def __init__(
        self,
        records: dict[str, dict[str, Path]],
        *,
        concepts: dict[str, str] | None = None,
        faults: Faults | None = None,
        licence: str = "cc-by-4.0",
    ) -> None:
        self.records = records
        self.concepts = concepts or {}
        self.faults = faults or Faults()
        self.licence = licence
        self.published: str | None = "2025-03-18"
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self.version = 1
        self.most_at_once = 0
        self.at_once = 0
        self._server = _QuietServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[ArchiveServer]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def etag(self, path: Path) -> str:
        text = f"{path}-{path.stat().st_size}-{self.version}"
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'

    def record_json(self, record: str) -> dict[str, object]:
        files = []
        for key, path in self.records[record].items():
            # Hashing a sparse archive of gigabytes would take longer than the test.
            digest = (
                hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324
                if path.stat().st_size < 1 << 30
                else None
            )
            if self.faults.wrong_md5:
                digest = "0" * 32
            link = f"{self.url}/api/records/{record}/files/{key}/content"
            size = path.stat().st_size
            if self.faults.old_json:
                files.append(
                    {
                        "filename": key,
                        "filesize": size,
                        "checksum": digest,
                        "links": {"download": link},
                    }
                )
            else:
                checksum = digest and f"md5:{digest}"
                files.append(
                    {"key": key, "size": size, "checksum": checksum, "links": {"self": link}}
                )
        metadata: dict[str, object] = {"title": "A collection", "license": {"id": self.licence}}
        if self.published:
            metadata["publication_date"] = self.published
        return {"id": int(record), "doi": f"10.5281/zenodo.{record}", "files": files} | {
            "metadata": metadata
        }

    def file_requests(self) -> list[Seen]:
        return [s for s in self.seen if "/files/" in s.path]

    def bytes_sent(self) -> int:
        return sum(s.sent for s in self.seen)


def _handler(server: ArchiveServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            seen = Seen(self.path, self.headers.get("Range"), self.headers.get("User-Agent", ""))
            with server.lock:
                server.seen.append(seen)
            self.seen = seen
            try:
                self.answer()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def answer(self) -> None:
            faults = server.faults
            if faults.block_without_agent and "python-requests" in self.seen.agent:
                return self.page(403)
            if faults.block_with_page:
                return self.page(403)
            with server.lock:
                status = faults.status.pop(0) if faults.status else None
            if status is not None:
                return self.text(status, b"{}", "application/json")
            path = unquote(urlsplit(self.path).path)
            if match := re.fullmatch(r"/api/records/(\d+)", path):
                return self.record(match[1])
            if match := re.fullmatch(r"/records/(\d+)/files/([^/]+)", path):
                if faults.page_link_missing:
                    return self.text(404, b"{}", "application/json")
                if faults.page_link and self.seen.range:
                    return self.misbehave(faults.page_link, match[1], match[2])
                if faults.redirect:
                    return self.redirect(f"/elsewhere/{match[1]}/{match[2]}")
                return self.file(match[1], match[2])
            if match := re.fullmatch(r"/api/records/(\d+)/files/([^/]+)/content", path):
                if faults.api_link_status:
                    return self.text(faults.api_link_status, b"{}", "application/json")
                return self.file(match[1], match[2])
            if match := re.fullmatch(r"/elsewhere/(\d+)/([^/]+)", path):
                return self.file(match[1], match[2])
            return self.text(404, b"{}", "application/json")

        def misbehave(self, how: str, record: str, key: str) -> None:
            path = server.records[record][key]
            if how == "closed":
                self.close_connection = True
            elif how == "whole":
                self.start(200)
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                self.send_body(path, 0, path.stat().st_size, chunked=False)
            elif how in ("wrong", "unsaid"):
                start, stop = self.asked_range(path.stat().st_size) or (0, 0)
                self.start(206)
                self.send_header("Content-Length", str(stop - start))
                if how == "wrong":
                    self.send_header("Content-Range", f"bytes 0-{stop - start - 1}/{stop + 7}")
                self.end_headers()
                self.send_body(path, start, stop, chunked=False)
            else:
                self.text(int(how), b"{}", "application/json")

        def record(self, record: str) -> None:
            if record in server.concepts:
                return self.redirect(f"/api/records/{server.concepts[record]}")
            if record not in server.records:
                return self.text(404, b'{"status": 404}', "application/json")
            body = json.dumps(server.record_json(record)).encode()
            return self.text(200, body, "application/json")

        def redirect(self, path: str) -> None:
            self.start(302)
            self.send_header("Location", path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def page(self, status: int) -> None:
            self.text(status, PAGE, "text/html; charset=utf-8")

        def start(self, status: int) -> None:
            self.seen.status = status
            self.send_response(status)
            self.send_header("X-RateLimit-Limit", "60")
            self.send_header("X-RateLimit-Remaining", "59")
            if server.faults.retry_after is not None:
                self.send_header("Retry-After", server.faults.retry_after)

        def text(self, status: int, body: bytes, kind: str) -> None:
            self.start(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.seen.sent += len(body)

        def file(self, record: str, key: str) -> None:
            faults = server.faults
            path = server.records.get(record, {}).get(key)
            if path is None:
                return self.text(404, b"{}", "application/json")
            if faults.page_instead_of_file:
                return self.page(200)
            with server.lock:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                time.sleep(faults.delay)
                self.send_file(path)
            finally:
                with server.lock:
                    server.at_once -= 1

        def send_file(self, path: Path) -> None:
            faults, size = server.faults, path.stat().st_size
            asked = self.asked_range(size) if faults.ranges else None
            start, stop = asked or (0, size)
            if asked and (start >= size or faults.refuse_ranges):
                return self.text(416, b"", "application/json")
            self.start(206 if asked else 200)
            self.send_header("Content-Type", "application/octet-stream")
            if faults.chunked and not asked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(stop - start))
            if faults.accept_ranges:
                self.send_header("Accept-Ranges", faults.accept_ranges)
            if faults.etag:
                self.send_header("ETag", server.etag(path))
            if faults.last_modified:
                self.send_header(
                    "Last-Modified", self.date_time_string(1_700_000_000 + server.version)
                )
            if asked:
                shift = -self.take("wrong_content_range")
                self.send_header(
                    "Content-Range", f"bytes {start + shift}-{stop - 1 + shift}/{size}"
                )
            self.end_headers()
            self.send_body(path, start, stop, chunked=faults.chunked and not asked)
            return None

        def asked_range(self, size: int) -> tuple[int, int] | None:
            header = self.headers.get("Range")
            if header is None:
                return None
            if server.faults.only_rest_ranges and not re.fullmatch(r"bytes=\d+-", header):
                return None
            if match := re.fullmatch(r"bytes=-(\d+)", header):
                if not server.faults.suffix_ranges:
                    return size, size  # answered by 416
                return max(0, size - int(match[1])), size
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", header)
            if match is None:
                return None
            return int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)

        def take(self, name: str) -> int:
            with server.lock:
                left = getattr(server.faults, name)
                setattr(server.faults, name, max(0, left - 1))
            return 1 if left else 0

        def limit(self) -> tuple[int | None, Callable[[], None] | None]:
            with server.lock:
                if server.faults.cut_after:
                    return server.faults.cut_after.pop(0), None
                if server.faults.stall_after:
                    return server.faults.stall_after.pop(0), lambda: time.sleep(8)
            return None, None

        def send_body(self, path: Path, start: int, stop: int, *, chunked: bool) -> None:
            limit, then = self.limit()
            corrupt = self.take("corrupt")
            with path.open("rb") as file:
                file.seek(start)
                left = stop - start
                while left:
                    block = file.read(min(BLOCK, left))
                    left -= len(block)
                    if corrupt:
                        middle = len(block) // 2
                        block = (
                            block[:middle] + bytes([block[middle] ^ 0xFF]) + block[middle + 1 :]
                        )
                        corrupt = 0
                    if limit is not None and self.seen.sent + len(block) >= limit:
                        self.wfile.write(block[: limit - self.seen.sent])
                        self.wfile.flush()
                        self.seen.sent = limit
                        if then is not None:
                            then()
                        self.close_connection = True
                        return
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                    self.seen.sent += len(block)
                    if server.faults.bytes_per_second:
                        time.sleep(len(block) / server.faults.bytes_per_second)
                if chunked:
                    self.wfile.write(b"0\r\n\r\n")

    return Handler
