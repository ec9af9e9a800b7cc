"""Compiles and runs drain.c, the client that costs as little as it can."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.corpus import Blob

SOURCE = Path(__file__).with_name("drain.c")


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; -1 where nothing was answered."""

    p50: float
    p90: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class Drained:
    """What the clients saw."""

    seconds: float
    answered: int
    bytes: int
    failed: int
    wrong_bytes: int
    cut_short: int
    reconnects: int
    checked_bytes: int
    requests_per_second: float
    gigabytes_per_second: float
    client_cpu_seconds: float
    first_byte: Latency
    total: Latency
    statuses: dict[str, int]
    complaint: str


class DrainFailed(Exception):
    """The client itself could not work."""


def _latency(us: dict[str, float]) -> Latency:
    return Latency(*(us[name] / 1000 if us[name] >= 0 else -1.0 for name in ("p50", "p90", "p99", "worst")))


def _parse(text: str) -> Drained:
    seen: dict[str, Any] = json.loads(text)
    fields = {name: seen[name] for name in Drained.__slots__ if name in seen}
    return Drained(
        **{**fields, "first_byte": _latency(seen["first_byte_us"]), "total": _latency(seen["total_us"])}
    )


class Running:
    """Clients at work."""

    def __init__(self, process: subprocess.Popen[str], paths: Path) -> None:
        self._process = process
        self._paths = paths

    @property
    def over(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> Drained:
        out, err = self._process.communicate()
        self._paths.unlink(missing_ok=True)
        if self._process.returncode:
            raise DrainFailed(err)
        return _parse(out)

    def leave(self) -> None:
        """Hang up in the middle."""
        self._process.kill()
        self._process.communicate()
        self._paths.unlink(missing_ok=True)


class Drain:
    """`start` gives `Running`; `run` waits for it. Arguments are drain.c's options."""

    def __init__(self, folder: Path, cores: set[int] | None = None) -> None:
        self._folder = folder
        self._binary = folder / "drain"
        self.cores = cores
        folder.mkdir(parents=True, exist_ok=True)
        if not self._binary.exists() or self._binary.stat().st_mtime < SOURCE.stat().st_mtime:
            subprocess.run(
                ["cc", "-O2", "-o", str(self._binary), str(SOURCE), "-lssl", "-lcrypto"],
                check=True,
                timeout=120,
            )

    def start(
        self,
        port: int,
        paths: Iterable[tuple[str, int]],
        *,
        cores: set[int] | None = None,
        compare: Blob | None = None,
        header: str | None = None,
        **options: float | str | bool,
    ) -> Running:
        """`paths` with their sizes (-1: not checked), asked for in turn. Options: connections, seconds,
        requests, each, range, range_to, start, aligned, method, stampede, tls, expect, check, reconnect,
        timeout, read_rate, receive_buffer, seed."""
        handle, name = tempfile.mkstemp(dir=self._folder, prefix="paths-")
        with open(handle, "w") as file:
            file.writelines(f"{path} {size}\n" for path, size in paths)
        command = [str(self._binary), "--port", str(port), "--paths", name]
        if compare is not None:
            command += ["--compare", str(compare.file)]
        if header is not None:
            command += ["--header", header]
        for option, value in options.items():
            if value is not False:
                command.append(f"--{option.replace('_', '-')}")
                command += [] if value is True else [str(value)]
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores or self.cores or before)
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        finally:
            os.sched_setaffinity(0, before)
        return Running(process, Path(name))

    def run(self, port: int, paths: Iterable[tuple[str, int]], **options: Any) -> Drained:
        return self.start(port, paths, **options).wait()
