"""Exit codes mean the same at every command that asks a node."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.ports.marker import FORMAT, KEY, Marker
from registry_mesh.stores.disk.storage import records_below

ASKING = (
    ("status",), ("parents",), ("doctor",), ("ls",), ("du",), ("evict", "a/b:1", "--yes"), ("pin", "a/b:1"),
    ("refresh", "a/b:1"), ("preload", "a/b:1"), ("who-pulled", "a/b:1"),
)  # fmt: skip
"""Commands, and what they are given beside the configuration."""


def node(folder: Path, port: int) -> Path:
    config = folder / "site.yaml"
    config.write_text(
        f"role: site\nadmin: {{port: {port}}}\nstore: {{disk: {{path: {folder}/s}}}}\n"
        'registries: {r.example: {parents: [["http://p:1"]]}}\n'
    )
    return config


def run(config: Path, command: str, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [command, str(config), *words])
    return done.exit_code, done.stdout, done.stderr


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """A server at whose port every request is answered so."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("words", ASKING, ids=lambda words: words[0])
def test_where_no_node_answers(words: tuple[str, ...], tmp_path: Path) -> None:
    code, said, why = run(node(tmp_path, 9), *words)
    assert code == 3
    assert said == ""
    assert why.startswith("No node answers at 127.0.0.1:9: Connection refused.\n")
    assert "  Next: " in why


@pytest.mark.parametrize("words", ASKING, ids=lambda words: words[0])
def test_where_the_node_wants_a_login(words: tuple[str, ...], tmp_path: Path) -> None:
    with answering(401, b"a login is needed\n") as port:
        code, said, why = run(node(tmp_path, port), *words)
    assert code == 4
    assert said == ""
    assert why.startswith(f"The node at 127.0.0.1:{port} wants a login.\n")


@pytest.mark.parametrize("words", ASKING, ids=lambda words: words[0])
def test_where_the_file_is_wrong(words: tuple[str, ...], tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text("role: sit\n")
    code, _, why = run(config, *words)
    assert code == 2
    assert f"{config}:1:7: role: " in why


@pytest.mark.parametrize(
    ("state", "expected"), [("up", 0), ("unasked", 0), ("down", 1), ("silent", 1), ("throttled", 1)]
)
def test_parents_of_which_none_is_asked(state: str, expected: int, tmp_path: Path) -> None:
    parent = {"url": "http://p:1", "state": state, "since_seconds": 1, "next_try_seconds": None}
    parent |= {"latency_ms": None, "last_error": "", "quota_remaining": None}
    told = json.dumps({"registries": {"r.example": {"parents": [[parent]]}}})
    with answering(200, told.encode()) as port:
        assert run(node(tmp_path, port), "parents")[0] == expected


def test_nagios_is_told_that_nothing_is_known(tmp_path: Path) -> None:
    code, said, why = run(node(tmp_path, 9), "doctor", "--check")
    assert (code, why) == (3, "")
    assert said.startswith("UNKNOWN: No node answers at 127.0.0.1:9: Connection refused.")
    assert said.count("\n") == 1
    with answering(401, b"") as port:
        code, said, _ = run(node(tmp_path, port), "doctor", "--check")
    assert (code, said[:9]) == (3, "UNKNOWN: ")
    (tmp_path / "site.yaml").write_text("role: sit\n")
    code, said, _ = run(tmp_path / "site.yaml", "doctor", "--check")
    assert (code, said[:9]) == (3, "UNKNOWN: ")


def test_a_store_of_a_newer_version_is_why_no_node_answers(tmp_path: Path) -> None:
    config = node(tmp_path, 9)
    marker = Marker("site", "s", format=FORMAT + 1)
    asyncio.run(records_below(tmp_path / "s").put(KEY, marker.encode()))
    code, _, why = run(config, "doctor")
    assert code == 3
    assert "It cannot start: " in why
    assert "was written by a newer registry-mesh" in why


def test_interrupted_while_the_node_keeps_it_waiting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        config = node(tmp_path, nobody.getsockname()[1])
        words = [sys.executable, "-m", "registry_mesh", "ls", str(config)]
        with subprocess.Popen(
            words,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as asking:  # else a shell that runs the tests in its background has it ignored
            with nobody.accept()[0] as kept:
                kept.recv(1)
                asking.send_signal(signal.SIGINT)
                assert asking.communicate(timeout=60)[1] == "interrupted\n"
        assert asking.returncode == 130
