"""What a node tells those who have not logged in, and mounts for those who have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.scripts import run

pytestmark = [pytest.mark.client, pytest.mark.slow]

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
