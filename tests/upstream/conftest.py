"""Parents are spoken to on both loops: they hand over their sockets differently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from registry_mesh.ports.repositories import Repository
from tests.simulators.registry import SimulatedRegistry, simulated_registry
from tests.simulators.upstream import repository_of


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this room on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def parent() -> AsyncIterator[SimulatedRegistry]:
    async with simulated_registry() as registry:
        yield registry


@pytest.fixture
async def app(parent: SimulatedRegistry) -> AsyncIterator[Repository]:
    """A repository as `parent` has it."""
    async with repository_of(parent) as repository:
        yield repository
