"""Push and pull with the tools people have: skopeo, podman, buildah, containerd, and crane's way of pushing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import pytest

from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.scripts import run
from tests.clients.wire import Wire, table
from tests.temporary import short_folder

pytestmark = [pytest.mark.client, pytest.mark.slow]

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module")
def layout(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with the tag `1`: three layers."""
    folder = tmp_path_factory.mktemp("layout")
    image = folder / "img"
    run("umoci", "init", "--layout", image)
    run("umoci", "new", "--image", f"{image}:1")
    for number in range(3):
        tree = folder / f"tree{number}" / "data"
        tree.mkdir(parents=True)
        (tree / f"{number}.bin").write_bytes(hashlib.sha256(bytes([number])).digest() * 100_000)
        run("tar", "-C", tree.parent, "-cf", folder / f"{number}.tar", ".")
        run("umoci", "raw", "add-layer", "--image", f"{image}:1", folder / f"{number}.tar")
    return image


@pytest.fixture(scope="module")
def origin(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with nodes.origin(tmp_path_factory.mktemp("conformance") / "origin") as origin:
        yield origin


@pytest.fixture
def wire(origin: Node, tmp_path: Path) -> Iterator[Wire]:
    with Wire(origin.url, tmp_path / "wire") as wire:
        yield wire


def at(node: Node | Wire, reference: str) -> str:
    return f"docker://{node.url.removeprefix('http://')}/{reference}"


def skopeo(verb: str, *arguments: str, source: bool = True, target: bool = True) -> str:
    options = ["--src-tls-verify=false"] * source + ["--dest-tls-verify=false"] * target
    return run("skopeo", "--insecure-policy", verb, *options, *arguments)


def manifest(node: Node, repository: str, reference: str) -> dict[str, Any]:
    request = Request(
        f"{node.url}/v2/{repository}/manifests/{reference}", headers={"Accept": f"{OCI}, {INDEX}"}
    )
    with urlopen(request, timeout=60) as answer:
        body = answer.read()
        assert answer.headers["Docker-Content-Digest"] == "sha256:" + hashlib.sha256(body).hexdigest()
    document: dict[str, Any] = json.loads(body)
    return document


def digests(document: dict[str, Any]) -> list[str]:
    return [each["digest"] for each in [document["config"], *document["layers"]]]


def layout_manifest(layout: Path) -> dict[str, Any]:
    first = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    document: dict[str, Any] = json.loads(
        (layout / "blobs" / "sha256" / first.removeprefix("sha256:")).read_text()
    )
    return document


def test_skopeo_pushes_in_chunks_and_pulls_the_same(
    origin: Node, wire: Wire, layout: Path, tmp_path: Path
) -> None:
    skopeo("copy", f"oci:{layout}:1", at(wire, "skopeo/app:1"))
    seen = wire.seen()
    assert any(each.method == "PATCH" for each in seen), table(seen)
    assert manifest(origin, "skopeo/app", "1") == layout_manifest(layout)
    skopeo("copy", at(origin, "skopeo/app:1"), f"oci:{tmp_path / 'back'}:1")
    assert layout_manifest(tmp_path / "back") == layout_manifest(layout)


def test_skopeo_mounts_from_a_neighbour(origin: Node, wire: Wire, layout: Path) -> None:
    """What another repository has is linked, not sent again."""
    skopeo("copy", f"oci:{layout}:1", at(wire, "mount/first:1"))
    wire.forget()
    skopeo("copy", at(wire, "mount/first:1"), at(wire, "mount/second:1"))
    seen = wire.seen()
    mounts = [each for each in seen if each.method == "POST" and "mount=" in each.target]
    assert len(mounts) == len(layout_manifest(layout)["layers"]), table(seen)
    assert {each.status for each in mounts} == {201}, table(seen)
    assert len([each for each in seen if each.method == "PATCH"]) <= 1, f"the config alone:\n{table(seen)}"
    assert digests(manifest(origin, "mount/second", "1")) == digests(manifest(origin, "mount/first", "1"))


def test_skopeo_pushes_again_without_sending(wire: Wire, layout: Path) -> None:
    skopeo("copy", f"oci:{layout}:1", at(wire, "again/app:1"))
    wire.forget()
    skopeo("copy", f"oci:{layout}:1", at(wire, "again/app:2"))
    assert not [each for each in wire.seen() if each.method == "PATCH"], table(wire.seen())


def test_skopeo_lists_inspects_and_deletes(origin: Node, layout: Path) -> None:
    for tag in ("10", "2", "latest"):
        skopeo("copy", f"oci:{layout}:1", at(origin, f"listed/app:{tag}"))
    listed = json.loads(run("skopeo", "list-tags", "--tls-verify=false", at(origin, "listed/app")))
    assert listed["Tags"] == ["10", "2", "latest"]
    inspected = json.loads(run("skopeo", "inspect", "--tls-verify=false", at(origin, "listed/app:2")))
    assert len(inspected["Layers"]) == 3
    run("skopeo", "delete", "--tls-verify=false", at(origin, "listed/app:2"))
    with pytest.raises(HTTPError, match="404"):
        manifest(origin, "listed/app", "2")


def test_docker_schema_2(origin: Node, layout: Path) -> None:
    skopeo("copy", "--format", "v2s2", f"oci:{layout}:1", at(origin, "schema2/app:1"))
    inspected = json.loads(
        run("skopeo", "inspect", "--raw", "--tls-verify=false", at(origin, "schema2/app:1"))
    )
    assert inspected["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_an_index_with_all_its_images(origin: Node, layout: Path) -> None:
    skopeo("copy", f"oci:{layout}:1", at(origin, "index/app:amd64"))
    body = (
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [
                    {
                        **described(origin, "index/app", "amd64"),
                        "platform": {"os": "linux", "architecture": "amd64"},
                    }
                ],
            }
        )
    ).encode()
    put(f"{origin.url}/v2/index/app/manifests/1", body, INDEX)
    skopeo("copy", "--all", at(origin, "index/app:1"), at(origin, "index/copy:1"))
    assert manifest(origin, "index/copy", "1") == json.loads(body)


