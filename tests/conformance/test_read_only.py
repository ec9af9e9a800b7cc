"""The read-only half, asked of a site that has to fetch everything first, and then of the same site alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.config.load import parse
from registry_mesh.oci.digest import Digest
from tests.conformance import content as shapes
from tests.conformance.registry import Registry
from tests.conformance.test_content import pull, push, query

REGISTRY = "registry.example"


def configured(folder: Path, **keys: Any) -> Any:
    whole = {
        "name": folder.name,
        "listen": {"port": 0},
        "admin": {"port": 0},
        "workers": 1,
        "store": {"disk": {"path": str(folder)}},
        **keys,
    }
    return parse(yaml.safe_dump(whole), "test.yaml").config


class Tree:
    """An origin, a site below it, and one repository seen through each."""

    def __init__(self, origin: Node, site: Node) -> None:
        name = f"conformance/r{secrets.token_hex(6)}"
        self.origin_node = origin
        self.origin = Registry(origin.url, name)
        self.site = Registry(site.url, name)


@pytest_asyncio.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Tree]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(
            running(configured(tmp_path / "origin", role="origin", access={"anonymous": "admin"}))
        )
        registries = {REGISTRY: {"default": True, "parents": [[origin.url]]}}
        site = await stack.enter_async_context(
            running(configured(tmp_path / "site", role="site", registries=registries))
        )
        tree = Tree(origin, site)
        await stack.enter_async_context(tree.origin)
        await stack.enter_async_context(tree.site)
        yield tree


async def test_every_content_through_a_site(tree: Tree) -> None:
    for shape in shapes.ALL:
        content = shape()
        tree.origin.name = tree.site.name = f"conformance/r{secrets.token_hex(6)}"
        await push(tree.origin, content)
        await pull(tree.site, content)
        await query(tree.site, content)
        if content.tags:
            assert await tree.site.tags() == sorted(content.tags)
        await pull(tree.site, content)


async def test_what_was_pulled_is_answered_without_the_origin(tree: Tree) -> None:
    content = shapes.artifacts_with_subject()
    await push(tree.origin, content)
    await pull(tree.site, content)
    await query(tree.site, content)
    tags = await tree.site.tags()
    await tree.origin_node.close()
    await pull(tree.site, content)
    await query(tree.site, content)
    assert await tree.site.tags() == tags


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_cold_ranges(tree: Tree, algorithm: str) -> None:
    data = os.urandom(3 << 20)
    digest = await tree.origin.push_blob(data, algorithm)
    size = len(data)
    for given, first, stop in (
        ("500-1499", 500, 1500),
        (f"{size - 10}-{size + 10}", size - 10, size),
        ("-500", size - 500, size),
        ("2000000-", 2_000_000, size),
    ):
        answer = (
            await tree.site.ask("GET", f"blobs/{digest}", headers=[("Range", f"bytes={given}")])
        ).expect(206)
        assert answer.body == data[first:stop]
        assert answer.headers["Content-Range"] == f"bytes {first}-{stop - 1}/{size}"
    for given in ("500-0", f"{size}-"):
        (await tree.site.ask("GET", f"blobs/{digest}", headers=[("Range", f"bytes={given}")])).expect(416)
    await tree.site.expect_blob(digest, data)


async def test_what_is_not_there(tree: Tree) -> None:
    (await tree.site.ask("GET", f"{tree.site.url}/v2/")).expect(200)
    unknown = Digest.of(b"unknown")
    for path in (f"blobs/{unknown}", f"manifests/{unknown}", "manifests/missing", "tags/list"):
        (await tree.site.ask("GET", path)).expect(404)
    assert (await tree.site.referrers(unknown))[0] == []
    for path in ("blobs/sha256:bad", "manifests/sha256:bad", "referrers/sha256:bad"):
        (await tree.site.ask("GET", path)).expect(400)


async def test_nothing_can_be_written(tree: Tree) -> None:
    digest = Digest.of(b"x")
    for method, path in (
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/t"),
        ("DELETE", "manifests/t"),
        ("DELETE", f"blobs/{digest}"),
    ):
        assert (await tree.site.ask(method, path, b"{}")).expect(405).code == "UNSUPPORTED"
