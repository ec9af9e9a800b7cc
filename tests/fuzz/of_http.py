"""Parsers of heads and paths of HTTP, as clients and parents send them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from registry_mesh.edge.entity_tags import not_modified, precondition_failed
from registry_mesh.edge.hot.layouts import layout_of
from registry_mesh.edge.ranges import parse_range, range_applies, satisfiable
from registry_mesh.edge.target import parse_target
from registry_mesh.edge.uploads import content_range
from registry_mesh.oci.endpoints import match
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.hops import Hops, asks_of, passed
from registry_mesh.telemetry.traces import enter
from registry_mesh.upstream.codings import decoded
from registry_mesh.upstream.documents.links import next_query
from registry_mesh.upstream.health.clocks import ahead
from registry_mesh.upstream.health.quota import allowance
from registry_mesh.upstream.health.retry_after import retry_after
from tests.fuzz.parser import DIGEST, Parser, field


def _range(header: str) -> None:
    wanted = parse_range(header)
    for size in (0, 1, 1 << 40):
        for span in satisfiable(wanted or (), size):
            assert 0 <= span.start < span.stop <= size


def _target(raw: str) -> None:
    target = parse_target(raw)
    match(target.path, ("registry.example", "localhost:5000"))


def _tags(header: str) -> None:
    not_modified(header, f'"{DIGEST}"')
    precondition_failed(header, f'"{DIGEST}"')
    range_applies(header, f'"{DIGEST}"')


def _note(header: str) -> None:
    Hops().note([header, header])


HTTP: Final[Sequence[Parser]] = (
    Parser(
        "target",
        field(_target),
        (Refusal,),
        [b"/v2/a/manifests/l?ns=docker.io&n=1&last=a%2Fb", b"/v2/a/blobs/x%00"],
    ),
    Parser(
        "range", field(_range), (Refusal, Failure), [b"bytes=0-0,1-1,-5", b"bytes=0-99999999999999999999"]
    ),
    Parser("content-range", field(content_range), (Refusal,), [b"0-5", b"bytes 0-5/10", b"bytes=5-4/*"]),
    Parser("entity-tags", field(_tags), (), [f'W/"{DIGEST}", "x", *'.encode()]),
    Parser("head", layout_of, (), [b"GET /v2/ HTTP/1.1\r\nHost: h\r\nAccept: a\r\n\r\n"]),
    Parser(
        "link",
        field(lambda each: next_query([each])),
        (ValueError,),
        [b'</v2/a/tags/list?n=1&last=b>; rel="next"'],
    ),
    Parser("cache-status", field(_note), (), [b"site;hit;ttl=5, replica;fwd=miss"]),
    Parser("cdn-loop", field(lambda each: passed([each])), (), [b"registry-mesh-0123456789abcdef, x;y=1"]),
    Parser("asks", field(lambda each: asks_of(each, each)), (), [b"only-if-cached, max-age=0", b"sibling"]),
    Parser(
        "traceparent",
        field(lambda each: enter([each], [each])),
        (),
        [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    ),
    Parser(
        "allowance",
        field(lambda each: allowance({"RateLimit-Remaining": each, "RateLimit-Limit": each}, 0.0)),
        (),
        [b"100;w=21600", b"76"],
    ),
    Parser(
        "retry-after",
        field(lambda each: retry_after({"Retry-After": each}, 0.0)),
        (),
        [b"5", b"Wed, 21 Oct 2026 07:28:00 GMT"],
    ),
    Parser("date", field(lambda each: ahead({"Date": each}, 0.0)), (), [b"Wed, 21 Oct 2026 07:28:00 GMT"]),
    Parser(
        "coding", lambda data: decoded(data, "gzip, deflate", 1 << 20), (ValueError,), [b"\x1f\x8b\x08\x00"]
    ),
)
