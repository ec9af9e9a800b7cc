"""One configuration and what its processes share: made by the supervisor before they are forked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def next_generation(
    config: Config,
    before: Generation,
    key: bytes | None,
    tables: Sequence[Table],
    carried: Mapping[Key, tuple[int, ...]],
) -> Generation:
    """What follows on `before`. `tables`: those that processes still count in, that of `before` among them; `carried`:
    what was counted in those of processes that have gone."""
    return _generation(before.number + 1, config, before.told.path, key, tables, carried)


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
