"""What a process of a node becomes when it is forked: a worker, or the keeper."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from registry_mesh.assembly.node.generation import Generation
from registry_mesh.assembly.node.keeper import Keeper
from registry_mesh.assembly.node.life import Life
from registry_mesh.assembly.node.worker import Worker
from registry_mesh.assembly.sources.parents import Seen
from registry_mesh.assembly.supervision.last_words import LastWords
from registry_mesh.assembly.supervision.seats import Seat, Seats
from registry_mesh.assembly.supervision.sockets import Sockets


@dataclass(frozen=True, slots=True)
class Fork:
    """One generation, as its service knew it when the process was forked."""

    generation: Generation
    sockets: Sockets
    others: Sequence[Sockets]
    """Of the generation and the version before: left to those whose they are."""
    elders: Sequence[tuple[int, Seats]]
    """Seats of older generations, by their number."""
    words: LastWords
    late: bool
    """Whether the node has served before."""

    def work(self, seat: Seat) -> int:
        """Answer clients until told to end; an exit code."""
        generation = self.generation
        ours = self.sockets.of_worker(seat.index, generation.config.workers)
        for each in (self.sockets, *self.others):
            each.close(ours)
        generation.board.clear(seat.index)
        seen = Seen(generation.board, seat.index, generation.told.last_files(seat.index))
        row = generation.table.row(seat.index)
        worker = Worker(generation.config, row, seen, generation.key, generation.told)

        async def drain(seconds: float) -> None:
            await worker.drain(seconds, replaced=seat.replaced)

        return Life(generation, seat, worker, drain, self.words, self.late).live(ours)

    def keep(self, seat: Seat) -> int:
        """Answer the operator, and do what goes on in the background, until told to end; an exit code."""
        generation, ours = self.generation, [self.sockets.operating]
        for each in (self.sockets, *self.others):
            each.close(ours)
        generation.board.clear(seat.index)
        keeper = Keeper(
            generation.config,
            generation.table,
            generation.seats,
            seat.index,
            generation.board,
            generation.told,
            self.elders,
        )

        async def outlive(seconds: float) -> None:
            """Answer the operator until the last worker has gone; one that is replaced leaves that to the other."""
            loop = asyncio.get_running_loop()
            deadline = loop.time() + seconds
            while not seat.replaced and loop.time() < deadline and not generation.seats.empty():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            if seat.replaced:
                await keeper.leave()

        return Life(generation, seat, keeper, outlive, self.words, self.late).live(ours)
