"""Which node is asked: a file, an address, the environment, the only one of the machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from registry_mesh.cli.main import main
from registry_mesh.cli.node import of_node

TOLD = {"node": "far", "verdict": "far serves. Nothing needs you.", "looked_at": 29, "findings": []}


class Far(BaseHTTPRequestHandler):
    """The admin listener of a node."""

    told: ClassVar[Mapping[str, Any]] = TOLD

    def do_GET(self) -> None:
        body = json.dumps(self.told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def far() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Far)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={of_node.VARIABLE: None, **environment})


@pytest.mark.parametrize("given", ["--node=URL", "--node URL", "URL", "environment", "--admin"])
def test_a_node_elsewhere_needs_no_file(far: str, given: str) -> None:
    if given == "environment":
        outcome = run("doctor", REGISTRY_MESH_NODE=far)
    elif given == "--admin":
        outcome = run("--admin", far, "doctor")
    else:
        outcome = run("doctor", *given.replace("URL", far + "/").split())
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert "far serves. Nothing needs you." in outcome.stdout
    asked = json.loads(run("doctor", "--json", "--node", far).stdout)
    assert (asked["schema"], asked["verdict"]["state"]) == ("registry-mesh/doctor/1", "well")


def test_where_nobody_is_named_and_nobody_is_there() -> None:
    outcome = run("status")
    assert outcome.exit_code == 3
    assert outcome.stderr.startswith(
        "No node answers on this machine.\n  Looked at /etc/registry-mesh/*.yaml"
    )


@pytest.mark.parametrize("command", ["status", "ls", "top", "evict"])
def test_an_option_that_is_none_is_told_before_a_node_is_looked_for(command: str) -> None:
    outcome = run(command, "--nope")
    assert outcome.exit_code == 2
    assert "No such option '--nope'" in outcome.stderr


def test_a_name_that_this_machine_does_not_have() -> None:
    outcome = run("status", "--node", "nobody")
    assert outcome.exit_code == 2
    assert "no node nobody on this machine: /etc/registry-mesh has none" in outcome.stderr


def test_a_file_is_a_file_wherever_it_stands(tmp_path: Path) -> None:
    assert run("doctor", str(tmp_path / "none.yaml")).exit_code == 2
    assert "no such file" in run("ls", "--sort", "size", str(tmp_path / "none.yaml"), "a/*").stderr.lower()


class Clients(Far):
    """The listener of a node where clients are served: it knows nothing of what operators ask."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


def test_the_clients_port_is_told_from_the_operator_s() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Clients) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        outcome = run("status", "--node", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert outcome.exit_code == 3
    assert "is where clients are served: name admin.address and admin.port" in outcome.stderr


@pytest.mark.parametrize("option", ["--node", "--admin"])
def test_an_address_without_its_scheme(option: str) -> None:
    words = [option, "cache.example:5001"]
    outcome = run("status", *words) if option == "--node" else run(*words, "status")
    assert outcome.exit_code == 2
    assert "a node elsewhere is named by its address: write http://cache.example:5001" in outcome.stderr


class Pulls(Far):
    """A node that records pulls; `asked` is what it was asked."""

    asked: ClassVar[list[str]] = []
    told: ClassVar[Mapping[str, Any]] = {"pulls": [], "began": "2026-01-01"}

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


class Unused(Pulls):
    """A node with three images of which nobody pulled any."""

    asked: ClassVar[list[str]] = []
    told: ClassVar[Mapping[str, Any]] = {
        "images": [
            {"name": f"r.example/{repository}:{tag}", "registry": "r.example", "repository": repository}
            | {"tag": tag, "digest": "sha256:" + "0" * 64}
            for repository, tag in (("atlas/app", "1"), ("atlas/app", "2"), ("cms/app", "1"))
        ],
        "pulls": [],
        "began": "2020-01-01",
        "last": [],
    }


def test_unused_images_are_those_that_are_named() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Unused) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        far = f"http://127.0.0.1:{server.server_port}"

        def unused(*more: str) -> list[str]:
            return run("who-pulled", "--node", far, "--unused", "1d", *more).stdout.splitlines()[1:]

        assert len(unused()) == 3
        assert [each.split()[0] for each in unused("atlas/app")] == [
            "r.example/atlas/app:1",
            "r.example/atlas/app:2",
        ]
        assert [each.split()[0] for each in unused("r.example/atlas/app:2")] == ["r.example/atlas/app:2"]
        nothing = run("who-pulled", "--node", far, "--unused", "1d", "atlas/other").stdout
        assert nothing.startswith("each image of atlas/other that is here was pulled since")
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unused", "1d", "--by", "who"), "leave out --by and --who"),
        (("--unused", "1d", "--who", "alice"), "leave out --by and --who"),
        (("sha256:13b9bc92fa80",), "is shortened; --format csv and json show digests whole"),
    ],
)
def test_who_pulled_says_what_it_would_not_heed(words: tuple[str, ...], said: str) -> None:
    outcome = run("who-pulled", "--node", "http://127.0.0.1:9", *words)
    assert (outcome.exit_code, said in outcome.stderr) == (2, True), outcome.stderr


def test_who_pulled_is_asked_of_a_node_elsewhere_too() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pulls) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        far = f"http://127.0.0.1:{server.server_port}"
        outcome = run("who-pulled", "--node", far, "registry.example/atlas/app:1.2", "--since", "2026-01-31")
        server.shutdown()
    assert (outcome.exit_code, outcome.stderr) == (1, "")
    assert "registry=registry.example&repository=atlas%2Fapp&reference=1.2" in Pulls.asked[0]
