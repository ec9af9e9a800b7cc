"""Fixtures of the stores."""

from __future__ import annotations

import pytest

from registry_mesh.stores import resumable_hash


@pytest.fixture
def without_libcrypto(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose digests have no state that can be put aside."""
    monkeypatch.setattr(resumable_hash, "FUNCTIONS", {})
