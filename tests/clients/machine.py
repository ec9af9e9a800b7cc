"""A real systemd as process 1 of a machine of its own, with the program and its unit installed (systemd-root.sh)."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.eventually import eventually_here

_SCRIPT: Final = Path(__file__).with_name("systemd-root.sh")
_CANNOT: Final = 77


class NoMachineError(Exception):
    """Says why none can be had here."""


class Machine:
    """Its commands and its files. `first` is the process of ours that is its process 1."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.root = Path(f"/proc/{first}/root")
        self._enter = ("nsenter", "--target", str(first), "--all", "--root", "--wd=/", "--")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command in the machine, as root, to its end."""
        return subprocess.run([*self._enter, *words], capture_output=True, text=True, timeout=90, check=False)

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine that lives in `folder`, which is empty; NoMachineError. Nothing of it is left at the end."""
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [_SCRIPT, folder, sysconfig.get_path("platlib")],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        made = _begun(process, log)
        yield made
    finally:
        process.kill()  # and the kernel its process 1, with all that is below it
        process.wait()
        _forget_groups(process.pid)


def _begun(process: subprocess.Popen[bytes], log: Path) -> Machine:
    found: list[Machine] = []

    def runs() -> bool:
        if (code := process.poll()) is not None:
            said = log.read_text().strip()
            assert code == _CANNOT, f"exit {code}: {said}"
            raise NoMachineError(said)
        with suppress(OSError, ValueError):
            (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if Path(f"/proc/{first}/comm").read_text() == "systemd\n":  # before, its files are this machine's
                found[:] = [Machine(int(first))]
        return bool(found) and found[0].run("systemctl", "is-system-running").stdout.strip() == "running"

    eventually_here(runs, lambda: f"systemd to run: {log.read_text()}", 60, pause=0.1)
    return found[0]


def _forget_groups(process: int) -> None:
    """The control groups outlive their processes, which are about to end."""
    groups = [mounted / f"registry-mesh-{process}" for mounted in _mounted_cgroup2()]
    eventually_here(lambda: all(_is_removed(group) for group in groups), "the machine's processes to end")


def _is_removed(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
    return not group.exists()


def _mounted_cgroup2() -> list[Path]:
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(where) for _, where, kind, *_ in lines if kind == "cgroup2"]
