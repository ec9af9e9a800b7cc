"""A store that is well, and one that is not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.repositories.faults import Fault, Finding
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.verify import SelfCheck
from tests.simulators.origins import (
    ALICE,
    REGISTRY,
    disk_origin,
    image,
    index,
    memory_origin,
    plain,
    push_blob,
    push_image,
    pushes,
    repository,
)

BIG = bytes(range(256)) * 8192  # two chunks


def file_of(root: Path, digest: Digest) -> Path:
    return root / "blobs" / digest.algorithm / digest.hex[:2] / digest.hex


async def check(origin: Repositories, parent: Repositories | None = None) -> list[Finding]:
    run = SelfCheck(origin, parents=lambda name: [parent.repository(REGISTRY, name)] if parent else [])
    return [each async for each in run.findings()]


async def fill(origin: Repositories) -> Digest:
    repo = repository(origin)
    one = await push_image(repo, "one", "t")
    await pushes(repo).put_manifest(ALICE, index(one), [Tag("multi")])
    await push_image(repo, "signature", subject=plain(one).document())
    big = await push_blob(repo, BIG)
    await pushes(repo).put_manifest(ALICE, image(big, big), [Tag("big")])
    await pushes(repository(origin, "other/repo")).mount(ALICE, big.digest, repo.name)
    return big.digest


@pytest.fixture
async def origin(tmp_path: Path) -> Repositories:
    return await disk_origin(tmp_path)


async def test_nothing_is_wrong(origin: Repositories) -> None:
    await fill(origin)
    run = SelfCheck(origin)
    assert [each async for each in run.findings()] == []
    assert (run.repositories, run.blobs) == (2, 9)
    assert run.bytes > len(BIG)


@pytest.mark.parametrize(
    ("spoil", "fault", "detail"),
    [
        (lambda path: path.write_bytes(BIG[:-1] + b"?"), Fault.ROTTEN, "has rotted"),
        (lambda path: path.write_bytes(BIG[:-1]), Fault.CUT, "has rotted"),
        (lambda path: path.write_bytes(BIG + b"?"), Fault.CUT, "has rotted"),
        (lambda path: path.write_bytes(b""), Fault.CUT, "has rotted"),
        (lambda path: path.unlink(), Fault.MISSING, ""),
    ],
)
async def test_spoilt_bytes_are_found_once_and_repaired(
    origin: Repositories, tmp_path: Path, spoil: object, fault: Fault, detail: str
) -> None:
    digest = await fill(origin)
    assert callable(spoil)
    spoil(file_of(tmp_path, digest))
    found = await check(origin)
    assert [(each.digest, each.repaired) for each in found] == [(digest, False)]
    assert (found[0].fault, found[0].detail.endswith(detail)) == (fault, True)
    parent = memory_origin()
    assert not (await check(origin, parent))[0].repaired, "a parent that has it not"
    await fill(parent)
    assert [each.repaired for each in await check(origin, parent)] == [True]
    assert await check(origin) == []


async def test_a_manifest_without_bytes(origin: Repositories, tmp_path: Path) -> None:
    manifest = await push_image(repository(origin), "one", "t")
    file_of(tmp_path, manifest.digest).unlink()
    assert [(each.fault, each.digest) for each in await check(origin)] == [(Fault.MISSING, manifest.digest)]
    parent = memory_origin()
    await push_image(repository(parent), "one")
    assert [each.repaired for each in await check(origin, parent)] == [True]
    assert await check(origin) == []


async def test_dangling_references(origin: Repositories) -> None:
    repo = repository(origin)
    child = await push_image(repo, "child")
    multi = index(child)
    await pushes(repo).put_manifest(ALICE, multi, [Tag("multi")])
    layer = child.layers[0].digest
    parts = origin.parts(repo.name)
    await parts.blobs.unlink(layer)
    assert [(each.fault, each.digest) for each in await check(origin)] == [(Fault.DANGLING_BLOB, layer)]
    await origin.records.delete([parts.keys.manifest(child.digest)])
    assert [(each.fault, each.digest) for each in await check(origin)] == [
        (Fault.DANGLING_CHILD, child.digest)
    ]
    await origin.records.delete([parts.keys.manifest(multi.digest)])
    assert [each.fault for each in await check(origin)] == [Fault.DANGLING_TAG]


async def test_a_document_that_is_none(origin: Repositories) -> None:
    manifest = await push_image(repository(origin), "one", "t")
    await origin.records.put(origin.parts(repository(origin).name).keys.manifest(manifest.digest), b"{")
    assert [each.fault for each in await check(origin)] == [Fault.DOCUMENT]


async def test_the_tags_that_need_what_is_wrong_are_named(origin: Repositories, tmp_path: Path) -> None:
    digest = await fill(origin)
    layer = Digest("sha256", hashlib.sha256(b"layer of one").hexdigest())
    file_of(tmp_path, layer).write_bytes(b"?")
    file_of(tmp_path, digest).unlink()
    told = {each.digest: each for each in await check(origin)}
    assert told[digest].tags == (Tag("big"),)
    assert told[layer].tags == (Tag("multi"), Tag("t")), "over an index too"
    assert str(told[layer]).endswith("needed by tags multi, t")
    many = replace(told[layer], tags=tuple(Tag(f"v{n}") for n in range(10)))
    assert str(many).endswith("v7 and 2 more")
