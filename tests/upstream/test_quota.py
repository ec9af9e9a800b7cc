"""Each way in which a registry says what is left of what it allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from registry_mesh.upstream.health.quota import Allowance, allowance

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            Allowance(76.0, 100.0, None),
        ),
        (
            {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000030"},
            Allowance(0.0, 60.0, 30.0),
        ),
        ({"RateLimit-Remaining": "5", "RateLimit-Reset": "12"}, Allowance(5.0, None, 12.0)),
        (
            {"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'},
            Allowance(50.0, 100.0, 30.0),
        ),
        ({"RateLimit": '"default"', "X-RateLimit-Remaining": "3"}, Allowance(3.0, None, None)),
        ({"RateLimit-Remaining": "many"}, None),
        ({"RateLimit-Remaining": "-1"}, None),
        ({"RateLimit-Remaining": "9" * 400}, None),
        ({}, None),
    ],
)
def test_what_is_left(fields: dict[str, str], told: Allowance | None) -> None:
    assert allowance(CIMultiDict(fields), NOW) == told


@given(st.dictionaries(st.sampled_from(["RateLimit", "RateLimit-Remaining", "RateLimit-Reset"]), st.text()))
def test_any_text_is_read_or_passed_over(fields: dict[str, str]) -> None:
    found = allowance(CIMultiDict(fields), NOW)
    assert found is None or found.remaining >= 0
