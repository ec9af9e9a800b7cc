"""The bytes of blobs on their way: from sources into the store, and from the store out to other registries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial

from registry_mesh.content.snapshot.copying.copy_keys import BlobKey, Bring, PushKey
from registry_mesh.content.snapshot.copying.flow import OutsideWindow, PacedBlobs
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.copying.wanted_blobs import WantedBlob
from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.jobs import Later
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.blobs import BlobSource, BlobStore
from registry_mesh.ports.failures import Failure, SourceHung, SourceUnavailable, StoreBroken
from registry_mesh.ports.place import Place


class CopyBytes:
    """What the jobs of a copy do that move bytes. They leave their place to others while they wait (`Later`). `again`:
    seconds after which a blob is tried again that failed for no lasting reason."""

    def __init__(
        self, store: BlobStore, bring: Bring, meter: Meter, asking: Asking, again: Sequence[float]
    ) -> None:
        self._pauses = again
        self._store = store
        self._bring_blob = bring
        self._meter = meter
        self._asking = asking
        self._failed: Counter[Hashable] = Counter()

    async def bring(self, wanted: WantedBlob) -> None:
        """From the first repository that can give it."""
        key = BlobKey.of(wanted.blob)
        try:
            await self.patiently(key, partial(self._brought, key, wanted))
            self._meter.complete(key, wanted.rules)
        finally:
            self._meter.images.stopped(key)

    async def push(self, place: Place, wanted: WantedBlob) -> None:
        """From the store out to a registry."""
        source: BlobSource = self._store
        if wanted.open_flow() is not None:
            source = PacedBlobs(self._store, wanted.open_flow)
        key = PushKey(place, BlobKey.of(wanted.blob))
        push = partial(wanted.outward[place].push, wanted.blob, source, partial(self._moved, key, wanted))
        try:
            await self.patiently(key, partial(self._asking.once, place.registry, push, key))
            self._meter.complete(key, wanted.rules)
        finally:
            self._meter.images.stopped(key)

    async def patiently(self, key: Hashable, do: Callable[[], Awaitable[None]]) -> None:
        """Once more after a while where it failed as a source fails now and then; then it is named."""
        try:
            await do()
        except SourceUnavailable as failure:
            tried = self._failed[key]
            if type(failure) not in (SourceUnavailable, SourceHung) or tried >= len(self._pauses):
                raise
            self._failed[key] += 1
            raise Later(self._pauses[tried]) from None

    async def _brought(self, key: BlobKey, wanted: WantedBlob) -> None:
        failure: Failure | Refusal = SourceUnavailable(f"nobody has {wanted.blob.digest}")
        is_free = wanted.open_flow() is None
        for source in wanted.sources:
            blobs = source if is_free else PacedBlobs(source, wanted.open_flow)
            offer = Offer(blobs, wanted.registry, paced=not is_free)
            try:
                bring = partial(self._bring_blob, offer, wanted.blob, partial(self._moved, key, wanted))
                await self._asking.once(wanted.registry, bring, (key, id(source)))
                return
            except (StoreBroken, OutsideWindow):
                raise
            except (Failure, Refusal) as caught:
                failure = caught
        raise failure

    def _moved(self, key: Hashable, wanted: WantedBlob, size: int) -> None:
        self._meter.moved(key, size, wanted.rules)
