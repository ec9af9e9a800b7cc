"""Three nodes as three services on loopback, in a directory that goes with them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from registry_mesh.cli.demo_parts.client import Unexpected, fetch_json

REGISTRY: Final = "registry.example"
_PATIENCE: Final = 30.0
_ANY_PORT: Final = ("127.0.0.1", 0)
_TAKE_OVER: Final = """
import fcntl, os, sys
given = [int(each) for each in sys.argv[1:3]]
held = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in given]  # above 3 and 4, which may be among the given
for each in given:
    os.close(each)
for at, each in enumerate(held, 3):
    os.dup2(each, at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(held)))
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Run a program that takes over two sockets as from a service manager (sd_listen_fds(3)): the address that a node is
told is never free for another program."""


@dataclass(frozen=True, slots=True)
class Node:
    """One running service."""

    role: str
    port: int
    admin_port: int
    config: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The node's address for clients."""
        return f"http://127.0.0.1:{self.port}"

    def sent(self) -> int:
        """Bytes of bodies that it has sent, by its own counters; without answers to pings, which nodes send each other
        now and then."""
        sent = self._counters().get("sent_bytes_total", {})
        return int(sum(size for endpoint, size in sent.items() if endpoint != "base"))

    def received(self) -> int:
        """The same, of bodies that it has received."""
        return int(sum(self._counters().get("received_bytes_total", {}).values()))

    def verify_store(self, count: int) -> str:
        """Hash every blob on its disk; there must be `count`. What the table says of it. `Unexpected`."""
        deadline = time.monotonic() + _PATIENCE
        while (
            len(
                paths := list(
                    (self.config.parent / self.role / "blobs" / "sha256").glob("*/" + "[0-9a-f]" * 64)
                )
            )
            < count
        ):
            if time.monotonic() > deadline:
                raise Unexpected(f"the {self.role} stored {len(paths)} blobs, not {count}")
            time.sleep(0.05)  # the last is being committed
        for path in paths:
            with path.open("rb") as data:
                found = hashlib.file_digest(data, "sha256").hexdigest()
            if found != path.name:
                raise Unexpected(f"the {self.role} stored sha256:{found} as sha256:{path.name}")
        return f"{len(paths)} right"

    def _counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = fetch_json(f"http://127.0.0.1:{self.admin_port}", "/status")["counters"]
        return counters


@contextmanager
def tree(directory: Path) -> Iterator[tuple[Node, Node, Node]]:
    """Origin, replica and site, ready; ended, by their process ids, on the way out."""
    (directory / "rules").mkdir()
    rule = {"name": "demo", "from": REGISTRY, "repos": ["demo/**"], "tags": ["*", "!*-dev"]}
    (directory / "rules" / "demo.yaml").write_text(
        json.dumps({"schema": "registry-mesh/rules/1", "rules": [rule]})
    )
    with ExitStack() as stack:
        origin = _start(
            stack, directory, {"role": "origin", "registry": REGISTRY, "access": {"anonymous": "push"}}
        )
        replica = _start(stack, directory, {
            "role": "replica", "rules": str(directory / "rules"), "replication": {"interval": "1h"},
            "registries": _registries(origin),
        })  # fmt: skip
        site = _start(stack, directory, {"role": "site", "registries": _registries(replica)})
        for node in (origin, replica, site):
            _await(node)
        yield origin, replica, site


def _registries(parent: Node) -> dict[str, Any]:
    return {REGISTRY: {"default": True, "parents": [[parent.url]]}}


def _start(stack: ExitStack, directory: Path, config: dict[str, Any]) -> Node:
    role = config["role"]
    path, log = directory / f"{role}.yaml", directory / f"{role}.log"
    with socket.create_server(_ANY_PORT) as clients, socket.create_server(_ANY_PORT) as operator:
        port, admin_port = clients.getsockname()[1], operator.getsockname()[1]
        whole = {
            **config, "name": f"demo-{role}", "workers": 1, "drain": "1s",
            "listen": {"address": "127.0.0.1", "port": port}, "admin": {"port": admin_port},
            "store": {"disk": {"path": str(directory / role)}},
        }  # fmt: skip
        path.write_text(json.dumps(whole))  # JSON is YAML
        held = clients.fileno(), operator.fileno()
        process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_OVER, *map(str, held), *command(), "serve", str(path)], pass_fds=held,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stack.enter_context(log.open("wb")),
            start_new_session=True,
        )  # fmt: skip
    stack.callback(_end, process)
    return Node(role, port, admin_port, path, log, process)


def command() -> Sequence[str]:
    """How this very program is called."""
    return sys.executable, "-m", "registry_mesh"


def replicate(replica: Node) -> None:
    """Let the rules run once."""
    done = subprocess.run(
        [*command(), "replicate", str(replica.config), "--once"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=_PATIENCE * 4, start_new_session=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Unexpected(f"replicate failed: {(done.stderr or done.stdout).strip()[-1000:]}")


def _await(node: Node) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if node.process.poll() is not None:
            break
        try:
            if fetch_json(f"http://127.0.0.1:{node.admin_port}", "/status")["ready"]:
                return
        except (OSError, Unexpected):
            pass
        time.sleep(0.05)
    tail = node.log.read_text(errors="replace")[-1000:]
    raise Unexpected(f"the {node.role} does not serve:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the session that we gave it, nothing else
        process.wait()
