"""Reports of pulls from nodes below: what is taken, and from whom."""

from __future__ import annotations

import contextlib
import json
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.edge.pull_reports import parse_report
from registry_mesh.oci.refusals import RequestInvalid
from registry_mesh.ports.pulls import Pull

PULL = Pull(
    "2026-11-29", "cern", "r.example", "atlas/app", "manifest", "sha256:" + "a" * 64, "1", "alice", 2, 100
)


def changed(place: int, value: Any) -> bytes:
    row = list(astuple(PULL))
    row[place] = value
    return json.dumps([row]).encode()


def test_a_report_is_its_records() -> None:
    assert parse_report(json.dumps([astuple(PULL)] * 2).encode()) == [PULL, PULL]
    assert parse_report(b"[]") == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"[[]]",
        b"[1]",
        b"\xff",
        json.dumps([[*astuple(PULL), 1]]).encode(),
        changed(0, "yesterday"),
        changed(0, "2026-99-99"),
        changed(0, "2026-19-39"),
        changed(0, "2026-02-30"),
        changed(1, 7),
        changed(1, "a\nb"),
        changed(4, "tag"),
        changed(7, "x" * 600),
        changed(8, -1),
        changed(8, True),
        changed(8, 1.5),
        changed(9, 1 << 63),
        changed(9, None),
    ],
)
def test_what_is_no_report_is_refused_whole(data: bytes) -> None:
    with pytest.raises(RequestInvalid):
        parse_report(data)


@given(
    st.one_of(
        st.binary(),
        st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()),
    )
)
def test_anything_is_a_report_or_refused(data: bytes) -> None:
    with contextlib.suppress(RequestInvalid):
        assert all(isinstance(pull, Pull) for pull in parse_report(data))
