"""What the fast path does, seen from outside."""

from __future__ import annotations

import pytest

from registry_mesh.edge.hot.connection import FastConnection, FastPath


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each request that the fast path looks at, whether it has answered it."""
    fast_ones: list[bool] = []
    original = FastConnection.answer

    def answer(self: FastConnection, path: FastPath, data: bytes) -> bool:
        fast_ones.append(original(self, path, data))
        return fast_ones[-1]

    monkeypatch.setattr(FastConnection, "answer", answer)
    return fast_ones
