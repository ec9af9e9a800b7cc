"""Marked secrets in each place that a configuration has for them: none is in anything that nodes write, say or send."""

from __future__ import annotations

import base64
import json
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner

from registry_mesh.access.tokens import new_key
from registry_mesh.auth.robots import digest as kept_digest
from registry_mesh.cli.main import main
from tests.clients import nodes
from tests.eventually import eventually_here
from tests.simulators.collector import Collector, collector
from tests.simulators.ports import free_port

DIGEST = "sha256:" + "a" * 64
MARKS = {
    name: f"rmr_MARK-{name}-7f3a91"
    for name in (
        "password", "wrong-password", "robot", "login-file", "login-variable", "login-command", "proxy", "webhook",
        "pseudonyms", "signature", "query", "bearer", "cookie",
    )
}  # fmt: skip


class Parent(BaseHTTPRequestHandler):
    """A registry that sends blobs elsewhere, by signed addresses where nobody is, and repeats logins in its errors."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        if self.path.startswith("/v2/a/blobs/"):
            address = f"http://127.0.0.1:{free_port()}/x?X-Amz-Signature={MARKS['signature']}"
            self.say(307, b"", Location=address)
        elif self.path == "/v2/":
            self.say(200, b"{}")
        else:
            told = f"your login is {self.headers.get('Authorization')}"
            body = {"errors": [{"code": "UNKNOWN", "message": told, "detail": told}]}
            self.say(500, json.dumps(body).encode())

    do_HEAD = do_GET

    def say(self, status: int, body: bytes, **fields: str) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def parent() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Parent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def written(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def ask(url: str, method: str = "GET", body: bytes | None = None, **fields: str) -> str:
    """All of an answer, as text."""
    request = urllib.request.Request(url, data=body, method=method, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return f"{answer.headers}{answer.read().decode('utf-8', 'replace')}"
    except urllib.error.HTTPError as refused:
        return f"{refused.headers}{refused.read().decode('utf-8', 'replace')}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def origin(folder: Path, kept: Collector) -> nodes.Node:
    (folder / "robots").mkdir()
    robot = {
        "schema": "registry-mesh/robot/1",
        "name": "ci",
        "secret": kept_digest(MARKS["robot"]),
        "created": "2026-01-01T00:00:00Z",
        "expires": "2099-01-01T00:00:00Z",
        "allow": ["pull", "push"],
        "repos": ["**"],
    }
    written(folder / "robots" / "ci.json", json.dumps(robot))
    users = written(
        folder / "users", f"alice:{bcrypt.hashpw(MARKS['password'].encode(), bcrypt.gensalt(4)).decode()}\n"
    )
    receiver = {"url": f"http://127.0.0.1:{free_port()}/{MARKS['query']}", "secret": "env:WEBHOOK_KEY"}
    access = {
        "anonymous": "nothing",
        "authenticated": "admin",
        "users": users,
        "robots": str(folder / "robots"),
        "tokens": {"key": written(folder / "key.pem", new_key().decode())},
    }
    pulls = {"file": str(folder / "pulls"), "pseudonyms": written(folder / "pseudonyms", MARKS["pseudonyms"])}
    webhooks = {"queue": str(folder / "queue"), "receivers": {"ci": receiver}}
    node = nodes.origin(
        folder / "origin", access=access, pulls=pulls, webhooks=webhooks, log=logs(folder / "origin")
    )
    node.environment = {"WEBHOOK_KEY": MARKS["webhook"] * 2, "OTEL_EXPORTER_OTLP_ENDPOINT": kept.url}
    return node


def site(folder: Path, origin: str, bad: str, kept: Collector) -> nodes.Node:
    def login(mark: str) -> str:
        return json.dumps({"username": "robot$ci", "password": mark})

    command = folder / "print"
    command.write_text(f"#!/bin/sh\necho '{login(MARKS['login-command'])}'\n")
    command.chmod(0o700)
    proxy = f"http://me:{MARKS['proxy']}@127.0.0.1:{free_port()}"
    readers = {"readers": ["everybody"]}
    registries = {
        nodes.REGISTRY: {
            "default": True,
            "parents": [[origin]],
            "credentials": f"file:{written(folder / 'login', login(MARKS['robot']))}",
        },
        "file.example": {
            "parents": [[bad]],
            "credentials": f"file:{written(folder / 'bad', login(MARKS['login-file']))}",
        },
        "variable.example": {"parents": [[bad]], "credentials": "env:BAD_LOGIN"},
        "command.example": {"parents": [[bad]], "credentials": {"command": [str(command)]}},
        "proxied.example": {"parents": [["http://far.example"]], "proxy": proxy},
    }
    registries = {host: {**each, **readers} for host, each in registries.items()}
    node = nodes.Node(
        folder / "site", {"role": "site", "registries": registries, "log": logs(folder / "site")}
    )
    node.environment = {"BAD_LOGIN": login(MARKS["login-variable"]), "OTEL_EXPORTER_OTLP_ENDPOINT": kept.url}
    return node


def logs(folder: Path) -> dict[str, str]:
    return {"level": "debug", "access": str(folder) + ".access", "audit": str(folder) + ".audit"}


def talk(origin: nodes.Node, site: nodes.Node) -> Iterator[str]:
    """What both answer to clients, right and wrong, and to their operators."""
    blob = f"/v2/a/blobs/{DIGEST}"
    for who in (
        basic("alice", MARKS["password"]),
        basic("alice", MARKS["wrong-password"]),
        basic("robot$ci", MARKS["robot"]),
        f"Bearer {MARKS['bearer']}",
        f"Odd {MARKS['bearer']}",
    ):
        cookie = f"session={MARKS['cookie']}"
        for node, path in ((origin, "/v2/"), (origin, blob), (origin, "/v2/a/manifests/x"), (site, blob)):
            yield ask(node.url + path, Authorization=who, Cookie=cookie)
        # the answer holds a token, which is the caller's own
        ask(f"{origin.url}/token?service=origin&scope=repository:a:pull", Authorization=who)
    for host in ("file.example", "variable.example", "command.example", "proxied.example", nodes.REGISTRY):
        for path in (f"/v2/a/blobs/{DIGEST}", "/v2/a/manifests/latest", "/v2/a/tags/list", "/v2/b/tags/list"):
            yield ask(f"{site.url}{path}?ns={host}&token={MARKS['query']}")
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    yield ask(
        f"{origin.url}/v2/a/manifests/1",
        "PUT",
        json.dumps(index).encode(),
        Authorization=basic("alice", MARKS["password"]),
        **{"Content-Type": index["mediaType"]},
    )
    eventually_here(lambda: json.loads(ask_status(origin))["webhooks"][0]["why"], "the receiver to be missed")
    yield from operated(origin, site)


def operated(*asked: nodes.Node) -> Iterator[str]:
    """What nodes answer to their operators, and what commands say of them."""
    for node in asked:
        for path in (
            "/status",
            "/metrics",
            "/api/1/findings",
            "/api/1/events",
            "/api/1/pulls",
            "/api/1/images",
        ):
            yield ask(node.admin + path)
        for command in ("status", "doctor", "parents", "probe", "check-config", "who-pulled"):
            result = CliRunner().invoke(main, [command, str(node.config)], env=node.environment)
            yield f"{result.output}{result.exception!r}"
        yield reported(node)


def reported(node: nodes.Node) -> str:
    """The file that `doctor --report` writes, made where the node's variables are known."""
    command = ["doctor", str(node.config), "--network", "--report"]
    with tempfile.TemporaryDirectory(dir=node.folder) as folder, chdir(folder):
        result = CliRunner().invoke(main, command, env=node.environment)
        assert result.exit_code == 0, result.output
        (file,) = Path(folder).iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        told = json.loads(file.read_text())
        assert told["node"]["status"]["role"] == told["configuration"]["role"]
        assert told["network"]
        return result.output + file.read_text()


