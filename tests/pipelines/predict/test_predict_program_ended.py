"""Programs that forecast end with all that they have started, also when we are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pereggrn_data.loaders.program.commands import run_limited
from pereggrn_data.loaders.program.processes import endings_noted

linux = pytest.mark.skipif(sys.platform != "linux", reason="found through /proc")

DAEMON = """
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(600)
"""


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet collected by whoever inherited it."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


def content(path: Path) -> str:
    """Return what is in a file as soon as there is something."""
    for _ in range(300):
        if path.is_file() and path.read_text():
            return path.read_text()
        time.sleep(0.1)
    raise TimeoutError(path)


@linux
@pytest.mark.parametrize("hangs", [True, False])
def test_a_daemon_ends_with_the_program(tmp_path: Path, hangs: bool) -> None:
    """Its parent has gone, and it is in a session of its own."""
    wait = (
        "time.sleep(600)"
        if hangs
        else f"while not os.path.exists({str(tmp_path / 'pid')!r}): pass"
    )
    arguments = [sys.executable, "-c", DAEMON + wait, str(tmp_path / "pid")]
    finished = run_limited(arguments, tmp_path / "log", seconds=2)
    assert finished.timed_out is hangs
    assert ended(int(content(tmp_path / "pid")))


def test_a_neighbour_does_not_end(tmp_path: Path) -> None:
    """What we have started otherwise is none of the program's."""
    with subprocess.Popen(["sleep", "600"]) as neighbour:
        run_limited(["true"], tmp_path / "log", seconds=10)
        assert neighbour.poll() is None
        neighbour.kill()


PREDICT = """
import sys
from pereggrn_data.cli.evaluate import main
sys.argv = ["pereggrn-eval", "predict", "demo", *sys.argv[1:]]
main()
"""


@linux
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGHUP, signal.SIGINT)),
    ],
)
def test_a_signal_ends_the_program_and_clears_up(tmp_path: Path, number: signal.Signals) -> None:
    temporary, pid, log = tmp_path / "temporary", tmp_path / "pid", tmp_path / "logs" / "log"
    temporary.mkdir()
    program = tmp_path / "m.sh"
    program.write_text(f"echo begun\necho $$ > {pid}\nsleep 600\n")
    with subprocess.Popen(
        [sys.executable, "-c", PREDICT, "--command", f"sh {program} {{dir}}", "--log", str(log)],
        env={**os.environ, "TMPDIR": str(temporary)},
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    ) as process:
        child = int(content(pid))
        assert log.read_text() == "begun\n"
        assert list(temporary.glob("pereggrn-*"))
        process.send_signal(number)
        process.wait(30)
    assert ended(child)
    assert list(temporary.glob("pereggrn-*")) == []
    assert process.returncode in ((130, -2) if number == signal.SIGINT else (128 + number,))


def test_handlers_are_restored_and_others_respected() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with endings_noted() as endings:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            endings.check()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_is_noted_until_somebody_asks() -> None:
    steps = []

    def use() -> None:
        with endings_noted() as endings:
            signal.raise_signal(signal.SIGTERM)
            steps.append("goes on")
            with pytest.raises(SystemExit):
                endings.check()
            steps.append("reaches the end")

    with pytest.raises(SystemExit) as caught:
        use()
    assert caught.value.code == 143
    assert steps == ["goes on", "reaches the end"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_other_threads_set_no_handlers() -> None:
    failures: list[Exception] = []

    def use() -> None:
        try:
            with endings_noted():
                assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures == []


@linux
def test_a_run_within_a_run_ends_with_the_outer_one(tmp_path: Path) -> None:
    """A daemon that an inner run has started carries both marks."""
    pid = tmp_path / "pid"
    (tmp_path / "daemon.py").write_text(DAEMON)
    inner = f"""
import os, subprocess, sys
from pereggrn_data.loaders.program.processes import marked_environment
command = [sys.executable, {str(tmp_path / "daemon.py")!r}, {str(pid)!r}]
subprocess.run(command, env=marked_environment("inner"), start_new_session=True)
"""
    run_limited([sys.executable, "-c", inner], tmp_path / "log", seconds=60)
    assert ended(int(content(pid)))


@linux
def test_impatience_while_a_program_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C a second time, while the container runtime is still asked to end."""
    pid = tmp_path / "pid"
    program = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    def again() -> None:
        content(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_limited([sys.executable, "-c", program], tmp_path / "log", seconds=0.5, end_also=again)
    assert ended(int(pid.read_text()))
