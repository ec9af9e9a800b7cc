"""One pull over three tiers is one trace, and so is a run of a replica; the collector is real, and may be ill."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.clients import nodes
from tests.eventually import eventually_here
from tests.simulators.collector import Collector, Span, collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
LAYER = b"a layer" * 50_000


@dataclass
class Tiers:
    """`site` asks `middle`, which asks `origin`; `replica` copies the origin."""

    collector: Collector
    origin: nodes.Node
    middle: nodes.Node
    site: nodes.Node
    replica: nodes.Node


@pytest.fixture(scope="module")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiers]:
    folder = tmp_path_factory.mktemp("tiers")
    with ExitStack() as stack:
        kept = stack.enter_context(collector())
        origin = nodes.origin(folder / "origin")
        middle = nodes.site(folder / "middle", origin.url)
        site = nodes.site(folder / "site", middle.url)
        replica = nodes.replica(folder / "replica", origin.url, replication={"interval": "1h"})
        for node in (origin, middle, site, replica):
            node.within = traced(kept.url)
        stack.enter_context(origin)
        push(origin, "1", LAYER)
        for node in (middle, site, replica):
            stack.enter_context(node)
        yield Tiers(kept, origin, middle, site, replica)


def traced(url: str, **more: str) -> tuple[str, ...]:
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "50", **more}
    return ("env", *(f"{key}={value}" for key, value in told.items()))


def push(node: nodes.Node, tag: str, *layers: bytes) -> list[Digest]:
    """An image of team/app; the digests of its layers."""
    config = b'{"architecture":"amd64","os":"linux"}'
    named = []
    for data, kind in [
        (config, OCI_CONFIG),
        *((layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers),
    ]:
        digest = Digest.of(data)
        send(node, "POST", f"blobs/uploads/?digest={digest}", data, "application/octet-stream")
        named.append({"mediaType": kind, "digest": str(digest), "size": len(data)})
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": named[0], "layers": named[1:]}
    send(node, "PUT", f"manifests/{tag}", json.dumps(document).encode(), OCI_MANIFEST)
    return [Digest.of(layer) for layer in layers]


def send(node: nodes.Node, method: str, path: str, data: bytes, kind: str) -> None:
    request = urllib.request.Request(
        f"{node.url}/v2/team/app/{path}", data, {"Content-Type": kind}, method=method
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 201


def get(node: nodes.Node, path: str, **fields: str) -> bytes:
    request = urllib.request.Request(f"{node.url}/v2/team/app/{path}", headers=fields)
    with urllib.request.urlopen(request, timeout=20) as answer:
        body: bytes = answer.read()
        return body


def chain(spans: list[Span], of: Span) -> list[str]:
    """Nodes and names from `of` up to the one that nothing here is above of."""
    above = next((span for span in spans if span.id == of.parent), None)
    return [f"{of.node}: {of.name}", *(chain(spans, above) if above else [])]


def test_one_pull_is_one_trace_over_three_tiers(tiers: Tiers) -> None:
    given = f"00-{TRACE}-b7ad6b7169203331-01"
    assert get(tiers.site, "manifests/1", traceparent=given, tracestate="their=1")
    assert get(tiers.site, f"blobs/{Digest.of(LAYER)}", traceparent=given) == LAYER

    def deepest() -> list[Span]:
        return [span for span in tiers.collector.of(TRACE) if span.node == "origin"]

    def complete() -> bool:
        ends = {chain(tiers.collector.of(TRACE), span)[-1] for span in deepest()}
        return {"site: GET manifest", "site: GET blob"} <= ends

    eventually_here(complete, lambda: [(s.node, s.name, s.parent) for s in tiers.collector.spans])
    spans = tiers.collector.of(TRACE)
    of_blob = next(span for span in deepest() if span.name == "GET blob")
    assert chain(spans, of_blob) == [
        "origin: GET blob",
        "middle: ask for blobs",
        "middle: GET blob",
        "site: ask for blobs",
        "site: GET blob",
    ]
    first = next(span for span in spans if (span.node, span.name) == ("site", "GET blob"))
    assert first.parent == "b7ad6b7169203331"
    assert first.attributes["registry_mesh.cache"] == "miss"
    assert first.attributes["http.response.status_code"] == 200
    assert first.attributes["registry_mesh.bytes"] == len(LAYER)
    assert tiers.collector.resources[0]["service.name"] == "registry-mesh"


def test_a_run_of_a_replica_is_one_trace_with_its_parents(tiers: Tiers) -> None:
    """Each node sends its spans in its own time."""

    def of_origin() -> list[list[str]]:
        spans = list(tiers.collector.spans)
        return [chain(spans, span) for span in spans if span.node == "origin"]

    one = ["origin: GET blob", "replica: ask for blobs", "replica: replicate"]
    eventually_here(lambda: one in of_origin(), of_origin)


def test_a_pull_without_a_trace_begins_one_if_it_is_a_miss(tiers: Tiers) -> None:
    (digest,) = push(tiers.origin, "2", b"another" * 1000)
    assert get(tiers.site, f"blobs/{digest}")

    def begun() -> list[Span]:
        return [
            s for s in tiers.collector.spans if s.node == "site" and str(digest) in s.attributes["url.path"]
        ]

    eventually_here(lambda: any(s.name == "GET blob" for s in begun()), "its span")
    (own,) = [span for span in begun() if span.name == "GET blob"]
    assert own.parent == ""
    assert {span.trace for span in begun()} == {own.trace}
    began = time.monotonic()
    for _ in range(200):
        get(tiers.site, f"blobs/{digest}")
    seconds = time.monotonic() - began
    push(tiers.origin, "3", b"last")
    get(tiers.site, "manifests/3")  # a miss that is sent after all of these

    def sent() -> bool:
        return any(s.attributes.get("url.path", "").endswith("manifests/3") for s in tiers.collector.spans)

    eventually_here(sent, "a later span")
    most = 20 + 2 * seconds  # of many one a second goes the slow way
    assert len([span for span in begun() if span.name == "GET blob"]) <= most, "of hits a few"


def test_nothing_of_credentials_and_queries_is_in_a_span(tiers: Tiers) -> None:
    (digest,) = push(tiers.origin, "4", b"no secrets" * 1000)
    before = len(tiers.collector.spans)
    login = "Basic aHVudGVyMjpzd29yZGZpc2g="
    with suppress(urllib.error.HTTPError):
        get(tiers.site, f"blobs/{digest}?token=hunter2", Authorization=login, Cookie="s3cret")
    get(tiers.site, f"blobs/{digest}?token=hunter2", Cookie="s3cret")
    eventually_here(lambda: len(tiers.collector.spans) > before, "spans")
    for secret in (b"hunter2", b"aHVudGVyMjpzd29yZGZpc2g", b"s3cret"):
        assert secret not in tiers.collector.raw
    assert b"?digest" not in tiers.collector.raw


def test_a_collector_that_is_ill_costs_one_line_and_no_pull(tmp_path: Path, tiers: Tiers) -> None:
    with collector() as ill:
        ill.status = 400
        node = nodes.site(tmp_path / "alone", tiers.origin.url, workers=2)
        node.within = traced(ill.url, OTEL_EXPORTER_OTLP_HEADERS="api-key=hunter2")
        with node:
            for number in range(4):
                (digest,) = push(tiers.origin, "5", b"number %d" % number)
                seen = ill.requests
                assert get(node, f"blobs/{digest}") == b"number %d" % number
                eventually_here(lambda seen=seen: ill.requests > seen, "a try")
            eventually_here(lambda: "traces are not sent" in node.log.read_text(), "a line")
            assert node.log.read_text().count("traces are not sent") == 1
            ill.status = 200
            (digest,) = push(tiers.origin, "5", b"well again")
            get(node, f"blobs/{digest}")
            eventually_here(lambda: "traces are sent again" in node.log.read_text(), "a line")
        assert "hunter2" not in node.log.read_text()
