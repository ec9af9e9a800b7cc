"""What travels beside images: signatures, SBOMs, charts, models. Through a site, then from it alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.scripts import run
from tests.clients.wire import Wire, table
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
SBOM = "application/spdx+json"
CHART = "application/vnd.cncf.helm.config.v1+json"
MODEL = "application/vnd.example.model.v1"
REPOSITORY = "team/app"


def ask(url: str, data: bytes | None = None, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    """Status, header fields, body."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(url, data=data, method=method, headers=fields), timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except HTTPError as refused:
        return refused.code, refused.headers, refused.read()


def descriptor(media_type: str, data: bytes, **more: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data), **more}


@dataclass
class Pushed:
    """What is at the origin."""

    base: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By tag and by digest."""

    def blob(self, media_type: str, data: bytes) -> dict[str, Any]:
        one = descriptor(media_type, data)
        url = f"{self.base}/blobs/uploads/?digest={one['digest']}"
        assert ask(url, data, "POST", Content_Type="application/octet-stream")[0] == 201
        self.blobs[one["digest"]] = data
        return one

    def artifact(
        self, tag: str | None, config: dict[str, Any], layers: list[dict[str, Any]], **more: object
    ) -> dict[str, Any]:
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}
        return self.manifest(tag, MANIFEST, json.dumps(document).encode())

    def manifest(self, tag: str | None, media_type: str, data: bytes) -> dict[str, Any]:
        one = descriptor(media_type, data)
        status, _, said = ask(
            f"{self.base}/manifests/{tag or one['digest']}", data, "PUT", Content_Type=media_type
        )
        assert status == 201, said
        self.manifests[one["digest"]] = media_type, data
        if tag:
            self.manifests[tag] = media_type, data
        return one


def push_everything(origin: Node) -> tuple[Pushed, dict[str, Any]]:
    """An image, and all its companions; gives the image's descriptor too."""
    pushed = Pushed(f"{origin.url}/v2/{REPOSITORY}")
    empty = pushed.blob(EMPTY, b"{}")
    config = pushed.blob("application/vnd.oci.image.config.v1+json", b'{"architecture":"amd64","os":"linux"}')
    layer = pushed.blob("application/vnd.oci.image.layer.v1.tar", pattern(300_000))
    image = pushed.artifact("1", config, [layer])
    signed = pushed.blob("application/vnd.dev.cosign.simplesigning.v1+json", b'{"critical":{}}')
    pushed.artifact(image["digest"].replace(":", "-") + ".sig", empty, [signed])
    pushed.artifact(None, empty, [signed], subject=image, artifactType=SIGNATURE)
    bill = pushed.blob(SBOM, json.dumps({"packages": list(range(5000))}).encode())
    sbom = pushed.artifact(
        None, empty, [bill], subject=image, artifactType=SBOM, annotations={"made": "today"}
    )
    pushed.artifact(None, empty, [signed], subject=sbom, artifactType=SIGNATURE)
    chart = pushed.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", pattern(20_000, seed=2))
    pushed.artifact("chart-0.1.0", pushed.blob(CHART, b'{"name":"chart"}'), [chart])
    weights = pushed.blob("application/vnd.example.weights", pattern(3_000_000, seed=3))
    pushed.artifact("model", pushed.blob(MODEL, b'{"parameters": 7}'), [weights], artifactType=MODEL)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image]}
    pushed.manifest("multi", INDEX, json.dumps(index).encode())
    return pushed, image


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Node]:
    with nodes.origin(tmp_path / "origin") as origin:
        yield origin


def referrers(base: str, digest: str, of_type: str = "") -> tuple[list[dict[str, Any]], Any]:
    query = f"?artifactType={of_type.replace('+', '%2B')}" if of_type else ""
    status, fields, body = ask(f"{base}/referrers/{digest}{query}")
    assert (status, fields["Content-Type"]) == (200, INDEX)
    found: list[dict[str, Any]] = json.loads(body)["manifests"]
    return sorted(found, key=lambda each: each["digest"]), fields


def all_is_there(base: str, pushed: Pushed) -> None:
    for reference, (media_type, data) in pushed.manifests.items():
        for method in ("HEAD", "GET"):
            status, fields, body = ask(
                f"{base}/manifests/{reference}", method=method, Accept=f"{MANIFEST}, {INDEX}"
            )
            assert (status, fields["Content-Type"]) == (200, media_type), reference
            assert fields["Docker-Content-Digest"] == str(Digest.of(data))
            assert body == (data if method == "GET" else b"")
    for digest, data in pushed.blobs.items():
        assert ask(f"{base}/blobs/{digest}")[::2] == (200, data)


def test_companions_through_a_site_and_from_it_alone(origin: Node, tmp_path: Path) -> None:
    pushed, image = push_everything(origin)
    subjects = [image["digest"], *{d for d in pushed.manifests if d.startswith("sha256:")}]
    told = {subject: referrers(pushed.base, subject)[0] for subject in subjects}
    assert {each["artifactType"] for each in told[image["digest"]]} == {SIGNATURE, SBOM}
    with Wire(origin.url, tmp_path / "wire") as wire, nodes.site(tmp_path / "site", wire.url) as site:
        base = f"{site.url}/v2/{REPOSITORY}"

        def check() -> None:
            all_is_there(base, pushed)
            for subject in subjects:
                assert referrers(base, subject)[0] == told[subject]
            for kind in (SIGNATURE, SBOM, "application/none"):
                some, fields = referrers(base, image["digest"], kind)
                assert some == [each for each in told[image["digest"]] if each["artifactType"] == kind]
                assert fields["OCI-Filters-Applied"] == "artifactType"

        check()
        wire.forget()
        check()
        again = [each for each in wire.seen() if each.of_blob or (each.method == "GET" and each.of_manifest)]
        assert again == [], table(again)
        wire.cut()
        site.stop()
        site.start()
        check()
        status, _, said = ask(f"{base}/manifests/unknown")
        assert status == 503, said


@pytest.mark.client
def test_skopeo_takes_everything_from_a_site_alone(clients: None, origin: Node, tmp_path: Path) -> None:
    """`--all` through the site, then again with its parent dead and the site started anew."""
    push_everything(origin)
    with Wire(origin.url, tmp_path / "wire") as wire, nodes.site(tmp_path / "site", wire.url) as site:
        for life in ("cold", "alone"):
            for tag in ("1", "multi", "chart-0.1.0", "model"):
                source = f"docker://{site.url.removeprefix('http://')}/{REPOSITORY}:{tag}"
                target = tmp_path / f"{life}-{tag}"
                run(
                    "skopeo",
                    "copy",
                    "-q",
                    "--all",
                    "--insecure-policy",
                    "--src-tls-verify=false",
                    source,
                    f"dir:{target}",
                )
                for file in target.iterdir():
                    if len(file.name) == 64:
                        assert Digest.of(file.read_bytes()).hex == file.name
            wire.cut()
            site.stop()
            site.start()
