"""From one version of the program to the next: the supervisor becomes the new one, with its sockets and its children.

A process keeps its number, its children and the descriptors that it lets pass when it runs another program (execve(2)).
So the service manager sees nothing of it, nobody is refused, and the children of the old version finish their pulls.
What is handed over lies in a file without a name, as it holds the key of tokens.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import registry_mesh

VARIABLE: Final = "REGISTRY_MESH_HANDOVER"
"""Set in the environment where one version hands over: the descriptor of the file."""

_VERSION: Final = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)
_LONGEST: Final = 60.0
"""Seconds that a trial of the new version may take."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What the supervisor of one version leaves to that of the next."""

    number: int
    """Of the last generation."""
    listen: tuple[str, int]
    admin: tuple[str, int]
    serving: list[int]
    """Descriptors of the sockets for clients."""
    operating: int
    pids: list[int]
    """Children that serve until the next version does."""
    leaving: list[int]
    """Children that were told to end before, and finish their pulls."""
    key: str
    """What tokens are signed with, in base64; empty where none are."""

    @contextlib.contextmanager
    def given(self) -> Iterator[list[int]]:
        """Leave it, and the sockets, to the program that this process runs or becomes within: the descriptors that
        such a program needs. At the end all is as it was before."""
        file = os.memfd_create("handover")
        descriptors = [file, *self.serving, self.operating]
        try:
            os.write(file, json.dumps([getattr(self, name) for name in self.__slots__]).encode())
            for each in descriptors:
                os.set_inheritable(each, True)
            os.environ[VARIABLE] = str(file)
            yield descriptors
        finally:
            os.environ.pop(VARIABLE, None)
            for each in descriptors:
                os.set_inheritable(each, False)
            os.close(file)

    @classmethod
    def taken(cls) -> Handover | None:
        """What this process was left when it ran the version before; None where it began by itself."""
        if (given := os.environ.pop(VARIABLE, None)) is None:
            return None
        with os.fdopen(int(given), "rb") as file:
            file.seek(0)
            number, listen, admin, serving, operating, pids, leaving, key = json.load(file)
        for descriptor in (*serving, operating):
            os.set_inheritable(descriptor, False)
        return cls(number, tuple(listen), tuple(admin), serving, operating, pids, leaving, key)

    @property
    def secret(self) -> bytes | None:
        """What tokens are signed with."""
        return base64.b64decode(self.key) or None

    def sockets(self) -> tuple[list[socket.socket], socket.socket]:
        """For clients, and for the operator."""
        return [socket.socket(fileno=each) for each in self.serving], socket.socket(fileno=self.operating)


def installed() -> str:
    """The version that is installed now, which need not be that which runs; empty where none can be read."""
    try:
        found = _VERSION.search(Path(registry_mesh.__file__).read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[1] if found is not None else ""


def started_as(words: Sequence[str] | None = None) -> list[str] | None:
    """The words by which this process was started as `serve`; None where it was not, as in a test."""
    words = [sys.executable, *sys.orig_argv[1:]] if words is None else list(words)
    return words if "serve" in words[1:] else None


def tried(words: Sequence[str], descriptors: Sequence[int]) -> str:
    """Why the program as it is installed now could not take over; empty where it can. `words`: see `started_as`;
    `descriptors`: see `Handover.given`."""
    at = words.index("serve", 1) + 1
    command = [*words[:at], "--trial", *(word for word in words[at:] if word != "--adopt")]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LONGEST, check=False, pass_fds=descriptors
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        return f"the new version cannot be tried: {fault}"
    if done.returncode == 0:
        return ""
    said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return f"the new version cannot start: {said[-1].strip() if said else f'exit code {done.returncode}'}"
