"""Real nodes: `registry-mesh serve` as processes of their own, each in its own folder."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from tests.clients import programs
from tests.clients.programs import Program
from tests.clients.wire import serves
from tests.eventually import eventually_here
from tests.simulators.ports import free_port

REGISTRY = "registry.example"
"""The registry of every tree here, as clients name it."""

EVERYTHING = {
    "schema": "registry-mesh/rules/1",
    "rules": [{"name": "everything", "from": REGISTRY, "repos": ["**"], "tags": ["*"]}],
}


class Node:
    """One server: its configuration, its process, its log."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http{'s' if 'tls' in config.get('listen', {}) else ''}://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.log = folder / "log"
        self.config = folder / "node.yaml"
        self.change(config)
        self.within: tuple[str, ...] = ()
        """A command that starts the server, such as prlimit with its options."""
        self.environment: Mapping[str, str] = {}
        """Beside that of the tests."""
        self.tls: ssl.SSLContext | None = None
        """By which the tests believe it; None: as the machine does."""
        self.process: Program | subprocess.Popen[bytes] | None = None

    def change(self, config: Mapping[str, Any]) -> None:
        """Write the configuration; it holds from the next start."""
        whole = {
            "name": self.folder.name,
            "workers": 1,
            "admin": {"address": "127.0.0.1", "port": self.admin_port},
            "store": {"disk": {"path": str(self.folder / "store")}},
            **config,
            "listen": {"address": "127.0.0.1", "port": self.port, **config.get("listen", {})},
        }
        self.config.write_text(yaml.safe_dump(whole))

    def start(self) -> None:
        self.process = (
            self._within()
            if self.within
            else programs.start("serve", self.config, log=self.log, **self.environment)
        )
        try:
            eventually_here(self._up, f"{self.folder.name} to serve", 90)
        except BaseException:
            self.kill()
            raise

    def _within(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.within, sys.executable, "-m", "registry_mesh", "serve", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )

    def _up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.tail()}")
        return serves(f"{self.url}/v2/", self.tls)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.terminate()
        try:
            return process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"{self.folder.name} did not end on SIGTERM:\n{self.tail()}") from None

    def kill(self) -> None:
        """As a power cut: SIGKILL for the supervisor and all its processes, until none of them is left that could still
        accept or write."""
        if self.process is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            group, self.process = self.process.pid, None
            eventually_here(lambda: not _alive(group), f"{self.folder.name} to be dead")

    def children(self) -> set[int]:
        """The workers and the keeper, as the kernel knows them."""
        assert self.process is not None
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _alive(group: int) -> list[int]:
    """Processes of that group, but for those that have ended and that nobody has waited for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ends just now
            state, _, its, *_ = stat.read_text().rpartition(")")[2].split()
            if int(its) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def origin(folder: Path, **more: Any) -> Node:
    """Takes pushes from anyone here."""
    return Node(folder, {"role": "origin", "registry": REGISTRY, "access": {"anonymous": "admin"}, **more})


def replica(folder: Path, *parents: str, rules: Mapping[str, Any] = EVERYTHING, **more: Any) -> Node:
    """Copies what the rules select, every two seconds."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    (folder / "rules" / "rules.yaml").write_text(yaml.safe_dump(dict(rules)))
    config = {"role": "replica", "rules": str(folder / "rules"), "replication": {"interval": "2s"}}
    return Node(folder, {**config, "registries": registries(*parents), **more})


def site(folder: Path, *parents: str, **more: Any) -> Node:
    """Caches; each parent is a group of its own, in order."""
    return Node(folder, {"role": "site", "registries": registries(*parents), **more})


def registries(*parents: str, **more: Any) -> dict[str, Any]:
    return {REGISTRY: {"default": True, "parents": [[parent] for parent in parents], **more}}
