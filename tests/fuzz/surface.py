"""The operations of `docs/openapi.yaml`, requests made of them, and what an answer must be."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jsonschema
import yaml
from hypothesis import strategies as st

from tests.fuzz.mutations import BREAKERS

FILE: Final = Path(__file__).parents[2] / "docs" / "openapi.yaml"
DOCUMENT: Final[dict[str, Any]] = yaml.safe_load(FILE.read_text())
METHODS: Final = ("get", "put", "post", "delete", "patch")
_UNSAFE: Final = frozenset(range(33)) | {127}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    spec: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]
    admin: bool

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


@dataclass(frozen=True, slots=True)
class Request:
    """As it goes on the wire, but for Content-Length."""

    method: str
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    host: bytes = b"localhost"

    def raw(self) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self.method.upper().encode(), self.target), b"Host: %b" % self.host]
        lines += [b"%b: %b" % field for field in self.fields]
        if self.body or self.method != "get":
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"Connection: close", b"", b""]) + self.body


def operations() -> Iterator[Operation]:
    """All that the document names."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                spec = item[method]
                parameters = [*item.get("parameters", ()), *spec.get("parameters", ())]
                yield Operation(method, path, spec, tuple(map(resolved, parameters)), "servers" in item)


def resolved(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` points at, else the value itself."""
    while "$ref" in value:
        found: Any = DOCUMENT
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def requests(operation: Operation) -> st.SearchStrategy[Request]:
    """Requests that are as they should be in most of their parts."""
    parts = {each["name"]: _value(each) for each in operation.parameters}
    wanted = st.fixed_dictionaries(
        {name: value for name, value in parts.items() if _in(operation, name) == "path"},
        optional={name: value for name, value in parts.items() if _in(operation, name) != "path"},
    )
    return st.builds(lambda given, body: _request(operation, given, body), wanted, _body(operation))


def _in(operation: Operation, name: str) -> str:
    return next(str(each["in"]) for each in operation.parameters if each["name"] == name)


def _value(parameter: Mapping[str, Any]) -> st.SearchStrategy[bytes]:
    example = parameter.get("example", "x")
    texts = [str(each).encode() for each in (example if isinstance(example, list) else [example])]
    odd = st.sampled_from([each for each in BREAKERS if len(each) < 6000]) | st.binary(max_size=12)
    return st.sampled_from(texts) | odd | st.builds(lambda a, b: a + b, st.sampled_from(texts), odd)


def _body(operation: Operation) -> st.SearchStrategy[bytes]:
    if "requestBody" not in operation.spec:
        return st.just(b"")
    content = next(iter(resolved(operation.spec["requestBody"])["content"].values()))
    good = json.dumps(content["example"]).encode() if "example" in content else b"abc"
    return st.sampled_from(
        [good, b"", b"[" * 3000, b"null", b"[]", b'{"images": [5]}', good[:-2]]
    ) | st.binary(max_size=30)


def _request(operation: Operation, given: Mapping[str, bytes], body: bytes) -> Request:
    target, query, fields = operation.path.encode(), list[bytes](), list[tuple[bytes, bytes]]()
    for name, value in given.items():
        where = _in(operation, name)
        if where == "path":
            target = target.replace(f"{{{name}}}".encode(), _escaped(value, "/:"))
        elif where == "query":
            query.append(b"%b=%b" % (name.encode(), _escaped(value, ":/")))
        else:
            fields.append((name.encode(), bytes(each for each in value if each not in _UNSAFE)))
    content = resolved(operation.spec.get("requestBody", {"content": {}}))["content"]
    fields += [(b"Content-Type", kind.encode()) for kind in content]
    return Request(
        operation.method, target + (b"?" + b"&".join(query) if query else b""), tuple(fields), body
    )


def _escaped(value: bytes, safe: str) -> bytes:
    """With escapes, but for escapes that are in it already."""
    return quote(value, safe=safe + "%").encode()


def ask(port: int, request: Request) -> tuple[int, Mapping[str, str], bytes]:
    """Status, fields and body. `http.client.HTTPException` where the answer is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request.raw())
        answer = http.client.HTTPResponse(connection, method=request.method.upper())
        answer.begin()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def check(operation: Operation, status: int, fields: Mapping[str, str], body: bytes) -> None:
    """AssertionError, or a fault of the schema, where the document does not say that it may be answered so."""
    said = operation.spec["responses"]
    response = said.get(str(status)) or said.get(f"{status // 100}XX")
    if response is None and operation.admin and status in (404, 414):
        return  # the target is none
    assert response is not None, f"{status} is not among the answers of {operation}: {body[:300]!r}"
    contents = resolved(response).get("content", {})
    kind = fields.get("content-type", "").partition(";")[0]
    if not contents:
        return
    assert kind in contents, f"{operation} answers {status} with {kind}: {body[:300]!r}"
    if "json" in kind and "ndjson" not in kind:
        schema = {**contents[kind].get("schema", {}), "components": DOCUMENT["components"]}
        jsonschema.validate(json.loads(body), schema)