def ask_status(node: nodes.Node) -> str:
    with urllib.request.urlopen(f"{node.admin}/status", timeout=60) as answer:
        return str(answer.read().decode())


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue


def leaks(text: str, marks: dict[str, str]) -> set[str]:
    """The secrets that stand in a text, as they are or in base64 with any name before them."""
    found = {name for name, mark in marks.items() if mark in text}
    for name, mark in marks.items():
        for user in ("alice", "robot$ci", "me"):
            if base64.b64encode(f"{user}:{mark}".encode()).decode() in text:
                found.add(name)
    return found


def written_by(*writers: nodes.Node) -> dict[str, str]:
    """The logs of nodes."""
    return {
        str(path): path.read_text(errors="replace")
        for node in writers
        for path in (node.log, Path(f"{node.folder}.access"), Path(f"{node.folder}.audit"))
        if path.exists()
    }


@pytest.mark.slow
def test_no_secret_is_in_what_nodes_write_and_say(tmp_path: Path) -> None:
    assert leaks(f"x {basic('alice', MARKS['password'])}", MARKS) == {"password"}
    with ExitStack() as stack:
        kept = stack.enter_context(collector())
        bad = stack.enter_context(parent())
        above = origin(tmp_path, kept)
        below = site(tmp_path, above.url, bad, kept)
        for node in (above, below):
            node.within = ("env",)  # as commands of their own
            stack.enter_context(node)
        said = list(talk(above, below))
        lines = list(command_lines())
        assert any(str(below.config) in line for line in lines)
        for node in (above, below):
            assert node.stop() == 0
        files = written_by(above, below)
        spans = kept.raw.decode("utf-8", "replace")
        key = (tmp_path / "key.pem").read_text().splitlines()[1]
        marks = {**MARKS, "key": key}
        assert {name: found for name, text in files.items() if (found := leaks(text, marks))} == {}
        assert [found for text in said if (found := leaks(text, marks))] == []
        assert spans and leaks(spans, marks) == set()
        assert leaks("\n".join(lines), marks) == set()
        assert {name for name, text in files.items() if not text} <= {f"{below.folder}.audit"}
