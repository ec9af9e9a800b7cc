"""Real clients log in, push, pull, and are refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.scripts import run

pytestmark = [pytest.mark.client, pytest.mark.slow]

CLIENTS = ("skopeo", "podman", "buildah")
PASSWORDS = {"alice": "wonder", "bob": "builder"}


@pytest.fixture(scope="module")
def origin(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Whoever logs in may push, nobody else may do anything; two workers."""
    folder = tmp_path_factory.mktemp("login")
    users = folder / "users"
    salt = bcrypt.gensalt(5)
    users.write_text(
        "".join(f"{u}:{bcrypt.hashpw(p.encode(), salt).decode()}\n" for u, p in PASSWORDS.items())
    )
    access = {"anonymous": "nothing", "authenticated": "push", "users": str(users)}
    with nodes.origin(folder / "origin", access=access, workers=2) as origin:
        yield origin


@pytest.fixture(scope="module")
def image(clients: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("image")
    run("umoci", "init", "--layout", folder / "img")
    run("umoci", "new", "--image", f"{folder / 'img'}:1")
    return f"oci:{folder / 'img'}:1"


def host(node: Node) -> str:
    return node.url.removeprefix("http://")


def login(
    client: str, node: Node, folder: Path, user: str, password: str
) -> subprocess.CompletedProcess[str]:
    command = [client, "login", "--tls-verify=false", "--authfile", str(folder / "auth.json")]
    command += ["--username", user, "--password", password, host(node)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def copy(image: str, node: Node, name: str, *options: str | Path) -> None:
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--dest-tls-verify=false",
        *options,
        image,
        f"docker://{host(node)}/{name}",
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_login_push_pull(client: str, origin: Node, image: str, tmp_path: Path) -> None:
    refused = login(client, origin, tmp_path, "alice", "wrong")
    assert refused.returncode, refused.stdout
    assert "invalid username/password" in refused.stderr
    accepted = login(client, origin, tmp_path, "alice", "wonder")
    assert accepted.returncode == 0, accepted.stderr
    assert "Login Succeeded!" in accepted.stdout
    copy(image, origin, f"{client}/app:1", "--dest-authfile", tmp_path / "auth.json")
    options = ["--tls-verify=false", "--authfile", str(tmp_path / "auth.json")]
    found = json.loads(run("skopeo", "inspect", *options, f"docker://{host(origin)}/{client}/app:1"))
    assert found["RepoTags"] == ["1"]


def test_without_a_login_nothing_is_told(origin: Node, image: str, tmp_path: Path) -> None:
    copy(image, origin, "team/app:1", "--dest-creds", "bob:builder")
    empty = tmp_path / "auth.json"
    empty.write_text("{}")
    for name in ("team/app:1", "team/nothing:1"):
        with pytest.raises(AssertionError, match="unauthorized: authentication required"):
            run(
                "skopeo",
                "inspect",
                "--tls-verify=false",
                "--authfile",
                empty,
                f"docker://{host(origin)}/{name}",
            )
    with pytest.raises(AssertionError, match="unauthorized"):
        copy(image, origin, "team/app:2", "--dest-authfile", empty)


def test_one_blob_is_mounted_from_another_repository(origin: Node, image: str, tmp_path: Path) -> None:
    """skopeo asks for a token for both: the mount is a read of the other one."""
    copy(image, origin, "one/app:1", "--dest-creds", "bob:builder")
    copy(
        f"docker://{host(origin)}/one/app:1",
        origin,
        "two/app:1",
        "--src-tls-verify=false",
        "--src-creds",
        "bob:builder",
        "--dest-creds",
        "bob:builder",
    )
