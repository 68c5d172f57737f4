"""A user's own SQL over networks, in a process that can be stopped and can write nothing."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from pereggrn_data.core.errors import PereggrnError, UsageError
from pereggrn_data.loaders.network.sources import EdgeFile, EdgeSource

CHILD = "pereggrn_data.loaders.network.sql.child"
GRACE_SECONDS = 5.0
"""For starting the process, and for stopping the query in it before it is killed."""

MOST = {"seconds": 86_400, "memory_mb": 2**24, "threads": 1024}
"""Upper ends of the limits: what is above them is a slip, or as good as no limit."""


@dataclass(frozen=True)
class Limits:
    """What a query may use.

    Parameters
    ----------
    seconds
        Time, after which the query is interrupted; at most a day.
    memory_mb
        Memory, in MiB, at most 2**24. Nothing is ever spilled to disk.
    threads
        Threads of DuckDB, at most 1,024.
    rows
        Rows of the result; more are an error, because a part would pass for the whole.

    Raises
    ------
    UsageError
        If a limit is not above 0, is above what is named here, or is not a number
        (a whole one, but for the time).
    """

    seconds: float = 30.0
    memory_mb: int = 2048
    threads: int = 2
    rows: int = 1_000_000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            whole = name != "seconds"
            kind, noun = (int, "a whole number") if whole else ((int, float), "a number")
            most = MOST.get(name, math.inf)
            # Written so that NaN fails.
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value <= most:
                upto = "" if most == math.inf else f" and at most {most:,}"
                raise UsageError(
                    f"The limit {name} is {value!r}.", expected=f"{noun} above 0{upto}"
                )


def run_sql(
    sql: str,
    sources: Iterable[EdgeSource],
    *,
    tables: Mapping[str, pa.Table] | None = None,
    limits: Limits | None = None,
) -> pa.Table:
    """Run one SELECT over networks.

    The query runs in a process of its own, in which DuckDB can reach no file,
    no network address and no extension, and change no setting: the edges are
    handed to it by Arrow, which only reads.

    Parameters
    ----------
    sql
        One SELECT statement. It sees the views ``edges`` (as stored) and
        ``edges_unique`` (duplicates merged as in a union of networks), both
        with the columns regulator, target, weight, cell_type, network and
        subnetwork.
    sources
        Files and tables of the networks.
    tables
        Further tables by name, such as ``obs``.
    limits
        Time, memory, threads and rows.

    Returns
    -------
    pyarrow.Table
        The result.

    Raises
    ------
    UsageError
        If the statement is not one SELECT, asks for what it may not have,
        fails, or exceeds a limit.
    """
    limits = limits or Limits()
    request = _request(sql, sources, tables or {}, limits)
    command = [sys.executable, "-P", "-W", "ignore", "-m", CHILD]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        try:
            out, noise = child.communicate(request, limits.seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            raise _too_slow(limits) from None
        finally:
            child.kill()
    if not out and child.returncode > 0:
        raise RuntimeError(f"{CHILD} failed: {noise.decode(errors='replace')[-2000:]}")
    return _answer(out, child.returncode, limits)


def _answer(out: bytes, code: int, limits: Limits) -> pa.Table:
    """Turn what the process wrote before it ended into a table or an error."""
    status, _, answer = out.partition(b"\n")
    if status == b"result":
        return pa.ipc.open_stream(answer).read_all()
    if status == b"slow":
        raise _too_slow(limits)
    if status == b"refused":
        raise UsageError(**json.loads(answer))
    if status == b"failed":
        raise PereggrnError(**json.loads(answer))
    raise UsageError(
        "The query was stopped, because it needed more memory than it may have.",
        expected=f"at most {limits.memory_mb} MiB",
        got=f"the process ended with code {code}",
        fix="ask for less at a time, or raise --memory.",
    )


def _request(
    sql: str, sources: Iterable[EdgeSource], tables: Mapping[str, pa.Table], limits: Limits
) -> bytes:
    """Say everything that the process needs: one line of JSON, then the tables."""
    parts: list[dict[str, Any]] = []
    payload: list[bytes] = []
    for source in sources:
        part: dict[str, Any] = {"network": source.network, "subnetwork": source.subnetwork}
        part["columns"] = sorted(source.columns)
        if isinstance(source, EdgeFile):
            part["path"] = str(source.path)
        else:
            payload.append(_ipc(source.table))
            part["bytes"] = len(payload[-1])
        parts.append(part)
    extra = {}
    for name, table in tables.items():
        payload.append(_ipc(table))
        extra[name] = len(payload[-1])
    try:
        head = {"sql": sql, "sources": parts, "tables": extra, "limits": asdict(limits)}
        sql.encode()
    except UnicodeEncodeError as error:
        raise UsageError("The query is not valid Unicode text.", expected="text") from error
    return json.dumps(head).encode() + b"\n" + b"".join(payload)


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _too_slow(limits: Limits) -> UsageError:
    return UsageError(
        f"The query was stopped after {limits.seconds:g} seconds.",
        expected="a result within the time limit",
        fix="ask for less at a time, or raise --time-limit.",
    )
