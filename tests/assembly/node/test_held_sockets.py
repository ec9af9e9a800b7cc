"""Sockets that a service manager holds: who connects while a node is started again waits, and is not refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from registry_mesh.assembly.supervision.sockets import Sockets, taken_from
from registry_mesh.assembly.supervision.systemd import held_sockets
from registry_mesh.config.schema import Config
from tests.simulators.ports import free_port

START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="clients")
os.execv(sys.executable, [sys.executable, "-m", "registry_mesh", "serve", sys.argv[2]])
"""


@contextmanager
def served(config: Path, held: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """A node that is started as a service manager does that holds a socket for it."""
    words = [sys.executable, "-c", START, str(held.fileno()), str(config)]
    with (config.parent / "log").open("ab") as log:
        process = subprocess.Popen(words, pass_fds=[held.fileno()], stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(60) == 0


def status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return int(answer.status)


def test_nobody_is_refused_while_a_node_is_started_again(tmp_path: Path) -> None:
    config = tmp_path / "origin.yaml"
    with socket.create_server(("127.0.0.1", 0), backlog=64) as held, ThreadPoolExecutor(8) as pool:
        port = held.getsockname()[1]
        url = f"http://127.0.0.1:{port}/v2/"
        config.write_text(
            f"role: origin\nlisten: {{address: 127.0.0.1, port: {port}}}\nadmin: {{port: {free_port()}}}\n"
            f"workers: 2\nstore: {{disk: {{path: {tmp_path}/store}}}}\n"
        )
        for _ in range(2):
            waiting = [pool.submit(status, url) for _ in range(8)]  # nobody serves yet, or any more
            with served(config, held):
                assert [each.result() for each in waiting] == [200] * 8
    assert "the service manager listens where" not in (tmp_path / "log").read_text()


def test_sockets_of_another_process_are_not_taken() -> None:
    told = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "HOME": "/"}
    assert held_sockets(told) == []
    assert told == {"HOME": "/"}, "children are not meant either"
    assert held_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == []


def test_only_a_socket_at_the_address_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as other:
        held = [other, ours]
        assert taken_from(held, "127.0.0.1", ours.getsockname()[1]) == [ours]
        assert held == [other]
        assert taken_from(held, "0.0.0.0", other.getsockname()[1]) == []
        assert taken_from(held, "no.such.host.invalid", 5000) == []


def test_what_is_held_elsewhere_is_said_and_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = Config.model_validate(
        {
            "role": "origin",
            "listen": {"address": "127.0.0.1", "port": 0},
            "admin": {"port": 0},
            "store": {"disk": {"path": str(tmp_path)}},
        }
    )
    held = socket.create_server(("127.0.0.1", 0))
    sockets = Sockets.of(config, [held])
    try:
        assert held.fileno() == -1, "it is closed"
        assert held not in sockets.serving
    finally:
        sockets.close()
    assert "the service manager listens where the configuration does not" in caplog.text
