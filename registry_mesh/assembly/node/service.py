"""A node as a service: its processes, from a configuration file to an exit code."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from registry_mesh import __version__
from registry_mesh.access.tokens import KeyInvalid
from registry_mesh.assembly.access.policy_in_force import token_key
from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.node.fork import Fork
from registry_mesh.assembly.node.generation import Elders, Generation, first_generation
from registry_mesh.assembly.node.new_version import hand_over, moved_if_free, sockets_left
from registry_mesh.assembly.node.preflight import demand_store
from registry_mesh.assembly.supervision import allocator, file_limit, systemd
from registry_mesh.assembly.supervision.crew import Child, Crew
from registry_mesh.assembly.supervision.handover import Handover, installed, started_as
from registry_mesh.assembly.supervision.last_words import LastWords
from registry_mesh.assembly.supervision.loops import LoopMissing, loop_factory
from registry_mesh.assembly.supervision.seats import Seat
from registry_mesh.assembly.supervision.sockets import AddressTaken, Sockets
from registry_mesh.assembly.supervision.supervisor import Heard, Supervisor
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config
from registry_mesh.config.values import host_and_port
from registry_mesh.ports.failures import StoreForeign
from registry_mesh.telemetry import names
from registry_mesh.telemetry.logs import FIELDS, log_to

log: Final = logging.getLogger(__name__)


class StartFailed(Exception):
    """No process of the node could start. `unfit`: to start it again as it is would be of no use."""

    def __init__(self, why: str, *, unfit: bool) -> None:
        super().__init__(why)
        self.unfit = unfit


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
    _elders: Elders = field(default_factory=Elders)
    _handler: logging.Handler | None = None
    _handed: Handover | None = None
    _left: Sockets | None = None
    """Those of the version before, until this one serves."""

    def run(self) -> int:
        """Until a signal ends it. `AddressTaken`, `LoopMissing`, `StoreForeign`, `StartFailed`."""
        handed = self._handed = Handover.taken()
        loop_factory(self.config.loop)
        files = file_limit.raise_limit()
        allocator.few_arenas()
        self._log_as(self.config)
        demand_store(self.config, adopt=self.adopt)
        if handed is None:
            self._begin()
        else:
            self._take_over(handed)
        heard = Heard(
            serving=partial(self._serving, files),
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

    def _begin(self) -> None:
        """By itself, with the sockets that the service manager may hold."""
        key = _key(self.config, None)
        self.sockets = Sockets.of(self.config, systemd.held_sockets())
        self.generation = first_generation(self.config, str(self.path), key)

    def _take_over(self, handed: Handover) -> None:
        """From another version of the program, with its sockets and its children."""
        key = _key(self.config, handed.secret)
        self._left = sockets_left(handed)
        self.sockets, taken = moved_if_free(self._left, self.config)
        self.generation = first_generation(self.config, str(self.path), key, handed.number + 1)
        if taken:
            self._say_refused([taken])

    def _serving(self, files: int) -> None:
        """All processes serve for the first time."""
        self.ready = True
        if self._left is not None:
            self._left.close((*self.sockets.serving, self.sockets.operating))
            told = {"version": __version__, "generation": self.generation.number}
            log.info("a new version took over", extra={FIELDS: told})
        where = host_and_port(self.sockets.listen[0], self.sockets.port)
        fields = {"listen": where, "workers": self.config.workers, "open_files": files}
        log.info("serving", extra={FIELDS: fields})

    def _log_as(self, config: Config) -> None:
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        self._handler = log_to(
            level=config.log.level, form=config.log.format, role=config.role, node=node_name(config)
        )

    def _crew(self, generation: Generation, sockets: Sockets) -> Crew:
        seats = generation.seats

        def work(seat: Seat) -> int:
            return self._fork(generation, sockets).work(seat)

        def keep() -> int:
            return self._fork(generation, sockets).keep(seats.keeper)

        children = [Child(seat, partial(work, seat)) for seat in seats.workers]
        # What workers told is to be saved, however soon the node is to end.
        keeper = Child(seats.keeper, keep, listens=True)
        return Crew(seats, [*children, keeper], generation.config.drain)

    def _fork(self, generation: Generation, sockets: Sockets) -> Fork:
        """In a child: what it is to know of the service."""
        self._log_as(generation.config)
        others = [each for each in (self.sockets, self._left) if each is not None]
        late = self.ready or self._handed is not None
        return Fork(generation, sockets, others, self._elders.seats(generation), self.words, late)

    # On SIGHUP, in the supervisor

    def _replace(self, pids: list[int], leaving: list[int]) -> Crew | None:
        """A crew for the file as it stands now; None where it cannot be used, which is said. Does not return where
        another version of the program is installed, and can take over."""
        words = started_as()
        if words is not None and (version := installed()) not in ("", __version__):
            why = hand_over(self.generation, self.sockets, words, version, pids, leaving)
            self._say_refused([f"{version}: {why}"])
            return None
        try:
            loaded = load(self.path).fit()
            loop_factory(loaded.config.loop)
            demand_store(loaded.config, adopt=False)
            sockets = self.sockets.moved(loaded.config)
            key = _key(loaded.config, self.generation.key)
        except ConfigInvalid as invalid:
            self._say_refused([str(finding) for finding in invalid.findings])
            return None
        except (AddressTaken, LoopMissing, StoreForeign, KeyInvalid) as fault:
            self._say_refused([str(fault)])
            return None
        generation = self._elders.follow(self.generation, loaded.config, key)
        self._coming = (generation, sockets)
        self.words.heard()  # what was said before is none of this
        systemd.notify("STATUS=taking over a new configuration")
        return self._crew(generation, sockets)

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
        self._elders.stay(self.generation)
        heard = self.words.heard()
        self._say_refused([heard[1] if heard else f"a process of generation {generation.number} died"])

    def _say_refused(self, faults: list[str]) -> None:
        self.generation.own.gauge(names.RELOAD_OK).set(0)
        self.generation.told.refuse(faults)
        log.error("the configuration is invalid: the old one holds", extra={FIELDS: {"faults": faults}})


def _key(config: Config, before: bytes | None) -> bytes | None:
    """The key of tokens; that of `before` where none is named: tokens that were given stay good."""
    fresh = token_key(config)
    named = config.access.tokens.key is not None
    return fresh if named or fresh is None else before or fresh


def changed_keys(old: Config, new: Config) -> set[str]:
    """Top-level keys whose values differ. Files that they name are read again in any case."""
    return {key for key in Config.model_fields if getattr(old, key) != getattr(new, key)}


def serve(path: Path, config: Config, *, adopt: bool = False) -> int:
    """Run the node until it is told to end; an exit code. `adopt`: take over another node's store, which is
    `StoreForeign` else. `AddressTaken`, `LoopMissing`, `StartFailed`."""
    return Service(path, config, adopt).run()
