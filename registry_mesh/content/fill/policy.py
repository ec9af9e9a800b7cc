"""The settings of fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.chunks.readahead import ReadaheadPolicy
from registry_mesh.chunks.steal import StealPolicy
from registry_mesh.content.fill.lanes import LanePolicy
from registry_mesh.content.fill.pace import PacePolicy

QUEUED: Final = 4 * MIB
"""Bytes received and not yet stored before a stream is made to wait, where nothing else is said."""

BATCH: Final = MIB
"""Bytes stored at a time, where nothing else is said. In a trial a quarter, and four times as much, cost a fifth more
CPU a GiB."""

MAP_WAIT: Final = 2.0
"""Seconds for which what has come waits for the chunk map: a parent may have to make it, or is far away."""

LOOK: Final = 256
"""Chunks whose states are looked at at once: a layer of 60 GiB has half a million."""


@dataclass(frozen=True, slots=True)
class FillPolicy:
    """How far ahead, how much unasked, how often.

    `window`: bytes a transfer runs ahead of the reader that wants it. `complete_after`: the held share from which the
    rest is fetched unasked (0: always; above 1: never). `wake`: seconds between wake-ups of readers. `poll`: seconds
    between two looks at what another process brings. `patience`: seconds for which a transfer waits for slow readers;
    then it ends, and its connection is free: what is on its way comes a second time, some MB at most, should they go
    on. `streams`: transfers of one blob at a time. `silence`: seconds without a byte after which a transfer gives way
    to a reader of another registry, whose own parents may do better. `believe`: seconds that a reader waits at most
    for a small blob to be proven before it is told the size. `pace`: when a source is too slow.
    `lanes`: how many streams there are to one that is far away. `queued`: bytes of a stream that are received and not
    stored before it waits; `batch`: those that are stored at a time. `map_wait`: seconds for which what has come waits
    for the chunk map.
    """

    window: int = 16 * MIB
    complete_after: float = 0.9
    steal: StealPolicy = field(default_factory=StealPolicy)
    readahead: ReadaheadPolicy = field(default_factory=ReadaheadPolicy)
    wake: float = 0.004
    poll: float = 0.004
    patience: float = 60.0
    streams: int = 64
    silence: float = 1.0
    believe: float = 5.0
    pace: PacePolicy = field(default_factory=PacePolicy)
    lanes: LanePolicy = field(default_factory=LanePolicy)
    map_wait: float = MAP_WAIT
    queued: int = QUEUED
    batch: int = BATCH
