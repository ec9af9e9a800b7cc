"""The images of a node, for its operator: implements `admin.images.Images` in the keeper's process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import AsyncExitStack
from typing import Final

from registry_mesh.admin.images import Asked, Told, Unheeded
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.roles import open_site
from registry_mesh.assembly.watch.held_images import HeldImages
from registry_mesh.assembly.watch.image_names import ImageNames
from registry_mesh.assembly.watch.image_told import held_form, held_image, leaving, step_of
from registry_mesh.assembly.watch.image_uses import PullsKept, image_uses
from registry_mesh.assembly.watch.measuring import measured
from registry_mesh.assembly.watch.pull_plan import planned
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.image import Image, alone, on_disk
from registry_mesh.content.holdings.pins import Pin, Pins
from registry_mesh.content.holdings.preload import Meter, Ordered, Preload
from registry_mesh.content.holdings.staying import Staying
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.remembered_tags import key_of, remembered_tags
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.moving import MovingFill
from registry_mesh.ports.storage import Storage
from registry_mesh.ports.urgency import unhurried
from registry_mesh.roles.site import Site
from registry_mesh.telemetry.instruments import Instruments

_ASK_NOW: Final = Freshness(ttl=0, stale_while_revalidate=0, stale_if_error=0, negative_ttl=0)
_STEP: Final = 0.5
"""Seconds between two words about a preload."""
_PINNED: Final = 1 / 2
"""Of the quota, at most: a cache must cache."""


class NodeImages:
    """Entered: may be asked. `coming` gives the digests that are on their way in; `changed` is told where tags may
    point elsewhere than the workers remember."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        instruments: Instruments,
        pulls: PullsKept,
        coming: Callable[[], Set[str]],
        seen: Seen | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._storage = storage
        self._instruments = instruments
        self._pulls = pulls
        self._coming = coming
        self._seen = seen
        self._changed = changed
        self._pins = Pins(storage.records)
        self._names = ImageNames(config)
        self._held = HeldImages(config, storage)
        self._stack = AsyncExitStack()
        self._site: Site | None = None
        self._parents: Parents | None = None
        self._preloads: set[asyncio.Task[None]] = set()

    def moving(self) -> list[MovingFill]:
        """What this process itself brings."""
        return self._site.moving() if self._site is not None else []

    async def finish(self) -> None:
        """Return when no preload is under way."""
        while self._preloads:
            await asyncio.wait(self._preloads)

    async def close(self) -> None:
        """End what was begun to bring images."""
        await self._stack.aclose()

    # Looking

    async def held(self) -> Told:
        """See `admin.images.Images`."""
        images = await self._held.all()
        pins = {(pin.place, pin.tag): pin async for pin in self._pins.all(time.time())}
        users = Counter(part.digest for image in images for part in image.parts)
        coming, disk, uses = (
            self._coming(),
            self._storage.disk,
            await image_uses(images, self._held.holdings(), self._pulls),
        )
        forms = await self._held.forms(images)
        return {
            "images": [
                held_image(image, users, pins.get((image.place, image.tag)), coming)
                | uses.told(image)
                | {"forms": [held_form(each) for each in others]}
                for image, others in zip(images, forms, strict=True)
            ],
            "on_disk": on_disk(images),
            "used": disk.used if disk is not None else None,
            "quota": self._storage.quota,
            "uses_since": uses.began or None,
            "pulls_since": uses.pulls_began or None,
        }

    # Touching

    async def evict(self, names: Sequence[str], asked: Asked) -> Told:
        """See `admin.images.Images`."""
        self._demand_site("evict")
        images = await self._held.all()
        chosen = self._names.chosen(images, names)
        pinned = {(pin.place, pin.tag) async for pin in self._pins.all(time.time())}
        for image in chosen:
            if (image.place, image.tag) in pinned:
                raise Unheeded(f"{image.name} is pinned: registry-mesh pin --off first")
        others = [image for image in images if image not in chosen]
        uses = await image_uses(images, self._held.holdings(), self._pulls)
        told: Told = {
            "images": [
                leaving(image, others) | uses.told(image) | {"price": self._price(image)} for image in chosen
            ],
            "dry_run": bool(asked.get("dry_run")),
            "uses_since": uses.began or None,
        }
        gone = alone(chosen, others)
        if asked.get("dry_run"):
            return told | {"freed": sum(part.held for part in gone.values()), "in_use": 0}
        return told | await self._evict(chosen, list(gone))

    def _price(self, image: Image) -> str:
        """That of the first parent that has one; empty where none has."""
        prices = self._config.registries[image.place.registry].prices
        return str(next(iter(prices.values()), ""))

    async def _evict(self, images: Sequence[Image], digests: Sequence[Digest]) -> Told:
        """Tags first: a request for one has it brought anew from then on."""
        await self._storage.records.delete(
            [key_of(image.place, Tag(image.tag)) for image in images if image.tag]
        )
        self._changed()
        holdings, freed, in_use = self._held.holdings(), 0, 0
        for digest in digests:
            here = await holdings.held(digest)
            gone = await holdings.drop(digest) if here else 0
            freed += gone
            in_use += bool(here) and not gone
        disk = self._storage.disk
        return {"freed": freed, "in_use": in_use, "used": disk.used if disk is not None else None}

    async def pin(self, names: Sequence[str], asked: Asked) -> Told:
        """See `admin.images.Images`."""
        self._demand_site("pin")
        images, seconds = await self._held.all(), asked.get("seconds")
        if asked.get("off"):
            off = [
                image
                for image in self._names.chosen(images, names)
                if await self._pins.take(image.place, image.tag)
            ]
            await self.keep_pins()
            return {"images": [{"name": image.name} for image in off], "off": True}
        until = time.time() + float(seconds) if isinstance(seconds, int | float) else None
        chosen = self._names.chosen(images, names)
        before = [image async for image in self._pinned(images)]
        size, quota = on_disk([*before, *chosen]), self._storage.quota
        if quota is not None and size > quota * _PINNED:
            raise Unheeded(
                f"pins would hold {size} bytes: at most half of the quota of {quota} may be pinned"
            )
        for image in chosen:
            await self._pins.set(Pin(image.place, image.tag, until))
        await self.keep_pins()
        told = [
            {"name": image.name, "whole": image.whole, "held": image.held, "size": image.size}
            for image in chosen
        ]
        most = None if quota is None else int(quota * _PINNED)
        return {"images": told, "until": until, "pinned": size, "pinned_at_most": most}

    async def keep_pins(self) -> None:
        """Have the store spare what is pinned: what its tags point at now."""
        if self._config.role != "site" or self._storage.holdings is None:
            return
        images = [image async for image in self._pinned(await self._held.all())]
        await self._storage.holdings.spare({part.digest for image in images for part in image.parts})

    async def _pinned(self, images: Sequence[Image]) -> AsyncIterator[Image]:
        pinned = {(pin.place, pin.tag) async for pin in self._pins.all(time.time())}
        for image in images:
            if (image.place, image.tag) in pinned:
                yield image

    async def refresh(self, names: Sequence[str], asked: Asked) -> Told:
        """See `admin.images.Images`."""
        site = await self._opened("refresh")
        before = {
            (each.place, each.tag): each.digest
            async for each in remembered_tags(self._storage.records, self._held.registries)
        }
        told = []
        for name in names:
            place, reference = self._names.parsed(name)
            if isinstance(reference, Digest):
                raise Unheeded(f"{name} is a digest, which never changes: name a tag")
            was = before.get((place, reference))
            try:
                source = site.repository(place.registry, place.repository).tags
                with unhurried():
                    now = (await source.resolve(reference)).descriptor.digest
            except (Failure, Refusal) as fault:
                told.append({"name": f"{place}:{reference}", "was": str(was or ""), "error": fault.reason})
                continue
            told.append({"name": f"{place}:{reference}", "was": str(was or ""), "now": str(now)})
        self._changed()
        return {"images": told}

    async def preload(self, names: Sequence[str], asked: Asked) -> AsyncIterator[Told]:
        """See `admin.images.Images`."""
        site = await self._opened("preload")
        platforms = frozenset(str(each) for each in asked.get("platforms") or ())
        ordered = []
        for name in names:
            place, reference = self._names.parsed(name)
            repository = site.repository(place.registry, place.repository)
            ordered.append(Ordered(name, repository, reference, platforms))
        meter = Meter()
        with unhurried():
            running = asyncio.create_task(Preload(ordered, meter, self._staying()).run())
        self._preloads.add(running)
        running.add_done_callback(self._preloads.discard)
        try:
            while not running.done():
                yield step_of(meter)
                await asyncio.wait({running}, timeout=_STEP)
            await running
        finally:
            running.cancel()
            await asyncio.wait({running})
        self._changed()
        yield step_of(meter) | {"done": True}

    def _staying(self) -> Staying | None:
        """What tells whether images stay; None where nothing does."""
        holdings = self._storage.holdings
        return Staying(holdings, self._storage.quota, self._config.store.quota_key) if holdings else None

    async def measure(self, names: Sequence[str]) -> Told:
        """See `admin.images.Images`."""
        await self._opened("parents --measure")
        assert self._parents is not None, "opened with the site"
        return {"measured": await measured(self._parents, await self._held.all(), frozenset(names))}

    async def plan(self, names: Sequence[str], asked: Asked) -> Told:
        """See `admin.images.Images`."""
        site = await self._opened("pull-through")
        platforms = frozenset(str(each) for each in asked.get("platforms") or ())
        told = []
        for name in names:
            place, reference = self._names.parsed(name)
            repository = site.repository(place.registry, place.repository)
            told.append(await planned(repository, reference, platforms, self._held.holdings()))
        disk = self._storage.disk
        return {
            "images": told,
            "used": disk.used if disk is not None else None,
            "quota": self._storage.quota,
        }

    async def _opened(self, what: str) -> Site:
        """A site of this process, which asks its parents each time."""
        self._demand_site(what)
        if self._site is None:
            parents = await self._stack.enter_async_context(
                Parents(self._config, self._instruments, self._seen)
            )
            self._parents = parents
            self._site = open_site(self._config, self._storage, parents, self._stack)
            self._site.refresh(dict.fromkeys(self._held.registries, _ASK_NOW))
        return self._site

    def _demand_site(self, what: str) -> None:
        if self._config.role != "site":
            other = (
                "push and delete at it" if self._config.role == "origin" else "its rules say what it holds"
            )
            raise Unheeded(f"{what} is for sites: this node's role is {self._config.role}; {other}")
