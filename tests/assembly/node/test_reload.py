"""What of a configuration changed, as it is told; and sockets for any number of workers."""

from __future__ import annotations

import socket

import pytest

from registry_mesh.assembly.node.generation import Elders, first_generation
from registry_mesh.assembly.node.service import changed_keys
from registry_mesh.assembly.supervision.sockets import Sockets
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config

BASE = """\
role: site
name: {name}
store: {{disk: {{path: x}}}}
access: {{anonymous: {access}}}
registries:
  a.example: {{parents: [[{parent}]], tags: {{ttl: {ttl}}}}}
"""


def config(name: str = "s", access: str = "pull", parent: str = "http://p", ttl: str = "1m") -> Config:
    return parse(BASE.format(name=name, access=access, parent=parent, ttl=ttl), "f").config


def test_the_same_changes_nothing() -> None:
    assert changed_keys(config(), config()) == set()


def test_whatever_differs_is_named() -> None:
    assert changed_keys(config(), config(name="t", access="nothing", parent="http://q")) == {
        "name",
        "access",
        "registries",
    }


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (4, 4), (4, 2), (4, 3), (2, 5), (1, 4)])
def test_every_socket_is_served_and_every_worker_serves(count: int, workers: int) -> None:
    made = [socket.socket() for _ in range(count + 1)]
    sockets = Sockets(made[:count], made[count], ("127.0.0.1", 0), ("127.0.0.1", 0))
    try:
        shares = [sockets.of_worker(index, workers) for index in range(workers)]
        assert all(shares)
        assert {each for share in shares for each in share} == set(made[:count])
    finally:
        sockets.close()


def test_what_is_told_of_a_node_s_age_is_its_own_and_not_that_of_its_last_configuration() -> None:
    first = first_generation(config(), "f", None)
    first.told.began -= 3600
    elders = Elders()
    second = elders.follow(first, config(name="t"), None)
    third = elders.follow(second, config(), None)
    assert third.told.began == second.told.began == first.told.began
    assert third.told.loaded >= second.told.loaded >= first.told.loaded
