"""Amounts as a person would say them."""

from __future__ import annotations

import pytest

from registry_mesh.config.scalars import parse_size
from registry_mesh.findings.words import quota_size


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("8GiB", "8.59 GB (8 GiB)"),
        ("500GiB", "537 GB (500 GiB)"),
        ("1.5GiB", "1.61 GB (1,536 MiB)"),
        ("50TiB", "55 TB (50 TiB)"),
        ("50TB", "50 TB"),
        ("500MB", "500 MB"),
        ("8GB", "8 GB"),
        ("1000001", "1 MB"),
        ("2KiB", "2.05 kB (2 KiB)"),
    ],
)
def test_a_quota_is_said_as_it_was_written_where_that_is_another_unit(written: str, said: str) -> None:
    assert quota_size(parse_size(written)) == said
