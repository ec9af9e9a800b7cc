"""Processes that are measured: started on chosen cores, their CPU and memory read from /proc, always ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

TICK = os.sysconf("SC_CLK_TCK")
START_LIMIT = 60.0


class DidNotStart(Exception):
    """A server ended or stayed silent; the message carries the end of what it said."""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: [1] parent, [11..14] utime stime cutime cstime, [21] rss."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """`root` and all that descend from it, now."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(_stat(int(name))[1]), []).append(int(name))
            except (OSError, IndexError):
                continue
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, ()))
    return found


def cpu_seconds_of(pid: int) -> float:
    """User and system time of one process, its children left out; 0 when it is gone."""
    try:
        return sum(int(field) for field in _stat(pid)[11:13]) / TICK
    except (OSError, IndexError):
        return 0.0


def cpu_seconds(root: int) -> float:
    """User and system time of the tree, with that of its ended and reaped children."""
    total = 0
    for pid in tree(root):
        try:
            total += sum(int(field) for field in _stat(pid)[11:15])
        except (OSError, IndexError):
            continue
    return total / TICK


def machine_busy_seconds() -> float:
    """CPU time of everybody, and time stolen by the hypervisor, since boot."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / TICK


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of a process tree. `pss` divides shared pages among those who share them; `anonymous` is its own."""

    rss: float
    pss: float
    anonymous: float


def memory(root: int) -> Memory:
    sums = {"Rss": 0, "Pss": 0, "Pss_Anon": 0}
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name = line.partition(":")[0]
            if name in sums:
                sums[name] += int(line.split()[1])
    return Memory(sums["Rss"] / 1024, sums["Pss"] / 1024, sums["Pss_Anon"] / 1024)


def open_files(root: int) -> int:
    """File descriptors of the tree, sockets included."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += len(os.listdir(f"/proc/{pid}/fd"))
    return total


class Server:
    """A process tree that listens. Use as a context: it is gone afterwards."""

    def __init__(self, name: str, command: Sequence[str | Path], folder: Path, port: int) -> None:
        self.name = name
        self.port = port
        self.folder = folder
        self._command = [str(part) for part in command]
        self._process: subprocess.Popen[bytes] | None = None
        self.cores: set[int] | None = None
        self.environment: Mapping[str, str] = {}
        self.ready_seconds = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> Path:
        return self.folder / "said.txt"

    def start(self) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores or before)
        try:
            with open(self.said, "ab") as said:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    cwd=self.folder,
                    env={**os.environ, **self.environment},
                    start_new_session=True,
                )
        finally:
            os.sched_setaffinity(0, before)
        self._await_listening()
        self.ready_seconds = time.monotonic() - begun
        return self

    def _await_listening(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise DidNotStart(f"{self.name}: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.005)
        self.stop()
        raise DidNotStart(f"{self.name} does not listen: {self.last_words()}")

    def last_words(self) -> str:
        return self.said.read_text(errors="replace")[-2000:] if self.said.exists() else ""

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def memory(self) -> Memory:
        return memory(self.pid)

    def open_files(self) -> int:
        return open_files(self.pid)

    def kill(self) -> None:
        """As a power cut would: SIGKILL to every process of the tree."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        if self._process is None:
            return
        pids = tree(self.pid)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        for pid in pids:
            try:
                if pid == self.pid or os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        for pid in tree(self.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        assert self._process is not None
        self._process.wait()
        self._process = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
