"""A manifest by digest whose bytes a parent spoils: what clients get, what is kept, who is blamed. Real processes."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.clients import nodes
from tests.clients.registries import push
from tests.eventually import eventually
from tests.mesh.test_two_parents import TwoParents, two_parents, world  # noqa: F401  # a fixture

pytestmark = pytest.mark.slow


async def add_manifest(world: TwoParents, tag: str = "1") -> tuple[Digest, bytes]:  # noqa: F811
    """To the parent, whichever it is, with a tag."""
    config = b'{"architecture":"amd64","os":"linux"}'
    described = {"mediaType": OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": []}
    document["annotations"] = {"tag": tag}
    text = json.dumps(document).encode()
    if world.origin is None:
        world.parent.add(config)
        return world.parent.add_manifest(tag, text, OCI_MANIFEST), text
    await push(world.client, world.origin.url, config)
    url = f"{world.origin.url}/v2/team/app/manifests/{tag}"
    async with world.client.put(url, data=text, headers={"Content-Type": OCI_MANIFEST}) as answer:
        assert answer.status == 201, await answer.text()
    return Digest.of(text), text


def kept(world: TwoParents, digest: Digest) -> list[str]:  # noqa: F811
    """Files of the site's store that are named by the digest."""
    store = world.node.folder / "store"
    return [str(path.relative_to(store)) for path in store.rglob(f"*{digest.hex}*")]


FLIPS = {"first": 0, "middle": 60, "last": -1}


@pytest.mark.parametrize("kind", ["plain", "ours"])
async def test_from_the_only_parent_it_is_a_503_and_not_kept(kind: str, tmp_path: Path) -> None:
    """Three trees at once: a parent that lied is left alone for seconds."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as trees:
        for name, flip in FLIPS.items():
            tree = await stack.enter_async_context(two_parents(kind, tmp_path / name))
            trees.create_task(refused_and_not_kept(tree, flip), name=name)


async def refused_and_not_kept(world: TwoParents, flip: int) -> None:  # noqa: F811
    digest, text = await add_manifest(world)
    world.honest.conditions.refuse = True
    world.link.conditions.flip_at = flip % len(text)
    await world.start()
    manifest = f"{world.node.url}/v2/team/app/manifests/{digest}"
    for url in (manifest, manifest.replace(str(digest), "1")) * 3:
        async with world.client.get(url, headers={"Accept": OCI_MANIFEST}) as answer:
            said = await answer.text()
            assert answer.status == 503, said
            assert int(answer.headers["Retry-After"]) > 0
            assert world.link.url.removeprefix("http://") in said, "it says which parent"
    assert kept(world, digest) == []
    lies, honest = await world.lies()
    assert lies >= 1
    assert honest == 0
    world.link.conditions.flip_at = None
    answered = await eventually(
        lambda: world.get(manifest),
        "the honest manifest",
        seconds=60,
        pause=0.05,
        until=lambda answer: answer[0] == 200,
    )
    assert answered[1] == text
    async with asyncio.timeout(60):  # the other worker may take a little longer
        for _ in range(10):
            answered = await eventually(
                lambda: world.get(manifest.replace(str(digest), "1")),
                "the honest tag",
                pause=0.05,
                until=lambda answer: answer[0] == 200,
            )
            assert answered[1] == text


@pytest.mark.parametrize("flip", FLIPS.values(), ids=FLIPS)
async def test_another_parent_makes_up_for_it_and_the_liar_is_named(world: TwoParents, flip: int) -> None:  # noqa: F811
    await world.start()

    async def pull(number: int) -> None:
        digest, text = await add_manifest(world, f"v{number}")
        world.link.conditions.flip_at = flip % len(text)
        for _ in range(10):
            for reference in (str(digest), f"v{number}"):
                url = f"{world.node.url}/v2/team/app/manifests/{reference}"
                assert await world.get(url) == (200, text)
        (blob,) = [name for name in kept(world, digest) if name.startswith("blobs/")]
        assert (world.node.folder / "store" / blob).read_bytes() == text

    await world.lie(pull)
    lies, _ = await world.lies()
    async with world.client.get(f"{world.node.admin}/status") as answer:
        groups = (await answer.json())["registries"][nodes.REGISTRY]["parents"]
    (bad,), (honest,) = groups
    assert [bad["url"], honest["url"]] == [world.link.url, world.honest.url]
    assert bad["lies"] >= lies and honest["lies"] == 0
