"""A node as a service: its processes, from a configuration file to an exit code."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from registry_mesh import __version__
from registry_mesh.access.tokens import KeyInvalid
from registry_mesh.assembly.access.policy_in_force import token_key
from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.node.generation import Generation, first_generation, next_generation
from registry_mesh.assembly.node.keeper import Keeper
from registry_mesh.assembly.node.life import Life
from registry_mesh.assembly.node.preflight import demand_store
from registry_mesh.assembly.node.worker import Worker
from registry_mesh.assembly.sources.parents import Seen
from registry_mesh.assembly.supervision import allocator, file_limit, systemd
from registry_mesh.assembly.supervision.handover import Handover, installed, started_as, tried
from registry_mesh.assembly.supervision.last_words import LastWords
from registry_mesh.assembly.supervision.loops import LoopMissing, loop_factory
from registry_mesh.assembly.supervision.seats import Seat
from registry_mesh.assembly.supervision.sockets import AddressTaken, listen, taken_from
from registry_mesh.assembly.supervision.supervisor import Child, Crew, Heard, Supervisor
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config
from registry_mesh.config.values import host_and_port
from registry_mesh.ports.failures import StoreForeign
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Key
from registry_mesh.telemetry.logs import FIELDS, log_to

log: Final = logging.getLogger(__name__)


class StartFailed(Exception):
    """No process of the node could start. `unfit`: to start it again as it is would be of no use."""

    def __init__(self, why: str, *, unfit: bool) -> None:
        super().__init__(why)
        self.unfit = unfit


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a node listens on: for clients, shared out by the kernel, and for its operator; with their addresses, as the
    configuration says them."""

    serving: list[socket.socket]
    operating: socket.socket
    listen: tuple[str, int]
    admin: tuple[str, int]

    @classmethod
    def of(cls, config: Config, held: Sequence[socket.socket] = ()) -> Sockets:
        """Those of `held` that listen where `config` says, and new ones; the rest is closed. `AddressTaken`."""
        addresses, left = _addresses(config), list(held)
        serving = taken_from(left, *addresses[0]) or listen(*addresses[0], config.workers)
        operating = taken_from(left, *addresses[1])
        for each in left:
            told = {"held": host_and_port(*each.getsockname()[:2]), "listen": str(config.listen)}
            log.warning("the service manager listens where the configuration does not", extra={FIELDS: told})
            each.close()
        try:
            return cls(serving, (operating or listen(*addresses[1]))[0], *addresses)
        except AddressTaken:
            for each in serving:
                each.close()
            raise

    def moved(self, config: Config) -> Sockets:
        """Those that `config` wants: these, where its addresses are the same. `AddressTaken`."""
        kept, (at, admin) = self, _addresses(config)
        if at != self.listen:
            kept = replace(kept, serving=listen(*at, config.workers), listen=at)
        if admin != self.admin:
            try:
                kept = replace(kept, operating=listen(*admin)[0], admin=admin)
            except AddressTaken:
                kept.close((*self.serving, self.operating))
                raise
        return kept

    def of_worker(self, index: int, workers: int) -> list[socket.socket]:
        """Each is served by somebody, whether there are more workers than sockets or fewer."""
        count = len(self.serving)
        return [self.serving[i] for i in range(index, count, workers)] or [self.serving[index % count]]

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return int(self.serving[0].getsockname()[1])

    def close(self, but: Sequence[socket.socket] = ()) -> None:
        """Close those that are not among `but`."""
        for each in (*self.serving, self.operating):
            if each not in but:
                each.close()


def _addresses(config: Config) -> tuple[tuple[str, int], tuple[str, int]]:
    return (config.listen.address, config.listen.port), (config.admin.address, config.admin.port)


