"""What a fill is at, and what may leave it.

A fill brings one blob in: chunk by chunk, in any order, by several processes at once. Two small machines say how far
it is. Nothing else of the room decides whether a reader may join, a transfer begin or a byte leave: it asks these.

**The fill** (`Phase`) goes from COMING to WRITTEN (every chunk is here, and nobody knows yet whether they are the
blob) to COMMITTED (the digest of the whole fitted). What it is at is a fact about the hold, which other processes write
too; so the phase is no field that could go stale: `FillState.phase` reads it from the hold. Three ends are this
process's own and stay: LIED, UNSTORABLE, CLOSED.

**The chunk map** (`MapPhase`) is asked for together with the first bytes. While it is ASKING, chunks that come are
left unmarked (`ChunkProof.early`): until it is known whether there is a map nobody takes them for held. A map that does
not come is not waited for for long: a whole blob goes on without it (LATE), a part of it waits for the whole.

**A failure is an event and no phase.** A transfer that ended badly fails the readers of that moment (`Troubles.fail`
counts an epoch); for later ones it is tried again.

When is a byte released?

- With a map: when its chunk was proven. Without one: when its chunk is written. Never a part of a chunk: what came of
  one that stays incomplete is given back to the disk, under the eyes of a reader that was given a slice of it.
- Once every chunk is written, nothing more leaves until the whole digest fitted. So a whole blob is never answered
  wrong to its end, and its last bytes are proof of all before them.
- A range that ends before that is complete without this proof: with a map it is proven, without one it is not.
"""

from __future__ import annotations

import enum

from registry_mesh.ports.partial import ChunkState


class LeavingChunks(enum.Enum):
    """What may leave a fill."""

    CHUNKS = "chunks that are here (`MapPhase` says from which state on)"
    NOTHING = "nothing"
    ALL = "all"
    REST = "to readers that are there: what is here; nothing to new ones"


class Phase(enum.Enum):
    """Of a fill. A row each: what it means, whether a reader may join, whether transfers begin, what leaves, and what
    may come next."""

    COMING = (
        "chunks are missing",
        True,
        True,
        LeavingChunks.CHUNKS,
        "WRITTEN COMMITTED LIED UNSTORABLE CLOSED",
    )
    WRITTEN = (
        "every chunk is here, the whole is not proven",
        True,
        False,
        LeavingChunks.NOTHING,
        "COMMITTED LIED COMING UNSTORABLE CLOSED",  # COMING: a chunk was found rotten
    )
    COMMITTED = (
        "the digest fitted: the store serves it",
        False,
        False,
        LeavingChunks.ALL,
        "UNSTORABLE CLOSED",
    )
    LIED = (
        "what came is not the blob: a new fill begins",
        False,
        False,
        LeavingChunks.NOTHING,
        "UNSTORABLE CLOSED",
    )
    UNSTORABLE = ("the store has no room or is broken: past it", False, False, LeavingChunks.REST, "CLOSED")
    CLOSED = ("nobody needs it any more", False, False, LeavingChunks.NOTHING, "")

    def __init__(self, meaning: str, joined: bool, fetches: bool, leaves: LeavingChunks, then: str) -> None:
        self.meaning = meaning
        self.joined = joined
        self.fetches = fetches
        self.leaves = leaves
        self.then = tuple(then.split())


class MapPhase(enum.Enum):
    """Of a fill's chunk map. A row each: what it means, the least state of a chunk that leaves, what becomes of a
    chunk that comes, and what may come next."""

    UNASKED = ("nothing is fetched yet", ChunkState.UNPROVEN, "", "ASKING THERE NONE")
    # THERE, NONE: parents were compared for the sake of who reads a part of what is held
    ASKING = ("a parent is asked for it", ChunkState.PROVEN, "left unmarked", "THERE NONE LACKING LATE")
    LATE = (
        "it is asked for still, and waited for no more",
        ChunkState.UNPROVEN,
        "UNPROVEN",
        "THERE NONE LACKING",
    )
    THERE = ("what was wanted of it is here", ChunkState.PROVEN, "proven, or thrown away", "ASKING NONE")
    # ASKING: more of it is wanted; NONE: it was convicted
    NONE = ("no parent has one", ChunkState.UNPROVEN, "UNPROVEN", "THERE")  # THERE: another registry's has
    LACKING = ("there is one, and it could not be had", ChunkState.PROVEN, "thrown away", "ASKING THERE")
    # THERE: what is wanted now was had before

    def __init__(self, meaning: str, need: ChunkState, coming: str, then: str) -> None:
        self.meaning = meaning
        self.need = need
        self.coming = coming
        self.then = tuple(then.split())

    @property
    def proves(self) -> bool:
        """Whether chunks are to be checked against a map that is there, on its way, or lacking."""
        return self.need is ChunkState.PROVEN
