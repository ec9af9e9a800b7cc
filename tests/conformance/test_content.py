"""Everything that can be pushed: push, list, pull, query, delete."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from registry_mesh.oci.digest import Digest
from tests.conformance import content as shapes
from tests.conformance.content import Content
from tests.conformance.registry import Registry


async def push(registry: Registry, content: Content) -> None:
    for digest, data in content.blobs.items():
        assert await registry.push_blob(data, digest.algorithm) == digest
    for digest, data in content.manifests.items():
        answer = (await registry.put_manifest(str(digest), data)).expect(201)
        await _taken(registry, answer.location, digest, data)
        _subject(content, digest, answer.headers.get("OCI-Subject"))
    for tag, digest in content.tags.items():
        answer = (await registry.put_manifest(tag, content.manifests[digest])).expect(201)
        await _taken(registry, answer.location, digest, content.manifests[digest])
        _subject(content, digest, answer.headers.get("OCI-Subject"))


async def _taken(registry: Registry, location: str, digest: Digest, data: bytes) -> None:
    answer = (await registry.ask("GET", location)).expect(200)
    assert answer.body == data
    assert answer.headers["Docker-Content-Digest"] == str(digest)


def _subject(content: Content, digest: Digest, told: str | None) -> None:
    subjects = [
        subject
        for subject, shown in content.referrers.items()
        if str(digest) in [each["digest"] for each in shown]
    ]
    assert ([told] if told else []) == subjects


async def pull(registry: Registry, content: Content) -> None:
    for tag, digest in content.tags.items():
        await registry.expect_manifest(tag, content.manifests[digest], digest)
    for digest, data in content.manifests.items():
        await registry.expect_manifest(str(digest), data, digest)
    for digest, data in content.blobs.items():
        await registry.expect_blob(digest, data)


async def query(registry: Registry, content: Content) -> None:
    for subject, shown in content.referrers.items():
        found, _ = await registry.referrers(Digest.parse(subject))
        assert sorted(found, key=lambda each: each["digest"]) == sorted(
            shown, key=lambda each: each["digest"]
        )
        for kind in {each.get("artifactType") for each in shown if each.get("artifactType")}:
            filtered, answer = await registry.referrers(
                Digest.parse(subject), f"?artifactType={quote(kind, safe='')}"
            )
            assert "artifactType" in answer.all("OCI-Filters-Applied")
            wanted = {each["digest"] for each in shown if each.get("artifactType") == kind}
            assert {each["digest"] for each in filtered} == wanted


async def delete(registry: Registry, content: Content) -> None:
    for tag in content.tags:
        (await registry.ask("DELETE", f"manifests/{tag}")).expect(202)
        (await registry.ask("HEAD", f"manifests/{tag}")).expect(404)
    for digest in reversed(content.manifests):
        (await registry.ask("DELETE", f"manifests/{digest}")).expect(202)
        (await registry.ask("HEAD", f"manifests/{digest}")).expect(404)
    for digest in content.blobs:
        (await registry.ask("DELETE", f"blobs/{digest}")).expect(202)
        await registry.expect_no_blob(digest)
    for subject in content.referrers:
        assert (await registry.referrers(Digest.parse(subject)))[0] == []


@pytest.mark.parametrize("shape", shapes.ALL)
async def test_content(registry: Registry, shape: Callable[[], Content]) -> None:
    content = shape()
    await push(registry, content)
    if content.tags:
        assert await registry.tags() == sorted(content.tags)
    await pull(registry, content)
    await query(registry, content)
    await delete(registry, content)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_tag_parameters(registry: Registry, algorithm: str) -> None:
    content = Content(algorithm=algorithm)
    content.platforms()
    for digest, data in content.blobs.items():
        await registry.push_blob(data, digest.algorithm)
    for number, (digest, data) in enumerate(content.manifests.items()):
        tags = [f"tag-{number}-{i}" for i in range(2 if number else 12)]
        given = "?" + "&".join(f"tag={tag}" for tag in tags)
        answer = (await registry.put_manifest(str(digest), data, given)).expect(201)
        assert sorted(answer.all("OCI-Tag")) == sorted(tags)
        content.tags |= dict.fromkeys(tags, digest)
    assert await registry.tags() == sorted(content.tags)
    await pull(registry, content)
    await delete(registry, content)


async def test_a_manifest_of_another_digest(registry: Registry) -> None:
    content = shapes.image()
    for digest, data in content.blobs.items():
        await registry.push_blob(data, digest.algorithm)
    for digest, data in content.manifests.items():
        answer = (await registry.put_manifest(str(digest), data + b"  ")).expect(400)
        assert answer.code == "DIGEST_INVALID"
        (await registry.ask("GET", f"manifests/{digest}")).expect(404)


async def test_a_manifest_without_its_blobs(registry: Registry) -> None:
    content = shapes.image()
    data = next(iter(content.manifests.values()))
    answer = (await registry.put_manifest("broken", data)).expect(400, 404)
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"
    (await registry.ask("GET", "manifests/broken")).expect(404)


async def test_a_missing_manifest(registry: Registry) -> None:
    for reference in ("missing", str(Digest.of(b"missing"))):
        for method in ("GET", "HEAD"):
            (await registry.ask(method, f"manifests/{reference}")).expect(404)


async def test_a_digest_that_is_none(registry: Registry) -> None:
    content = shapes.image()
    for digest, data in content.blobs.items():
        await registry.push_blob(data, digest.algorithm)
    data = next(iter(content.manifests.values()))
    assert (await registry.put_manifest("sha256:baddigeststring", data)).expect(400).code == "DIGEST_INVALID"
    (await registry.ask("GET", "manifests/sha256:baddigeststring")).expect(400, 404)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"schemaVersion":2}',
        b'{"schemaVersion":2,"config":1}',
        b"\xff\xfe",
        b"1" * 99,
    ],
)
async def test_a_manifest_that_is_none(registry: Registry, data: bytes) -> None:
    headers = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")]
    answer = (await registry.ask("PUT", "manifests/none", data, headers)).expect(400)
    assert answer.code == "MANIFEST_INVALID"
