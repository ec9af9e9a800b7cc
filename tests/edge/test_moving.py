"""What is told of bodies on their way to clients: the longest of them, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.moving import longest
from registry_mesh.oci.endpoints import Endpoint

CALL = SimpleNamespace(
    endpoint=Endpoint.BLOB,
    reference="sha256:aa",
    repository=SimpleNamespace(registry="r.example", name="team/app"),
    who=SimpleNamespace(subject="alice"),
)


@dataclass
class Sent:
    """What is asked of an exchange, and how often it was told of."""

    headed: float
    sending: tuple[int, int] | None = (100, 0)
    call: Any = field(default_factory=lambda: CALL)  # Any: stands for what an exchange has
    by_tag: bool = False
    resolved: str = ""
    provenance: None = None
    wire: Any = field(default_factory=lambda: SimpleNamespace(progress=40))
    told: int = 0

    @property
    def request(self) -> Any:
        self.told += 1
        return SimpleNamespace(remote="10.0.0.1")


def told(exchanges: list[Sent], most: int) -> tuple[list[float], int]:
    bodies, count = longest(cast("list[Exchange]", exchanges), 1000.0, most)
    return [each.seconds for each in bodies], count


def test_a_crowd_is_counted_and_the_longest_of_it_are_told_of() -> None:
    crowd = [Sent(float(n * 7 % 1000)) for n in range(1000)]
    assert told(crowd, 3) == ([1000.0, 999.0, 998.0], 1000)
    assert sum(each.told for each in crowd) == 3, "the loop does nothing for each of the others"


def test_what_sends_nothing_of_a_repository_is_not_counted() -> None:
    listing = SimpleNamespace(endpoint=Endpoint.CATALOG, repository=None, who=CALL.who)
    assert told([Sent(1.0, sending=None), Sent(2.0, call=None), Sent(3.0, call=listing), Sent(4.0)], 3) == (
        [996.0],
        1,
    )