@dataclass(slots=True)
class Service:
    """One node's processes. Sockets and shared memory are made before a fork."""

    path: Path
    config: Config
    adopt: bool = False
    """Whether another node's store is taken over."""
    sockets: Sockets = field(init=False)
    generation: Generation = field(init=False)
    words: LastWords = field(default_factory=LastWords)
    ready: bool = False
    """Whether all have served; children see it as it was when they were forked."""
    _coming: tuple[Generation, Sockets] | None = None
    _before: list[Generation] = field(default_factory=list)
    """Older ones whose processes may still run."""
    _carried: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    _handler: logging.Handler | None = None
    _handed: Handover | None = None
    _left: Sockets | None = None
    """Those of the version before, until this one serves."""

    def run(self) -> int:
        """Until a signal ends it. `AddressTaken`, `LoopMissing`, `StoreForeign`, `StartFailed`."""
        config = self.config
        handed = self._handed = Handover.taken()
        loop_factory(config.loop)
        files = file_limit.raise_limit()
        allocator.few_arenas()
        self._log_as(config)
        demand_store(config, adopt=self.adopt)
        key, number, taken = token_key(config), 1, ""
        if handed is None:
            self.sockets = Sockets.of(config, systemd.held_sockets())
        else:
            self._left = Sockets(*handed.sockets(), handed.listen, handed.admin)
            self.sockets, taken = self._moved(self._left, config)
            number = handed.number + 1
            key = key if config.access.tokens.key is not None or key is None else handed.secret or key
        self.generation = first_generation(config, str(self.path), key, number)
        if taken:
            self._say_refused([taken])

        def serving() -> None:
            self.ready = True
            if self._left is not None:
                self._left.close((*self.sockets.serving, self.sockets.operating))
                log.info(
                    "a new version took over", extra={FIELDS: {"version": __version__, "generation": number}}
                )
            where = host_and_port(self.sockets.listen[0], self.sockets.port)
            fields = {"listen": where, "workers": config.workers, "open_files": files}
            log.info("serving", extra={FIELDS: fields})

        heard = Heard(
            serving=serving,
            replace=self._replace,
            replaced=self._replaced,
            refused=self._refused,
            stopping=lambda: self.sockets.close((self.sockets.operating,)),
            restarted=lambda: self.generation.own.counter(names.WORKER_RESTARTS).add(),
        )
        elders, leaving = (handed.pids, handed.leaving) if handed else ((), ())
        code = Supervisor(self._crew(self.generation, self.sockets), heard, elders, leaving).run()
        if code and not self.ready and (said := self.words.heard()) is not None:
            raise StartFailed(said[1], unfit=said[0])
        return code

    def _moved(self, left: Sockets, config: Config) -> tuple[Sockets, str]:
        """Those that `config` wants, or those that were `left` and why: an address that was free when this version was
        tried may be taken by now, and there is no going back."""
        try:
            return left.moved(config), ""
        except AddressTaken as fault:
            return left, f"{fault}: the node stays at its addresses"

    def _log_as(self, config: Config) -> None:
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        self._handler = log_to(
            level=config.log.level, form=config.log.format, role=config.role, node=node_name(config)
        )

    def _crew(self, generation: Generation, sockets: Sockets) -> Crew:
        seats = generation.seats
        children = [Child(seat, partial(self._work, generation, sockets, seat)) for seat in seats.workers]
        children.append(Child(seats.keeper, partial(self._keep, generation, sockets)))
        return Crew(seats, children, generation.config.drain)

    # In a child

    def _work(self, generation: Generation, sockets: Sockets, seat: Seat) -> int:
        config = generation.config
        self._log_as(config)
        ours = sockets.of_worker(seat.index, config.workers)
        self._close_all_but(ours, sockets)
        generation.board.clear(seat.index)
        seen = Seen(generation.board, seat.index)
        worker = Worker(config, generation.table.row(seat.index), seen, generation.key, generation.told)

        async def drain(seconds: float) -> None:
            await worker.drain(seconds, replaced=seat.replaced)

        return Life(generation, seat, worker, drain, self.words, self.ready or self._handed is not None).live(
            ours
        )

    def _keep(self, generation: Generation, sockets: Sockets) -> int:
        seat = generation.seats.keeper
        self._log_as(generation.config)
        self._close_all_but([sockets.operating], sockets)
        generation.board.clear(seat.index)
        keeper = Keeper(
            generation.config,
            generation.table,
            generation.seats,
            seat.index,
            generation.board,
            generation.told,
            [(each.number, each.seats) for each in self._before if each is not generation],
        )

        async def outlive(seconds: float) -> None:
            """Answer the operator until the last worker has gone; one that is replaced leaves that to the other."""
            loop = asyncio.get_running_loop()
            deadline = loop.time() + seconds
            while not seat.replaced and loop.time() < deadline and not generation.seats.empty():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            if seat.replaced:
                await keeper.leave()

        return Life(
            generation, seat, keeper, outlive, self.words, self.ready or self._handed is not None
        ).live([sockets.operating])

    def _close_all_but(self, ours: list[socket.socket], sockets: Sockets) -> None:
        """In a child: leave the other sockets, of this generation and what was before, to those whose they are."""
        for each in (sockets, self.sockets, self._left):
            if each is not None:
                each.close(ours)

    # On SIGHUP, in the supervisor

    def _replace(self, pids: list[int], leaving: list[int]) -> Crew | None:
        """A crew for the file as it stands now; None where it cannot be used, which is said. Does not return where
        another version of the program is installed, and can take over."""
        words = started_as()
        if words is not None and (version := installed()) not in ("", __version__):
            self._hand_over(words, version, pids, leaving)
            return None
        try:
            loaded = load(self.path).fit()
            loop_factory(loaded.config.loop)
            demand_store(loaded.config, adopt=False)
            sockets = self.sockets.moved(loaded.config)
            key = self._key_for(loaded.config)
        except ConfigInvalid as invalid:
            self._say_refused([str(finding) for finding in invalid.findings])
            return None
        except (AddressTaken, LoopMissing, StoreForeign, KeyInvalid) as fault:
            self._say_refused([str(fault)])
            return None
        self._carry_counts()
        self._before.append(self.generation)
        tables = [each.table for each in self._before]
        generation = next_generation(loaded.config, self.generation, key, tables, self._carried)
        self._coming = (generation, sockets)
        self.words.heard()  # what was said before is none of this
        systemd.notify("STATUS=taking over a new configuration")
        return self._crew(generation, sockets)

    def _hand_over(self, words: list[str], version: str, pids: list[int], leaving: list[int]) -> None:
        """Become the program as it is installed now; return where it cannot take over, which is said."""
        handover = Handover(
            self.generation.number,
            self.sockets.listen,
            self.sockets.admin,
            [each.fileno() for each in self.sockets.serving],
            self.sockets.operating.fileno(),
            pids,
            leaving,
            base64.b64encode(self.generation.key or b"").decode(),
        )
        with handover.given() as descriptors:
            if not (why := tried(words, descriptors)):
                why = self._become(words, version)
        self._say_refused([f"{version}: {why}"])

    def _become(self, words: list[str], version: str) -> str:
        """Run the other program in this process; why that failed, where it returns."""
        log.info(
            "another version takes over", extra={FIELDS: {"version": version, "instead_of": __version__}}
        )
        for seat in self.generation.seats.all:
            seat.replace()
        try:
            os.execv(words[0], words)
        except OSError as fault:
            for seat in self.generation.seats.all:
                seat.stay()
            return str(fault)

    def _key_for(self, config: Config) -> bytes | None:
        """The same where none is named: tokens that were given stay good."""
        named = config.access.tokens.key is not None
        fresh = token_key(config)
        return fresh if named or fresh is None else self.generation.key or fresh

    def _carry_counts(self) -> None:
        """Carry on what generations counted whose processes have gone."""
        for each in [known for known in self._before if known.seats.vacant()]:
            self._before.remove(each)
            for key, cells in each.table.counted().items():
                known = self._carried.get(key, (0,) * len(cells))
                self._carried[key] = tuple(map(sum, zip(known, cells, strict=True)))

    def _replaced(self) -> None:
        """The new generation serves."""
        assert self._coming is not None, "it was begun"
        before, old = self.generation, self.sockets
        self.generation, self.sockets = self._coming
        self._coming = None
        old.close((*self.sockets.serving, self.sockets.operating))
        self._log_as(self.generation.config)
        changed = changed_keys(before.config, self.generation.config)
        fields = {"generation": self.generation.number, "took_effect": sorted(changed)}
        log.info("configuration read again", extra={FIELDS: fields})
        systemd.notify(f"STATUS=serving with {self.generation.config.workers} processes")

    def _refused(self) -> None:
        """The new generation could not start."""
        assert self._coming is not None, "it was begun"
        generation, sockets = self._coming
        self._coming = None
        sockets.close((*self.sockets.serving, self.sockets.operating))
        self._before.remove(self.generation)
        heard = self.words.heard()
        self._say_refused([heard[1] if heard else f"a process of generation {generation.number} died"])

    def _say_refused(self, faults: list[str]) -> None:
        self.generation.own.gauge(names.RELOAD_OK).set(0)
        self.generation.told.refuse(faults)
        log.error("the configuration is invalid: the old one holds", extra={FIELDS: {"faults": faults}})


def changed_keys(old: Config, new: Config) -> set[str]:
    """Top-level keys whose values differ. Files that they name are read again in any case."""
    return {key for key in Config.model_fields if getattr(old, key) != getattr(new, key)}


def serve(path: Path, config: Config, *, adopt: bool = False) -> int:
    """Run the node until it is told to end; an exit code. `adopt`: take over another node's store, which is
    `StoreForeign` else. `AddressTaken`, `LoopMissing`, `StartFailed`."""
    return Service(path, config, adopt).run()


def try_to_serve(config: Config) -> None:
    """Return where `serve` could begin, with what another version that serves hands over. `AddressTaken`,
    `LoopMissing`, `StoreForeign`."""
    handed = Handover.taken()
    loop_factory(config.loop)
    demand_store(config, adopt=False)
    if handed is not None:
        Sockets(*handed.sockets(), handed.listen, handed.admin).moved(config).close()
