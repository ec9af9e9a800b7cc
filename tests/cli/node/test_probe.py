"""`probe` and `check-config --online` against real servers, right and wrong."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from registry_mesh.cli.main import main
from tests.simulators.ports import free_port


class Registry(http.server.BaseHTTPRequestHandler):
    """As much of a registry as is asked for here: one image of one layer, behind no login."""

    layer = b"x" * 100_000

    def do_GET(self) -> None:
        found = self.answers().get(self.path.partition("?")[0])
        kind, body = found or ("application/json", b"{}")
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def answers(self) -> dict[str, tuple[str, bytes]]:
        import hashlib

        digest = f"sha256:{hashlib.sha256(self.layer).hexdigest()}"
        part = {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest,
            "size": len(self.layer),
        }
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": kind, "config": part, "layers": [part]}
        ).encode()
        own = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        return {
            "/v2/": ("application/json", b"{}"),
            "/v2/team/app/manifests/1": (kind, manifest),
            f"/v2/team/app/manifests/{own}": (kind, manifest),
            f"/v2/team/app/blobs/{digest}": ("application/octet-stream", self.layer),
        }

    def log_message(self, *_: object) -> None:
        """Not to the terminal."""


class Page(Registry):
    """A web server that is no registry: every path is a page."""

    def answers(self) -> dict[str, tuple[str, bytes]]:
        return {self.path: ("text/html", b"<html>")}


class Locked(Registry):
    """Takes no login that we could have."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET


@contextmanager
def serving(kind: type[Registry], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def foreign() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def config(folder: Path, parent: str, more: str = "") -> Path:
    path = folder / "site.yaml"
    path.write_text(
        f"role: site\nstore: {{disk: {{path: {folder}/s}}}}\n"
        f"registries: {{r.example: {{parents: [[{parent}]]{more}}}}}\n"
    )
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_each_step_of_a_pull(tmp_path: Path) -> None:
    with serving(Registry) as port:
        path = config(tmp_path, f"http://127.0.0.1:{port}")
        shown = run("probe", path, "r.example/team/app:1")
        assert shown.exit_code == 0, shown.output
        steps = [line.split()[:2] for line in shown.stdout.splitlines()[1:]]
        assert steps == [["ok", name] for name in ("name", "connect", "/v2/", "tag", "bytes")]
        assert "100,000 bytes of sha256:" in shown.stdout
        assert run("probe", path, "team/app:1").exit_code == 0
        absent = run("probe", path, "team/app:2")
        assert absent.exit_code == 1
        assert "FAIL  tag" in absent.stdout
        assert run("probe", path, "other.example/team/app:1").exit_code == 2
        assert run("check-config", "--online", path).exit_code == 0


def test_who_is_no_registry(tmp_path: Path) -> None:
    with serving(Page) as port:
        path = config(tmp_path, f"http://127.0.0.1:{port}")
        shown = run("probe", path)
        assert shown.exit_code == 1
        assert "FAIL  /v2/" in shown.stdout
        assert "there is no registry at this address" in shown.stdout
        checked = run("check-config", "--online", path)
        assert checked.exit_code == 2
        assert checked.stderr.startswith(f"{path}:3:")
        assert "registries.r.example.parents[0][0]: /v2/: answers with a web page" in checked.stderr


def test_a_login_that_is_not_taken(tmp_path: Path) -> None:
    secret = tmp_path / "hub.json"
    secret.write_text("u:wrong")
    secret.chmod(0o600)
    with serving(Locked) as port:
        shown = run("probe", config(tmp_path, f"http://127.0.0.1:{port}", f", credentials: 'file:{secret}'"))
    assert shown.exit_code == 1
    assert "ok    /v2/" in shown.stdout
    assert "FAIL  login" in shown.stdout


@pytest.mark.parametrize(
    ("scheme", "tls", "step", "words"),
    [
        ("https", True, "TLS", "is signed by nobody that this node trusts"),
        ("https", False, "TLS", "speaks no TLS: plain HTTP on an https port?"),
    ],
)
def test_what_is_wrong_with_tls(
    tmp_path: Path, foreign: ssl.SSLContext, scheme: str, tls: bool, step: str, words: str
) -> None:
    with serving(Registry, foreign if tls else None) as port:
        shown = run("probe", config(tmp_path, f"{scheme}://127.0.0.1:{port}"))
    assert shown.exit_code == 1
    assert f"FAIL  {step}" in shown.stdout
    assert words in shown.stdout


@pytest.mark.parametrize(
    ("parent", "step", "words"),
    [
        (f"http://127.0.0.1:{free_port()}", "connect", "refuses connections"),
        ("http://no-such-host.invalid", "name", "no-such-host.invalid cannot be resolved by DNS"),
    ],
    ids=["refuses", "no name"],  # the port differs from run to run
)
def test_who_is_not_there(tmp_path: Path, parent: str, step: str, words: str) -> None:
    shown = run("probe", config(tmp_path, parent))
    assert shown.exit_code == 1
    assert f"FAIL  {step}" in shown.stdout
    assert words in shown.stdout


def test_a_proxy_that_is_not_there_is_named_as_such(tmp_path: Path) -> None:
    path = config(tmp_path, "http://far.example:5000", f", proxy: 'http://127.0.0.1:{free_port()}'")
    shown = run("probe", path)
    assert shown.exit_code == 1
    assert "FAIL  proxy" in shown.stdout
