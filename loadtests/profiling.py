"""Where our own server spends its time, by py-spy, while it is measured."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from loadtests.ours import Mesh
from loadtests.processes import Server

_numbers = count()
IDLE = "_worker (concurrent/futures/thread.py)"
"""A thread that waits for work; py-spy takes it for a busy one."""


@contextmanager
def recorded(server: Server, folder: Path | None) -> Iterator[None]:
    """With a folder, and where the server is ours: collapsed stacks in a file there, and a summary beside it."""
    if folder is None or not isinstance(server, Mesh):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    stacks = (folder / f"{server.folder.name}-{next(_numbers)}.stacks").resolve()
    spy = Path(sys.executable).with_name("py-spy")
    options = [
        "--pid",
        str(server.pid),
        "--subprocesses",
        "--rate",
        "200",
        "--format",
        "raw",
        "--output",
        str(stacks),
    ]
    process = subprocess.Popen(
        [str(spy), "record", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(0.5)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        if stacks.exists():
            stacks.with_suffix(".txt").write_text(summary(stacks.read_text()))


def summary(stacks: str, most: int = 40) -> str:
    """Share of the samples, by function: on top of the stack, and anywhere in it."""
    top: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        if frames[-1] == IDLE:
            continue
        total += int(samples)
        top[frames[-1]] += int(samples)
        for frame in set(frames):
            within[frame] += int(samples)
    lines = [f"{total} samples"]
    for title, counts in (("on top", top), ("anywhere", within)):
        lines += ["", title] + [f"{n / max(1, total):7.1%}  {name}" for name, n in counts.most_common(most)]
    return "\n".join(lines) + "\n"
