"""What the parts of one fill share. What its phases mean, and what may leave in each, is in `content.fill.phases`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB, count
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.content.fill.compared import ComparedChunks
from registry_mesh.content.fill.digest_proof import DigestProof
from registry_mesh.content.fill.first_use import FirstUse
from registry_mesh.content.fill.lanes import LaneShares
from registry_mesh.content.fill.phases import LeavingChunks, MapPhase, Phase
from registry_mesh.content.fill.policy import LOOK, FillPolicy
from registry_mesh.content.fill.readers import Readers
from registry_mesh.content.fill.retries import RetryBudget
from registry_mesh.content.fill.troubles import Troubles
from registry_mesh.content.fill.via import Via
from registry_mesh.content.fill.vouched import VouchedChunks
from registry_mesh.ports.failures import Failure, SourceLied, StoreBroken, bare
from registry_mesh.ports.partial import Bytes, ChunkState, Hold, Marks, Outcome

log: Final = logging.getLogger(__name__)

BEHIND: Final = 4 * MIB // CHUNK
"""Written chunks that wait to be hashed before a thread is sent after them."""


class FillState:
    """What the parts of one fill share: its hold, its readers, its phases, and what has come so far.

    `told_by` is the source whose answer said how large the blob is; "" where that was known before. `budget`: how often
    sources are asked again, by all fills of the process; `shares`: what lanes they have.
    """

    def __init__(
        self,
        hold: Hold,
        policy: FillPolicy,
        told_by: str = "",
        budget: RetryBudget | None = None,
        shares: LaneShares | None = None,
    ) -> None:
        self.budget = budget or RetryBudget()
        self.shares = shares or LaneShares()
        self.marks: Marks = hold
        self.bytes: Bytes = hold
        self.outcome: Outcome = hold
        self.digest = hold.info.digest
        self.size = hold.info.size
        self.chunks = count(self.size)
        self.policy = policy
        self.readers = Readers(policy.wake)
        self.digest_proof = DigestProof(hold, hold)
        self.vouched = VouchedChunks(self.chunks)
        self.compared = ComparedChunks(hold, self.chunks)
        self.map_phase = MapPhase.UNASKED
        self.sums = NEWEST
        """By which chunks are summed as they come: as the map is, or before it is here as it most likely is."""
        self.disputed = False
        """Parents gave chunk maps that cannot both be right, or none but wrong ones: nothing but the whole digest
        proves anything."""
        self.parts_withheld = False
        """The chunk map does not come, from parents that have maps: no part leaves but proven; a whole blob does, as
        from parents without maps."""
        self.unstorable: Failure | None = None
        self.troubles = Troubles()
        self.fetched = 0
        self.fetched_from: dict[str, int] = {}
        """Of that, bytes by `Provenance.near`; "" for parents."""
        self.sources: dict[str, Via] = {}
        """The sources that sent some of it, and through which registry."""
        self.tasks: set[asyncio.Task[None]] = set()
        states = hold.states()
        self.first_use = FirstUse(hold, states, self._miss)
        self._end: Phase | None = None
        self._told_by = told_by
        self._first_missing = 0
        self._held = len(states) - states.count(0)  # a lower bound: other processes write too

    @property
    def summed_by(self) -> SumAlgorithm | None:
        """What a chunk that begins to come is summed by; None where no map is going to prove it."""
        return self.sums if self.map_phase.proves else None

    # -- phases -------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """What the fill is at."""
        return self._end or self.hold_phase

    @property
    def hold_phase(self) -> Phase:
        """What the hold is at, whatever became of this process's part in it."""
        if self.outcome.discarded:
            return Phase.LIED
        if self.outcome.committed:
            return Phase.COMMITTED
        return Phase.WRITTEN if self._is_written() else Phase.COMING

    def _is_written(self) -> bool:
        if self._first_missing < self.chunks and not self.marks.state(self._first_missing):
            return False
        while self._first_missing < self.chunks:
            stop = min(self.chunks, self._first_missing + LOOK)
            self._first_missing = self.marks.run(self._first_missing, stop, ChunkState.UNPROVEN)
            if self._first_missing < stop:
                return False
        return True

    def lie(self) -> None:
        """All is written and the digest does not fit: LIED. Those that sent some of it are told of together."""
        if self._end is None:
            self._end = Phase.LIED
        if len(self.sources) > 1:
            log.warning("%s: parts of it came of %s, and it is wrong", self.digest, self.senders)
        self.blame("the bytes do not have the digest asked for")

    def differs(self, source: str, size: int, via: Via) -> None:
        """Nobody who can be asked says that the blob is so large: LIED, once its hold is discarded. A source that has
        said both sizes is told of; of two that differ nobody knows yet which is wrong."""
        if self._end is None:
            self._end = Phase.LIED
        if source == self._told_by:
            via.distrust(source, self.digest, f"named {self.size} bytes, and then {size}")
        elif self._told_by:
            via.doubt(self._told_by, self.digest)

    def cannot_store(self, failure: Failure) -> None:
        """The store cannot take or give it: UNSTORABLE."""
        self.unstorable = bare(failure)
        if self._end is not Phase.CLOSED:
            self._end = Phase.UNSTORABLE

    def unreadable(self) -> None:
        """A reader found that what is held cannot be read: the next reader goes past the store."""
        self.cannot_store(StoreBroken("what is held cannot be read"))
        self.readers.wake_now()

    def close(self) -> None:
        """CLOSED."""
        self._end = Phase.CLOSED

    def released(self, position: int, stop: int) -> int:
        """How far into bytes [position, stop) a reader that is there may go now."""
        phase = self.phase
        if phase.leaves is LeavingChunks.REST:
            phase = self.hold_phase
        if phase.leaves is LeavingChunks.ALL:
            return stop
        if phase.leaves is LeavingChunks.NOTHING:
            return position
        upto = self.marks.run(position // CHUNK, count(stop), self.map_phase.need)
        return max(position, min(stop, upto * CHUNK))

    def trouble(self, registry: str, epoch: int) -> Exception | None:
        """Why a reader through `registry` that knows of the failures before `epoch` gets nothing more; None where it
        may wait."""
        if self.unstorable is not None:
            return bare(self.unstorable)
        if self.phase is Phase.LIED:
            return SourceLied("the bytes that came do not have the digest asked for", source=self.senders)
        return self.troubles.since(registry, epoch)

    # -- what has come ------------------------------------------------------------------------------------------

    @property
    def gap(self) -> range:
        """The first chunk that is missing, and all behind it."""
        return range(self._first_missing, self.chunks)

    @property
    def nearly_whole(self) -> bool:
        """Whether so much is held that the rest is fetched unasked."""
        share = self.policy.complete_after
        return share <= 1 and self._held >= share * self.chunks

    def came(self, index: int, chunks: int) -> None:
        """So many chunks from `index` on are written."""
        self._held += chunks
        self.first_use.came(index, chunks)

    def stored(self, size: int, source: str, via: Via, near: str = "") -> None:
        """A batch was written, and its whole chunks were told of."""
        self.fetched += size
        self.fetched_from[near] = self.fetched_from.get(near, 0) + size
        self.sources[source] = via
        if not self.vouched.trusted and self.digest_proof.behind(BEHIND):
            self.spawn(self.digest_proof.catch_up())
        self.readers.wake(size)

    def prove(self, index: int, chunks: int = 1) -> None:
        """So many chunks from `index` on, of one page, fit the chunk map."""
        self.compared.prove(index, chunks)
        self.marks.mark(index, ChunkState.PROVEN, chunks)
        self.vouched.prove(index, chunks)

    def hash_in_thread(self, offset: int, data: bytes | memoryview) -> None:
        """In the thread that wrote `data`: take it into the digest of the whole, unless chunks are vouched for."""
        if not self.vouched.trusted:
            self.digest_proof.inline(offset, data)

    def throw_away(self, index: int) -> None:
        """Wrong bytes: missing again, and out of the hash."""
        self.marks.mark(index, ChunkState.MISSING)
        self._miss(index)
        if self.digest_proof.offset > index * CHUNK:
            self.digest_proof = DigestProof(self.marks, self.bytes)

    def _miss(self, index: int) -> None:
        """A chunk that was there is not any more."""
        self.vouched.miss(index)
        self.compared.miss(index)
        self._first_missing = min(self._first_missing, index)

    # -- what went wrong ------------------------------------------------------------------------------------------

    def stumbled(self, failure: Failure, via: Via) -> None:
        """A stream broke, or was wrong; its transfer goes on elsewhere if it can."""
        self.troubles.stumble(failure, via)
        if isinstance(failure, SourceLied):
            via.distrust(failure.source, self.digest, failure.reason)

    def blame(self, reason: str, source: str = "") -> None:
        """Something of what came was wrong; without `source` nobody knows whose it was. The source that came last to
        send some is named first: it was asked because another did not do."""
        names = source or ", ".join(filter(None, reversed(self.sources)))
        for distrust in {via.distrust for via in self.sources.values()}:
            distrust(names, self.digest, reason)

    def dispute(self, reason: str) -> None:
        """The chunk maps that came are wrong, or nobody knows which is; the digest of the whole will tell."""
        self.disputed = self.marks.doubted = True
        log.warning("%s: %s: no part of it leaves before all of it is proven", self.digest, reason)

    def withhold_parts(self, reason: str) -> None:
        """The chunk map does not come; see `parts_withheld`."""
        if not self.parts_withheld:
            log.warning("%s: %s: no range of it leaves before all of it is proven", self.digest, reason)
        self.parts_withheld = self.marks.doubted = True

    def strip(self) -> None:
        """Let what is kept of failures keep no frames of those that raised it last."""
        self.troubles.strip()
        if self.unstorable is not None:
            bare(self.unstorable)

    @property
    def senders(self) -> str:
        """The names of all that sent some of it."""
        return ", ".join(sorted(filter(None, self.sources)))

    # -- tasks ----------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have `work` done; it ends with the fill."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
