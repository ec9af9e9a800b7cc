"""The files of `client-config podman` for a registry that has a port, in the hands of the real skopeo and podman."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.scripts import run
from tests.temporary import short_folder

pytestmark = [pytest.mark.client, pytest.mark.slow]

NAMED = "registry.invalid:5443"
"""Found by nobody: what comes comes through the site."""


@pytest.fixture(scope="module")
def pushed(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """An origin with an image."""
    folder = tmp_path_factory.mktemp("port")
    run("umoci", "init", "--layout", folder / "img")
    run("umoci", "new", "--image", f"{folder / 'img'}:1")
    (folder / "tree").mkdir()
    (folder / "tree" / "data").write_bytes(os.urandom(300_000))
    run("tar", "-C", folder / "tree", "-cf", folder / "tar", ".")
    run("umoci", "raw", "add-layer", "--image", f"{folder / 'img'}:1", folder / "tar")
    with nodes.origin(folder / "origin", registry=NAMED) as origin:
        target = f"docker://{origin.url.removeprefix('http://')}/team/app:1"
        run(
            "skopeo",
            "--insecure-policy",
            "copy",
            "--dest-tls-verify=false",
            f"oci:{folder / 'img'}:1",
            target,
        )
        yield origin


@pytest.fixture
def configured(pushed: Node, tmp_path: Path) -> Iterator[Path]:
    """What `client-config podman` writes for a site that serves `NAMED` beside another registry."""
    served = {NAMED: {"parents": [[pushed.url]]}, "other.example": {"parents": [[pushed.url]]}}
    with nodes.site(tmp_path / "site", registries=served) as site:
        arguments = ["client-config", "podman", site.url, NAMED, "--output", str(tmp_path / "conf.d")]
        written = CliRunner().invoke(main, arguments)
        assert written.exit_code == 0, written.output
        yield tmp_path / "conf.d" / "50-registry-mesh.conf"


def test_skopeo_copies_through_the_site(configured: Path, tmp_path: Path) -> None:
    conf = ("--registries-conf", configured)
    run(
        "skopeo",
        "--insecure-policy",
        *conf,
        "copy",
        f"docker://{NAMED}/team/app:1",
        f"oci:{tmp_path / 'out'}:1",
    )
    assert len(list((tmp_path / "out" / "blobs" / "sha256").iterdir())) == 3


def test_podman_pulls_through_the_site(configured: Path) -> None:
    with short_folder() as short:
        run(
            "podman", "--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs",
            "pull", "-q", f"{NAMED}/team/app:1", CONTAINERS_REGISTRIES_CONF=configured,
        )  # fmt: skip
