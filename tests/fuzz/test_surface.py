"""What `docs/openapi.yaml` says of the HTTP surface is so, at real nodes, whatever they are asked.

What is asked is made from a seed, from which each operation has a number of its own, and which a failure prints.
Another seed asks something else: SURFACE_SEED=7 python -m pytest tests/fuzz/test_surface.py.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings

from registry_mesh.admin.guard import PROBES
from registry_mesh.edge.dispatch import ROUTES
from registry_mesh.oci.endpoints import Endpoint
from tests.clients import nodes
from tests.fuzz.surface import DOCUMENT, FILE, Operation, Request, ask, check, operations, requests

EXAMPLES = {"origin": 25, "site": 10}
"""For each operation; a site answers most of them by the same code."""
SEED = int(os.environ.get("SURFACE_SEED", "0"))
USER = "alice:$2y$05$abcdefghijklmnopqrstuuHQmKzM3QmXkCzZyT0M1u0b0m0b0b0b0\n"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Node]:
    folder = tmp_path_factory.mktemp("surface")
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(
        "schema: registry-mesh/access/1\npolicies:\n"
        "  - {name: all, subjects: everybody, repos: '**', allow: [pull, push, delete]}\n"
    )
    (folder / "users").write_text(USER)
    access = {"users": str(folder / "users"), "policies": str(folder / "policies")}
    config = {
        "role": "origin",
        "registry": "registry.example",
        "access": access,
        "pulls": {"file": str(folder / "pulls.sqlite")},
    }
    with nodes.Node(folder / "node", config) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def site(origin: nodes.Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Node]:
    """Below the origin: what it does not hold it asks for."""
    folder = tmp_path_factory.mktemp("surface-site")
    config = {
        "role": "site",
        "registries": {nodes.REGISTRY: {"parents": [[origin.url]]}},
        "pulls": {"file": str(folder / "pulls.sqlite")},
    }
    with nodes.Node(folder / "node", config) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def answers_as_is_said(operation: Operation, node: nodes.Node, examples: int) -> None:
    own = zlib.crc32(f"{SEED} {operation}".encode())
    print(f"SURFACE_SEED={SEED}: {operation} is asked by {own}")

    @seed(own)
    @settings(
        max_examples=examples if operation.parameters or "requestBody" in operation.spec else 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(operation))
    def answers(request: Request) -> None:
        check(operation, *ask(node.admin_port if operation.admin else node.port, request))

    answers()


@pytest.mark.parametrize("operation", tuple(operations()), ids=str)
def test_each_answer_is_one_that_is_said(operation: Operation, origin: nodes.Node) -> None:
    answers_as_is_said(operation, origin, EXAMPLES["origin"])


@pytest.mark.parametrize("operation", tuple(operations()), ids=str)
def test_each_answer_of_a_site_is_one_that_is_said(operation: Operation, site: nodes.Node) -> None:
    answers_as_is_said(operation, site, EXAMPLES["site"])


def test_no_operator_s_answer_is_given_to_another_name(origin: nodes.Node) -> None:
    for operation in operations():
        if operation.admin and operation.path not in PROBES:
            request = Request(operation.method, operation.path.encode(), (), b"", b"page.example")
            answer = ask(origin.admin_port, request)
            assert answer[0] == 421
            check(operation, *answer)


def test_each_end_point_is_described() -> None:
    said = {
        (re.sub(r"\{(digest|upload)\}", "{reference}", path).removeprefix("/v2/"), method.upper())
        for path, item in DOCUMENT["paths"].items()
        if path.startswith("/v2/")
        for method in item
        if method not in ("parameters", "servers")
    }
    served = {
        (endpoint.value, method)
        for endpoint, methods in ROUTES.items()
        for method in methods
        if method != "HEAD" and endpoint is not Endpoint.EXTENSION
    }
    assert said == served, FILE
