"""Request targets: plain ones as they are, hostile ones refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.edge.faults import TargetTooLong
from registry_mesh.edge.target import parse_target
from registry_mesh.oci.refusals import NameInvalid, RequestInvalid


def test_plain() -> None:
    target = parse_target("/v2/a/b/tags/list?n=5&last=x%2By&tag=a&tag=b")
    assert target.path == "/v2/a/b/tags/list"
    assert target.query.one("n") == "5"
    assert target.query.one("last") == "x+y"
    assert target.query.all("tag") == ["a", "b"]
    assert target.query.one("none") is None
    with pytest.raises(RequestInvalid):
        target.query.one("tag")


def test_an_escape_that_needs_none_is_undone() -> None:
    assert parse_target("/v2/a/blobs/sha256%3Aab%63").path == "/v2/a/blobs/sha256:abc"


def test_absolute_form() -> None:
    assert parse_target("http://Some.host:1/v2/?ns=a").path == "/v2/"
    assert parse_target("HTTPS://h").path == "/"


@pytest.mark.parametrize(
    "raw",
    ["/v2/a%2fb", "/v2/a%2Fb", "/v2/%2e%2e/b", "/v2/a%00", "/v2/a%5cb", "/v2/a\\b", "/v2/a%", "/v2/a%4", "/v2/a%zz",
     "/v2/%25%32%66", "/v2/a%0d%0ab", "/v2/é", "/v2/%c3%a9", "/v2/a#b", "/v2/a\x7f", "v2/", "*", "", "ftp://h/v2/",
     "/v2/\udcff", "/v2/a%20b"],
)  # fmt: skip
def test_hostile_paths(raw: str) -> None:
    with pytest.raises(NameInvalid):
        parse_target(raw)


@pytest.mark.parametrize("query", ["n=%ff", "n=é", "a=1#b", "&".join(["a=1"] * 1300), "n=%00", "n=%0a"])
def test_hostile_queries(query: str) -> None:
    with pytest.raises((RequestInvalid, TargetTooLong)):
        parse_target(f"/v2/?{query}")


def test_dots_and_doubled_slashes_are_left_for_the_grammar_of_names() -> None:
    assert parse_target("/v2/a/../b//c/./d").path == "/v2/a/../b//c/./d"


@given(st.text(max_size=40))
def test_whatever_comes_is_taken_or_refused(text: str) -> None:
    for raw in (text, f"/v2/{text}", f"/v2/?{text}"):
        try:
            target = parse_target(raw)
        except (NameInvalid, RequestInvalid):
            continue
        assert target.path.isascii()
        assert target.path.isprintable()
        assert " " not in target.path
