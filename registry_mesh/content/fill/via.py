"""Through which registry a reader came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from registry_mesh.content.fill.rivals import NoRivals, Rivals
from registry_mesh.content.fill.vouched import SignedRoot, nothing_is_signed
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.place import Place

Distrust = Callable[[str, Digest, str], None]
"""Is told (source, digest, reason) when a source's bytes were wrong."""

Doubt = Callable[[str, Digest], None]
"""Is told (source, digest) when a source gave nothing of use and another may do better. It is no liar for that."""

Gave = Callable[[Digest], Awaitable[None]]
"""Is told of a digest that the source gave, before another process can join what begins with it."""


def nobody_doubts(source: str, digest: Digest) -> None:
    """Nobody is told."""


async def _not_noted(digest: Digest) -> None:
    """Nothing is noted."""


NO_RIVALS: Final = NoRivals()


@dataclass(frozen=True, slots=True)
class Via:
    """A registry's own parents. A fill belongs to no registry: each reader is served through its own, or by bytes that
    are here anyway, and never waits for the parents, the credentials or the budget of another.

    `source` may give the beginning of what it is asked for: then it is asked for the rest. `registry` tells one from
    the other. `place` is noted as where the blob comes from. `rivals`: how fast its parents are, one compared with the
    others. `signed`: which chunk maps the registry itself has signed.
    """

    registry: str
    source: BlobSource
    distrust: Distrust
    doubt: Doubt = nobody_doubts
    place: Place | None = None
    rivals: Rivals = NO_RIVALS
    gave: Gave = _not_noted
    signed: SignedRoot = nothing_is_signed
