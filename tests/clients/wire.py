"""A wire between two tiers (or a client and a tier): `wirelog.py` as a process, and what it wrote down."""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.eventually import eventually_here
from tests.simulators.ports import free_port

WIRELOG = Path(__file__).with_name("wirelog.py")


def answers(url: str) -> bool:
    """Whether it says 200."""
    return _status(url) == 200


def serves(url: str, tls: ssl.SSLContext | None = None) -> bool:
    """Whether it says 200, or that it wants a login first."""
    return _status(url, tls) in (200, 401)


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def _any_certificate() -> ssl.SSLContext:
    """Whose it is, tests of certificates ask."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _status(url: str, tls: ssl.SSLContext | None = None) -> int:
    """0 where nobody answers."""
    if tls is None and url.startswith("https:"):
        tls = _any_certificate()
    try:
        with urlopen(url, timeout=5, context=tls) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that crossed the wire."""

    method: str
    target: str
    status: int | None
    sent: int
    """Bytes of the body that went back to who asked."""
    headers: dict[str, Any]
    response: dict[str, str]
    fault: str | None

    @property
    def of_blob(self) -> bool:
        return "/blobs/sha" in self.target

    @property
    def of_manifest(self) -> bool:
        return "/manifests/" in self.target

    @property
    def digest(self) -> str | None:
        found = re.search(r"sha256:[0-9a-f]{64}", self.target)
        return found and found[0]


class Wire:
    """Leads to `upstream`; counts, and misbehaves as `fault` says. A context manager."""

    def __init__(self, upstream: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.upstream = upstream
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "wire.jsonl"
        self.log.touch()
        self._rules = folder / "rules.json"
        self.fault()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Wire:
        self.join()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def join(self) -> None:
        arguments = ["--listen", f"127.0.0.1:{self.port}", "--upstream", self.upstream]
        arguments += ["--log", str(self.log), "--rules", str(self._rules)]
        self._process = subprocess.Popen([sys.executable, WIRELOG, *arguments], stdin=subprocess.DEVNULL)
        eventually_here(lambda: self._accepts(), "the wire")

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def cut(self) -> None:
        """From now on connections are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def fault(self, *rules: dict[str, Any]) -> None:
        """Misbehave by these rules (see wirelog.py) from now on; by none, behave."""
        fresh = self._rules.with_suffix(".new")
        fresh.write_text(json.dumps(rules))
        fresh.replace(self._rules)

    def seen(self) -> list[Seen]:
        """Everything since the last `forget` whose answer has come or broken off, in the order of ending."""
        return read_log(self.log)

    def forget(self) -> None:
        self.log.write_text("")


def read_log(path: Path) -> list[Seen]:
    """What wirelog.py wrote to a file; a line that is being written is left out."""
    lines = path.read_text().splitlines(keepends=True)
    return [
        Seen(
            r["method"], r["target"], r["status"], r["sent"], r["headers"], r.get("resp", {}), r.get("fault")
        )
        for r in map(json.loads, (line for line in lines if line.endswith("\n")))
    ]


def table(seen: Sequence[Seen]) -> str:
    """For failure messages."""
    return "\n".join(f"{s.method:5} {s.status} {s.sent:>10} {s.target} {s.fault or ''}" for s in seen)
