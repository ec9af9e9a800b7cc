"""One configuration and what its processes share: made by the supervisor before they are forked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from registry_mesh.assembly.labels import board, layout
from registry_mesh.assembly.supervision.seats import Seats
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.config.schema import Config
from registry_mesh.telemetry import names
from registry_mesh.telemetry.exporting import Outage
from registry_mesh.telemetry.instruments import Instruments, Key, Table
from registry_mesh.upstream.health.board import Board


@dataclass(frozen=True, slots=True)
class Generation:
    """The `number`th configuration of a node, counted from 1."""

    number: int
    config: Config
    seats: Seats
    table: Table
    board: Board
    told: Told
    outage: Outage
    """Of what takes traces."""
    key: bytes | None
    """What all workers sign tokens with."""

    @property
    def own(self) -> Instruments:
        """The supervisor's row."""
        return self.table.row(self.config.workers + 1)

    def __repr__(self) -> str:
        return f"<Generation {self.number} of {self.config.role}>"


def first_generation(config: Config, path: str, key: bytes | None, number: int = 1) -> Generation:
    """Of a node that starts, or of a version of the program that takes over: then `number` is not 1."""
    return _generation(number, config, path, key, (), {})


@dataclass(slots=True)
class Elders:
    """Generations whose processes may still run, and what those counted whose processes have gone."""

    _standing: list[Generation] = field(default_factory=list)
    _carried: dict[Key, tuple[int, ...]] = field(default_factory=dict)

    def follow(self, last: Generation, config: Config, key: bytes | None) -> Generation:
        """What follows on `last`, which is an elder from now on; it counts on from them all."""
        self._carry()
        self._standing.append(last)
        tables = [each.table for each in self._standing]
        made = _generation(last.number + 1, config, last.told.path, key, tables, self._carried)
        made.told.began = last.told.began
        return made

    def stay(self, last: Generation) -> None:
        """What was to follow on `last` could not start."""
        self._standing.remove(last)

    def seats(self, but: Generation) -> list[tuple[int, Seats]]:
        """Those of all but one, by number."""
        return [(each.number, each.seats) for each in self._standing if each is not but]

    def _carry(self) -> None:
        for each in [known for known in self._standing if known.seats.vacant()]:
            self._standing.remove(each)
            for key, cells in each.table.counted().items():
                known = self._carried.get(key, (0,) * len(cells))
                self._carried[key] = tuple(map(sum, zip(known, cells, strict=True)))


def _generation(
    number: int,
    config: Config,
    path: str,
    key: bytes | None,
    tables: Sequence[Table],
    carried: Mapping[Key, tuple[int, ...]],
) -> Generation:
    made = Generation(
        number,
        config,
        Seats(config.workers),
        Table(layout(config), config.workers + 2, tables, carried),  # the last row is the supervisor's
        board(config, config.workers + 1),
        Told(path, number=number, rows=config.workers),
        Outage(),
        key,
    )
    made.own.gauge(names.RELOAD_OK).set(1)
    return made
