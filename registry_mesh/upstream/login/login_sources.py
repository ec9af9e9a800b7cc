"""Where logins come from: a file, a variable of the environment, a command."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from registry_mesh.tasks.threads import offload
from registry_mesh.upstream.login.command import CommandFailed, output_of
from registry_mesh.upstream.login.credentials import (
    LIMIT,
    CredentialsInvalid,
    Document,
    parse_answer,
    parse_document,
)

_NOT_FOUND: Final = b"credentials not found"
"""What credential helpers print where they keep nothing for a registry."""
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class LoginSource(Protocol):
    """A place of logins."""

    @property
    def name(self) -> str:
        """Return what logs call it: `file:/etc/hub.json`."""

    @property
    def lasting(self) -> float:
        """Return the seconds after which it is worth a look again."""

    @property
    def pause(self) -> float:
        """Return the seconds between two looks, at least."""

    async def read(self) -> Document | None:
        """Return what stands there; None where it is what was read before. `CredentialsInvalid`."""


@dataclass(slots=True)
class VariableSource:
    """A variable of the environment. It never changes."""

    variable: str
    lasting: float = float("inf")
    pause: float = float("inf")

    @property
    def name(self) -> str:
        """`env:` and the variable."""
        return f"env:{self.variable}"

    async def read(self) -> Document:
        """The login in the variable. `CredentialsInvalid` where it is not set, or holds none."""
        if self.variable not in os.environ:
            raise CredentialsInvalid("it is not in the environment")
        return parse_document(os.environ[self.variable])


@dataclass(slots=True)
class FileSource:
    """A file. Another file in its place, or another content, is a new login."""

    path: Path
    lasting: float = 5.0
    pause: float = 0.0
    _seen: tuple[int, ...] = field(default=(), init=False)

    @property
    def name(self) -> str:
        """`file:` and the path."""
        return f"file:{self.path}"

    async def read(self) -> Document | None:
        """What the file says, None where it has not changed. `CredentialsInvalid`."""
        text = await offload(self._changed)
        return replace(parse_document(text), text=text) if text is not None else None

    def _changed(self) -> str | None:
        """Return the content, where the file is another than last time."""
        try:
            with open(self.path, "rb", opener=_open) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise CredentialsInvalid("it is no regular file")
                seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                if seen == self._seen:
                    return None
                data = file.read(LIMIT + 1)
        except OSError as fault:
            self._seen = ()
            raise CredentialsInvalid(fault.strerror or type(fault).__name__) from None
        self._seen = seen
        if len(data) > LIMIT:
            raise CredentialsInvalid(f"it has more than {LIMIT} bytes")
        return data.decode("utf-8", "surrogateescape")


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe without a writer is no wait


@dataclass(slots=True)
class CommandSource:
    """A command that prints a login, as credential helpers do or in the words of a file."""

    command: tuple[str, ...]
    given: str = ""
    """A line for its standard input."""
    username: str = ""
    """Where not empty, what is printed is the password."""
    timeout: float = 10.0
    lasting: float = 600.0
    pause: float = 10.0
    clock: Callable[[], float] = time.time

    @property
    def name(self) -> str:
        """`command:` and the program."""
        return f"command:{self.command[0]}"

    async def read(self) -> Document:
        """What the command prints; an empty document where a credential helper knows nobody. `CredentialsInvalid`."""
        try:
            printed = await output_of(self.command, self.given, self.timeout)
        except CommandFailed as fault:
            if self.given and _NOT_FOUND in fault.printed[:1024].lower():
                return Document()
            raise CredentialsInvalid(f"it {fault}") from None
        return parse_answer(printed, self.username, self.clock())


def helper(name: str, server: str, timeout: float = 10.0, lasting: float = 600.0) -> CommandSource:
    """Return the source of a Docker credential helper: `docker-credential-NAME get`, asked for `server`.
    `CredentialsInvalid` where that is no name."""
    if not _HELPER.fullmatch(name):
        raise CredentialsInvalid(f"{name[:40]!r} is no name of a credential helper")
    return CommandSource((f"docker-credential-{name}", "get"), server, timeout=timeout, lasting=lasting)
