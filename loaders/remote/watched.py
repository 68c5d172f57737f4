"""An end to everything that a server does slowly: connections that are cut from outside.

A timeout of a socket counts from byte to byte. A server that sends one byte a second, or
``100 Continue`` again and again, never runs into it: neither while TLS is agreed on, nor in
the headers, nor in a body. So a thread watches the clock, and shuts the connections of a
session down when their time is up; whoever reads from one then sees it break off.
"""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter


class TimeLimit:
    """The time that is left; see :meth:`Watch.limited`.

    Parameters
    ----------
    seconds
        From now on.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._end = time.monotonic() + seconds
        self.finished = threading.Event()

    def extend(self, seconds: float) -> None:
        """Let the time be `seconds` from now on."""
        self._end = time.monotonic() + seconds

    def wait(self) -> None:
        """Return when the time is up, or what it is for has finished."""
        while not self.finished.is_set():
            left = self._end - time.monotonic()
            if left <= 0:
                self.is_over = True
                return
            self.finished.wait(left)


class Watch:
    """The connections of one session, and the power to cut them."""

    def __init__(self) -> None:
        # A second handle on each socket: TLS takes the first one over, and a server that
        # closes after its answer has the first one closed while its body is still read.
        self._spare: set[socket.socket] = set()
        self._closed: set[socket.socket] = set()
        weakref.finalize(self, _close_all, self._spare)

    def opened(self, connection: socket.socket) -> socket.socket:
        """Note a connection; returns the handle that stands for it."""
        spare = connection.dup()
        self._spare.add(spare)
        return spare

    def closed(self, spare: socket.socket) -> None:
        """Note that a connection was closed by the session."""
        self._closed.add(spare)

    def let_go(self) -> None:
        """Forget the connections that were closed; nothing is read from them any more."""
        while self._closed:
            spare = self._closed.pop()
            self._spare.discard(spare)
            spare.close()

    def cut(self) -> None:
        """Shut all connections down."""
        for spare in tuple(self._spare):
            with suppress(OSError):
                spare.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[TimeLimit]:
        """Cut all connections if what is done here does not end in time.

        Parameters
        ----------
        seconds
            How long it may take; the limit that is given may be extended.
        """
        limit = TimeLimit(seconds)

        def watch() -> None:
            limit.wait()
            if limit.is_over:
                self.cut()

        thread = threading.Thread(target=watch, daemon=True, name="time limit")
        thread.start()
        try:
            yield limit
        finally:
            limit.finished.set()
            thread.join()


def _close_all(spare: set[socket.socket]) -> None:
    for handle in spare:
        handle.close()


def watched_session(watch: Watch) -> requests.Session:
    """Return a session whose connections are watched, and which follows no redirect itself.

    Whoever follows one can look at its target first; and requests would read all of the
    body of a redirect, however long it is.
    """

    class WatchedHTTP(_WatchedConnection, urllib3.connection.HTTPConnection):
        watch_of = watch

    class WatchedHTTPS(_WatchedConnection, urllib3.connection.HTTPSConnection):
        watch_of = watch

    class HTTPPool(urllib3.HTTPConnectionPool):
        ConnectionCls = WatchedHTTP

    class HTTPSPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = WatchedHTTPS

    pools = {"http": HTTPPool, "https": HTTPSPool}

    class WatchedAdapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            manager: Any = super().proxy_manager_for(proxy, **kwargs)
            if type(manager) is urllib3.ProxyManager:  # one of SOCKS has connections of its own
                manager.pool_classes_by_scheme = pools
            return manager

    class WatchedSession(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            del resp
            return None

    session = WatchedSession()
    for scheme in ("https://", "http://"):
        session.mount(scheme, WatchedAdapter())
    return session


def redirect_target(session: requests.Session, response: requests.Response) -> str | None:
    """Return where an answer sends us on to, or None if it does not."""
    return requests.Session.get_redirect_target(session, response)


class _WatchedConnection:
    """Tells a watch of each connection that is made and closed."""

    watch_of: Watch
    _handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        self._handle = self.watch_of.opened(made)
        return made

    def close(self) -> None:
        super().close()  # type: ignore[misc]
        if self._handle is not None:
            self.watch_of.closed(self._handle)
            self._handle = None
