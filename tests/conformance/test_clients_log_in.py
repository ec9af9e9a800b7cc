"""Every client that people have logs in, pushes, pulls, and is refused, by every kind of login, at one node."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import bcrypt
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from jwt.algorithms import ECAlgorithm

from tests.clients import chart_tools, nodes, programs
from tests.clients.daemons import CLIENTS, Containerd, Docker
from tests.clients.logins import Client, Done, Skopeo
from tests.clients.nodes import Node
from tests.clients.scripts import run
from tests.clients.workers import said_to_a_login
from tests.eventually import eventually_here
from tests.temporary import short_folder

pytestmark = [pytest.mark.client, pytest.mark.slow]

POLICIES = """
schema: registry-mesh/access/1
policies:
  - {name: people, repos: ["**", "!closed/**"], subjects: users, allow: push}
  - {name: jobs, repos: "ci/**", subjects: "ci:project:team", allow: push}
  - {name: pods, repos: "seed/**", subjects: "k8s:system:serviceaccount:prod:puller", allow: pull}
"""
PLUGIN = Path(__file__).parents[2] / "deploy" / "kubernetes" / "registry-mesh-credentials"
REFUSED = (
    "unauthorized",
    "authorization",
    "authentication",
    "401",
    "403",
    "denied",
    "Forbidden",
    "no basic auth",
    "invalid username",
    "requires a token",
)
"""What clients say of it, in their own words."""


class Issuer:
    """Makes tokens, and shows its keys at an address."""

    def __init__(self, issuer: str, audience: str) -> None:
        self.issuer, self.audience, self.number = issuer, audience, 0
        self.rotate()

    def rotate(self) -> None:
        self.number += 1
        self._key = generate_private_key(SECP256R1())

    def keys(self) -> bytes:
        public = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        return json.dumps({"keys": [{**public, "kid": str(self.number), "alg": "ES256"}]}).encode()

    def token(self, subject: str) -> str:
        claims = {"iss": self.issuer, "aud": self.audience, "sub": subject, "exp": int(time.time()) + 600}
        return jwt.encode(claims, self._key, "ES256", {"kid": str(self.number)})


@dataclass
class Place:
    """The node, what clients may push to it, and where each keeps its things."""

    node: Node
    folder: Path
    content: Path
    ci: Issuer
    k8s: Issuer

    def client(self, kind: type[Client], stack: ExitStack, name: str = "") -> Client:
        client = kind(self.folder / (name or kind.name), self.content, self.node.url.removeprefix("http://"))
        stack.callback(self._tell, client)
        if isinstance(client, Docker | Containerd):
            stack.enter_context(client.daemon())
        return client

    def _tell(self, client: Client) -> None:
        transcript = self.node.folder.parent / "transcripts"
        with transcript.open("a") as file:
            file.write("".join([f"=== {client.name}\n", *client.said]))

    def robot(self, name: str, *options: str) -> str:
        done = programs.run("robot", "create", self.node.config, name, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.rpartition("secret: ")[2].strip()

    def is_let_in(self, user: str, password: str) -> None:
        """In the end, by both workers: one may look at the files a moment after the other."""
        eventually_here(lambda: said_to_a_login(self.node, user, password) == {200}, user, pause=0.05)

    def is_kept_out(self, user: str, password: str) -> None:
        """In the end, by both."""
        eventually_here(lambda: said_to_a_login(self.node, user, password) == {401}, user, pause=0.05)


def helm() -> None:
    """Have it here."""
    if chart_tools.tool("helm") is None:
        chart_tools.install(chart_tools.beside())


@pytest.fixture(scope="module")
def place(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    helm()
    folder = tmp_path_factory.mktemp("logins")
    ci, k8s = Issuer("https://ci.example", "registry"), Issuer("https://k8s.example", "registry")
    with ExitStack() as stack:
        address = stack.enter_context(served(ci))
        (folder / "policies").mkdir()
        (folder / "policies" / "p.yaml").write_text(POLICIES)
        (folder / "robots").mkdir()
        (folder / "k8s.json").write_bytes(k8s.keys())
        argon2 = Argon2id(salt=b"salt" * 4, length=32, iterations=1, lanes=1, memory_cost=64)
        (folder / "users").write_text(
            f"alice:{bcrypt.hashpw(b'wonder', bcrypt.gensalt(5)).decode()}\n"
            f"bob:{argon2.derive_phc_encoded(b'builder')}\n"
        )
        access = {
            "users": str(folder / "users"),
            "robots": str(folder / "robots"),
            "policies": str(folder / "policies"),
            "issuers": {
                "ci": {"issuer": ci.issuer, "audience": "registry", "keys": address},
                "k8s": {"issuer": k8s.issuer, "audience": "registry", "keys": str(folder / "k8s.json")},
            },
        }
        node = stack.enter_context(nodes.origin(folder / "origin", access=access, workers=2))
        short = stack.enter_context(short_folder())
        make_content(folder / "content")
        place = Place(node, short, folder / "content", ci, k8s)
        seed = place.client(Skopeo, stack, "seed")
        assert seed.login("alice", "wonder").returncode == 0
        assert seed.push("seed/app").returncode == 0
        yield place


@contextmanager
def served(issuer: Issuer) -> Iterator[str]:
    """The address of its keys."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = issuer.keys()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


