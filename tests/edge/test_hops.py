"""The nodes that a request names in CDN-Loop (RFC 8586)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.ports.hops import HOPS, LONGEST, Hops, cdn_loop, passed

A, B = "0123456789abcdef", "fedcba9876543210"


def test_those_of_the_mesh_in_order() -> None:
    assert passed([f"cloudflare, registry-mesh-{A}; v=1", f"registry-mesh-{B}"]) == (A, B)
    assert passed([]) == ()


@given(st.lists(st.text()))
def test_any_text(lines: list[str]) -> None:
    assert all(len(node) == 16 for node in passed(lines))


def test_a_request_on_behalf_of_another_names_all() -> None:
    assert cdn_loop(A) == f"registry-mesh-{A}"
    token = HOPS.set(Hops((B,)))
    try:
        assert passed([cdn_loop(A)]) == (B, A)
    finally:
        HOPS.reset(token)


def test_what_caches_above_say_is_bounded_and_printable() -> None:
    hops = Hops()
    hops.note(['"a"; hit', '"b"; fwd=miss\r\nX: y'])
    assert hops.above == '"a"; hit, "b"; fwd=missX: y'
    hops.note(["x" * (LONGEST + 1)])
    assert hops.above == '"a"; hit, "b"; fwd=missX: y'
