"""A process that runs commands in children of its own, which are killed or find the disk full.

Run with the folder that is watched. It reads one line of JSON for each command (``program``,
``arguments``, ``at``, ``kind``), and answers with one (``code``, ``calls``, ``said``). Calls that
name a file below the folder are counted, by Python's audit events, wherever they would change
something. After the call number ``at``,

- ``kill``: the process is killed by SIGKILL at the next such call;
- ``full``: nothing can be created or written any more.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import time
from typing import Any

PATIENCE = 120.0
CREATING = {"open", "os.mkdir"}
CHANGING = {
    *CREATING, "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.link",
    "os.symlink", "os.utime",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def main() -> None:
    folder = sys.argv[1]
    import pereggrn_data

    # Before the disk is full, and once for all children.
    for verb in ("split", "predict", "score"):
        getattr(pereggrn_data, verb)
    from pereggrn_data.loaders.files.any_file import writing
    from pereggrn_data.loaders.remote import HttpSettings
    from pereggrn_data.pipelines.collection import service

    settings = HttpSettings(api_interval=0, backoff=0.01)
    service.HttpSettings = lambda: settings
    writing._SETTLING = 0.0  # what a killed run has left may be removed at once
    for line in sys.stdin:
        print(json.dumps(run(folder, json.loads(line))), flush=True)


def run(folder: str, asked: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    hearing, saying = os.pipe()  # no file: it could be full as well
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(saying, 2)
        do(folder, asked, writing)
    os.close(writing)
    os.close(saying)
    code = waited(child)
    calls = int(os.read(reading, 100) or b"-1")
    with open(hearing, "rb") as heard:  # noqa: PTH123
        said = heard.read().decode(errors="replace")
    os.close(reading)
    return {"code": code, "calls": calls, "said": said}


def waited(child: int) -> int | str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hang"


def do(folder: str, asked: dict[str, Any], told: int) -> None:
    calls, at, kind = 0, asked["at"], asked["kind"]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        if event not in CHANGING:
            return
        path = arguments[0]
        if event == "open" and not (arguments[2] or 0) & WRITING:
            return
        if not isinstance(path, (str, bytes)) or not os.fsdecode(path).startswith(folder):
            return
        calls += 1
        if calls <= at:
            return
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if calls == at + 1:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        if event in CREATING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    code = 99
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.argv = [asked["program"], *asked["arguments"]]
    try:
        from pereggrn_data.cli.data import main as data
        from pereggrn_data.cli.evaluate import main as evaluate

        sys.addaudithook(hook)
        try:
            {"pereggrn-data": data, "pereggrn-eval": evaluate}[asked["program"]]()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        sys.stderr.flush()
    finally:
        os.write(told, str(calls).encode())
        os._exit(code)


if __name__ == "__main__":
    main()