def make_content(folder: Path) -> None:
    """An image, as a layout and as an archive, a chart and a file."""
    (folder / "chart").mkdir(parents=True)
    (folder / "chart" / "Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.0.0\n")
    (folder / "file").write_text("a file")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(folder / "file", "file")
    blobs = folder / "image" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(data: bytes, kind: str) -> dict[str, object]:
        digest = sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(data),
        }

    layers = [add(layer.getvalue(), "layer.v1.tar")]
    fs = {"type": "layers", "diff_ids": [each["digest"] for each in layers]}
    config = add(
        json.dumps({"architecture": "amd64", "os": "linux", "rootfs": fs}).encode(), "config.v1+json"
    )
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
    }
    found = add(json.dumps(manifest | {"config": config, "layers": layers}).encode(), "manifest.v1+json")
    found["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (folder / "image" / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [found]}))
    (folder / "image" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    run("skopeo", "copy", "-q", f"oci:{folder / 'image'}:1", f"docker-archive:{folder / 'image.tar'}:made:1")


def passes(done: Done) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def is_refused(done: Done) -> None:
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert any(word.lower() in said.lower() for word in REFUSED), said


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.name)
def test_each_client_by_each_kind_of_login(kind: type[Client], place: Place) -> None:
    over = place.robot(f"over-{kind.name}", "--repo", "**", "--expires", "1s")
    reader = place.robot(  # who knows it knows the one before it
        f"reader-{kind.name}", "--repo", f"{kind.name}/**", "--repo", "seed/**", "--expires", "1h"
    )
    with ExitStack() as stack:
        client = place.client(kind, stack)
        own = f"{kind.name}/app"
        is_refused(client.pull("seed/app"))
        is_refused(client.login("alice", "wrong"))
        passes(client.login("alice", "wonder"))  # a password kept by bcrypt
        passes(client.push(own))
        passes(client.pull(own))
        is_refused(client.push("closed/app"))
        passes(client.login("bob", "builder"))  # by argon2
        passes(client.pull(own))
        place.is_let_in(f"robot$reader-{kind.name}", reader)
        passes(client.login(f"robot$reader-{kind.name}", reader))
        passes(client.pull(own))
        is_refused(client.push(f"{kind.name}/more/app"))
        place.is_kept_out(f"robot$over-{kind.name}", over)
        is_refused(client.login(f"robot$over-{kind.name}", over))
        client.logout()
        is_refused(client.pull(own))


def test_a_job_pushes_by_its_token_also_after_its_issuer_has_new_keys(place: Place) -> None:
    with ExitStack() as stack:
        client = place.client(Skopeo, stack, "job")
        for _ in range(2):
            place.is_let_in("token", place.ci.token("project:team"))
            passes(client.login("token", place.ci.token("project:team")))
            passes(client.push("ci/app"))
            is_refused(client.push("other/app"))
            is_refused(client.login("token", place.ci.token("project:others") + "x"))
            place.ci.rotate()


def test_a_pod_pulls_by_its_service_account_as_kubelet_does(place: Place) -> None:
    """KEP-4412: kubelet hands the pod's token to the plugin, and what that says to the image service."""
    image = place.node.url.removeprefix("http://") + "/seed/app:1"
    asked = {"image": image, "serviceAccountToken": place.k8s.token("system:serviceaccount:prod:puller")}
    asked |= {"kind": "CredentialProviderRequest", "serviceAccountAnnotations": {"image": "other.example/x"}}
    said = subprocess.run(
        [PLUGIN], input=json.dumps(asked, indent=1), capture_output=True, text=True, check=True
    )
    response = json.loads(said.stdout)
    assert response["kind"] == "CredentialProviderResponse" and response["cacheKeyType"] == "Registry"
    ((registry, login),) = response["auth"].items()
    assert registry == image.partition("/")[0]
    without = subprocess.run([PLUGIN], input=json.dumps({"image": image}), capture_output=True, text=True)
    assert without.returncode and "tokenAttributes" in without.stderr

    with ExitStack() as stack:
        client = place.client(Containerd, stack, "kubelet")
        assert isinstance(client, Containerd)
        passes(client.pull_by_hosts("seed/app", "Basic YWxpY2U6d29uZGVy"))
        is_refused(client.pull_by_hosts("seed/app", "Basic YWxpY2U6d3Jvbmc="))
        is_refused(client.pull_as_kubelet("seed/app"))
        is_refused(client.pull_as_kubelet("seed/app", login["username"], "x" + login["password"]))
        passes(client.pull_as_kubelet("seed/app", login["username"], login["password"]))


def test_a_revoked_robot_is_out_with_all_that_it_was_given(place: Place) -> None:
    secret = place.robot("late", "--repo", "**")
    with ExitStack() as stack:
        client = place.client(Skopeo, stack, "late")
        place.is_let_in("robot$late", secret)
        passes(client.login("robot$late", secret))
        passes(client.pull("seed/app"))
        assert programs.run("robot", "revoke", place.node.config, "late").returncode == 0
        place.is_kept_out("robot$late", secret)
        is_refused(client.pull("seed/app"))
        is_refused(client.login("robot$late", secret))
