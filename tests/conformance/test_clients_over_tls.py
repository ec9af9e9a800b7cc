"""Real clients and a node that speaks TLS: whom they believe, and who they are by a login or by a certificate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bcrypt
import pytest
import trustme

from tests.clients import nodes
from tests.clients.daemons import CLIENTS, Containerd, Docker
from tests.clients.logins import Client, Helm, Oras, Skopeo
from tests.clients.nodes import Node
from tests.conformance.test_clients_log_in import helm, is_refused, make_content, passes
from tests.eventually import eventually_here
from tests.temporary import short_folder

pytestmark = [pytest.mark.client, pytest.mark.slow]

POLICIES = """
schema: registry-mesh/access/1
policies:
  - {name: people, repos: ["**", "!closed/**"], subjects: users, allow: push}
  - {name: runners, repos: "seed/**", subjects: "node:runner.example", allow: pull}
  - {name: runners bring, repos: "brought/**", subjects: "node:runner.example", allow: push}
"""
DISTRUST = ("unknown authority", "CERTIFICATE_VERIFY_FAILED", "certificate verify failed")
"""What clients say of a certificate whose authority they do not know."""
CERTIFIED = [kind for kind in CLIENTS if kind not in (Docker, Oras)]
"""Docker reads no certificates for a registry on loopback, and this client of ORAS never."""


@dataclass
class Sealed:
    """The node, and what clients are given: `believing` the node's authority, `showing` a certificate too, or believing
    `others`."""

    node: Node
    folder: Path
    content: Path
    believing: Path
    showing: Path
    others: Path

    def client(self, kind: type[Client], certificates: Path, stack: ExitStack, name: str = "") -> Client:
        host = self.node.url.removeprefix("https://")
        client = kind(self.folder / (name or kind.name), self.content, host, certificates)
        stack.callback(self._tell, client)
        if isinstance(client, Containerd):
            stack.enter_context(client.daemon())
        return client

    def _tell(self, client: Client) -> None:
        with (self.node.folder.parent / "transcripts").open("a") as file:
            file.write("".join([f"=== {client.name}\n", *client.said]))


def given(folder: Path, authority: trustme.CA, shown: trustme.LeafCert | None = None) -> Path:
    """Files as Docker, podman and their like name them."""
    folder.mkdir()
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    if shown is not None:
        shown.cert_chain_pems[0].write_to_path(str(folder / "client.cert"))
        shown.private_key_pem.write_to_path(str(folder / "client.key"))
    return folder


@pytest.fixture(scope="module")
def sealed(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    helm()
    folder = tmp_path_factory.mktemp("sealed")
    servers, runners = trustme.CA(), trustme.CA()
    server = given(folder / "server", runners, servers.issue_cert("127.0.0.1"))
    (folder / "users").write_text(f"alice:{bcrypt.hashpw(b'wonder', bcrypt.gensalt(5)).decode()}\n")
    (folder / "policies").mkdir()
    (folder / "policies" / "p.yaml").write_text(POLICIES)
    tls = {"certificate": server / "client.cert", "key": server / "client.key", "clients": server / "ca.crt"}
    access = {"users": str(folder / "users"), "policies": str(folder / "policies")}
    listen = {"tls": {name: str(file) for name, file in tls.items()}}
    with ExitStack() as stack:
        node = stack.enter_context(nodes.origin(folder / "origin", access=access, listen=listen))
        short = stack.enter_context(short_folder())
        make_content(folder / "content")
        sealed = Sealed(
            node,
            short,
            folder / "content",
            given(folder / "believing", servers),
            given(folder / "showing", servers, runners.issue_cert("runner.example")),
            given(folder / "others", trustme.CA()),
        )
        seed = sealed.client(Skopeo, sealed.believing, stack, "seed")
        passes(seed.login("alice", "wonder"))
        passes(seed.push("seed/app"))
        yield sealed


def distrusts(client: Client) -> bool:
    """Whether it says so of the certificate; on a busy machine it may give up before it sees one."""
    said = client.login("alice", "wonder")
    assert said.returncode != 0
    return any(words in said.stdout + said.stderr for words in DISTRUST)


@pytest.mark.parametrize("kind", [kind for kind in CLIENTS if kind is not Docker], ids=lambda kind: kind.name)
def test_a_login_over_tls(kind: type[Client], sealed: Sealed) -> None:
    with ExitStack() as stack:
        distrustful = sealed.client(kind, sealed.others, stack, f"{kind.name}-2")
        eventually_here(partial(distrusts, distrustful), "words about the certificate")

        client = sealed.client(kind, sealed.believing, stack)
        is_refused(client.pull("seed/app"))
        is_refused(client.login("alice", "wrong"))
        passes(client.login("alice", "wonder"))
        passes(client.push(f"{kind.name}/app"))
        passes(client.pull(f"{kind.name}/app"))
        is_refused(client.push("closed/app"))


@pytest.mark.parametrize("kind", CERTIFIED, ids=lambda kind: kind.name)
def test_a_certificate_is_a_login(kind: type[Client], sealed: Sealed) -> None:
    with ExitStack() as stack:
        client = sealed.client(kind, sealed.showing, stack, f"{kind.name}-3")
        brought = f"brought/{kind.name}/app"
        passes(client.push(brought))
        passes(client.pull(brought))
        is_refused(client.push(f"{kind.name}/more/app"))
        if kind is not Helm:  # what is there for it to pull is an image
            passes(client.pull("seed/app"))
        if isinstance(client, Containerd):
            passes(client.pull_as_kubelet("seed/app"))