def described(node: Node, repository: str, reference: str) -> dict[str, Any]:
    request = Request(
        f"{node.url}/v2/{repository}/manifests/{reference}", method="HEAD", headers={"Accept": OCI}
    )
    with urlopen(request, timeout=60) as answer:
        headers = answer.headers
    size = int(headers["Content-Length"])
    return {"mediaType": headers["Content-Type"], "digest": headers["Docker-Content-Digest"], "size": size}


def put(url: str, data: bytes, kind: str, method: str = "PUT") -> dict[str, str]:
    request = Request(url, data=data, method=method, headers={"Content-Type": kind})
    with urlopen(request, timeout=60) as answer:
        assert answer.status == 201, answer.status
        return dict(answer.headers)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: podman refuses a run root of more than 50 characters."""
    with short_folder() as folder:
        yield folder


@pytest.mark.parametrize("tool", ["podman", "buildah"])
def test_podman_and_buildah_push_and_pull(tool: str, origin: Node, layout: Path, short: Path) -> None:
    options = ["--root", short / "root", "--runroot", short / "run", "--storage-driver", "vfs"]
    reference = f"{origin.url.removeprefix('http://')}/{tool}/app:1"
    image = run(tool, *options, "pull", "-q", f"oci:{layout}:1").split()[-1]
    run(tool, *options, "push", "-q", "--tls-verify=false", image, f"docker://{reference}")
    run(tool, *options, "rmi", "-f", image)
    run(tool, *options, "pull", "-q", "--tls-verify=false", f"docker://{reference}")
    assert len(manifest(origin, f"{tool}/app", "1")["layers"]) == 3


def test_crane_s_way(origin: Node, layout: Path) -> None:
    """HEAD, POST, one PATCH with the whole body, PUT with the digest and nothing."""
    document = layout_manifest(layout)
    for digest in digests(document):
        data = (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
        with urlopen(Request(f"{origin.url}/v2/crane/app/blobs/uploads/", method="POST", data=b"")) as answer:
            assert answer.status == 202
            place = urljoin(origin.url, answer.headers["Location"])
        with urlopen(
            Request(place, method="PATCH", data=data, headers={"Content-Type": "application/octet-stream"})
        ) as a:
            assert a.status == 202
            place = urljoin(origin.url, a.headers["Location"])
        put(f"{place}{'&' if '?' in place else '?'}digest={digest}", b"", "application/octet-stream")
    put(f"{origin.url}/v2/crane/app/manifests/1", json.dumps(document).encode(), OCI)
    assert manifest(origin, "crane/app", "1") == document


def test_one_request_a_blob(origin: Node) -> None:
    """POST with the digest: monolithic, in a single request."""
    data = b"the whole of it" * 1000
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    put(
        f"{origin.url}/v2/single/app/blobs/uploads/?digest={digest}", data, "application/octet-stream", "POST"
    )
    with urlopen(f"{origin.url}/v2/single/app/blobs/{digest}") as answer:
        assert answer.read() == data


def test_a_restart_keeps_everything(layout: Path, tmp_path: Path) -> None:
    with nodes.origin(tmp_path / "origin") as origin:
        skopeo("copy", f"oci:{layout}:1", at(origin, "kept/app:1"))
        origin.stop()
        origin.start()
        assert manifest(origin, "kept/app", "1") == layout_manifest(layout)
        origin.kill()
        origin.start()
        skopeo("copy", at(origin, "kept/app:1"), f"dir:{tmp_path / 'back'}")
