"""The images of a node, for its operator: implements `admin.images.Images` in the keeper's process."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from fnmatch import fnmatchcase
from typing import Final

from registry_mesh.admin.images import Asked, Told, Unheeded
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.roles import aliases, default_registry, open_site
from registry_mesh.assembly.watch.pull_plan import planned
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.image import Image, Looks, alone, on_disk
from registry_mesh.content.holdings.pins import Pin, Pins
from registry_mesh.content.holdings.preload import Meter, Ordered, Preload
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.remembered_tags import key_of, remembered_tags
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, Tag, parse_name, parse_reference
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.registries import RegistryNames
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.holdings import Holdings
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import EVERY, Repository
from registry_mesh.ports.storage import Storage
from registry_mesh.ports.urgency import unhurried
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.roles.site import Site
from registry_mesh.telemetry.instruments import Instruments

_ASK_NOW: Final = Freshness(ttl=0, stale_while_revalidate=0, stale_if_error=0, negative_ttl=0)
_STEP: Final = 0.5
"""Seconds between two words about a preload."""
_PINNED: Final = 1 / 2
"""Of the quota, at most: a cache must cache."""


class NodeImages:
    """Entered: may be asked. `changed` is told where tags may point elsewhere than the workers remember."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        instruments: Instruments,
        seen: Seen | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._storage = storage
        self._instruments = instruments
        self._seen = seen
        self._changed = changed
        self._pins = Pins(storage.records)
        self._registries = [RegistryName(host) for host in config.registries]
        self._names = RegistryNames(self._registries, aliases(config))
        self._stack = AsyncExitStack()
        self._site: Site | None = None
        self._preloads: set[asyncio.Task[None]] = set()

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
        images = await self._images()
        pins = {(pin.place, pin.tag): pin async for pin in self._pins.all(time.time())}
        users = Counter(part.digest for image in images for part in image.parts)
        disk = self._storage.disk
        return {
            "images": [_told(image, users, pins.get((image.place, image.tag))) for image in images],
            "on_disk": on_disk(images),
            "used": disk.used if disk is not None else None,
            "quota": self._storage.quota,
        }

    async def _images(self) -> list[Image]:
        looks = Looks(self._storage.blobs, self._holdings())
        found = [await looks.image(place, tag, digest) async for place, tag, digest in self._tags()]
        return sorted((image for image in found if image.held), key=lambda image: image.name)

    def _holdings(self) -> Holdings:
        if self._storage.holdings is None:
            raise Unheeded(f"a {self._config.role} on a bucket keeps no account of images: ask the bucket")
        return self._storage.holdings

    async def _tags(self) -> AsyncIterator[tuple[Place, str, Digest]]:
        if self._config.role == "site":
            async for each in remembered_tags(self._storage.records, self._registries):
                yield each.place, each.tag, each.digest
            return
        async for repository in self._kept():
            for tag in (await repository.tags.tags(EVERY)).tags:
                try:
                    digest = (await repository.tags.resolve(tag)).descriptor.digest
                except Refusal:  # deleted since
                    continue
                yield Place(repository.registry, repository.name), tag, digest

    async def _kept(self) -> AsyncIterator[Repository]:
        if self._config.role == "origin":
            own = open_repositories(self._config, self._storage, lambda who, name: False)
            async for name in own.names(""):
                yield own.repository(RegistryName(self._config.registry or "origin"), name)
            return
        held = ReplicaRepositories(self._storage.records, self._storage.blobs, time.time)
        for registry in self._registries:
            async for name in held.repositories(registry):
                yield held.repository(registry, name).kept

    # Touching

    async def evict(self, names: Sequence[str], asked: Asked) -> Told:
        """See `admin.images.Images`."""
        self._demand_site("evict")
        images = await self._images()
        chosen = self._chosen(images, names)
        pinned = {(pin.place, pin.tag) async for pin in self._pins.all(time.time())}
        for image in chosen:
            if (image.place, image.tag) in pinned:
                raise Unheeded(f"{image.name} is pinned: registry-mesh pin --off first")
        others = [image for image in images if image not in chosen]
        told: Told = {"images": [], "dry_run": bool(asked.get("dry_run"))}
        for image in chosen:
            frees = sum(part.held for part in alone([image], others).values())
            told["images"].append({"name": image.name, "held": image.held, "frees": frees})
        gone = alone(chosen, others)
        if asked.get("dry_run"):
            return told | {"freed": sum(part.held for part in gone.values()), "in_use": 0}
        return told | await self._evict(chosen, list(gone))

    async def _evict(self, images: Sequence[Image], digests: Sequence[Digest]) -> Told:
        """Tags first: a request for one has it brought anew from then on."""
        await self._storage.records.delete(
            [key_of(image.place, Tag(image.tag)) for image in images if image.tag]
        )
        self._changed()
        holdings, freed, in_use = self._holdings(), 0, 0
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
        images, seconds = await self._images(), asked.get("seconds")
        if asked.get("off"):
            off = [
                image
                for image in self._chosen(images, names)
                if await self._pins.take(image.place, image.tag)
            ]
            await self.keep_pins()
            return {"images": [{"name": image.name} for image in off], "off": True}
        until = time.time() + float(seconds) if isinstance(seconds, int | float) else None
        chosen = self._chosen(images, names)
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
        return {"images": told, "until": until, "pinned": size}

    async def keep_pins(self) -> None:
        """Have the store spare what is pinned: what its tags point at now."""
        if self._config.role != "site" or self._storage.holdings is None:
            return
        images = [image async for image in self._pinned(await self._images())]
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
            async for each in remembered_tags(self._storage.records, self._registries)
        }
        told = []
        for name in names:
            place, reference = self._parsed(name)
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
            place, reference = self._parsed(name)
            repository = site.repository(place.registry, place.repository)
            ordered.append(Ordered(name, repository, reference, platforms))
        meter = Meter()
        with unhurried():
            running = asyncio.create_task(Preload(ordered, meter).run())
        self._preloads.add(running)
        running.add_done_callback(self._preloads.discard)
        try:
            while not running.done():
                yield _step(meter)
                await asyncio.wait({running}, timeout=_STEP)
            await running
        finally:
            running.cancel()
            await asyncio.wait({running})
        self._changed()
        yield _step(meter) | {"done": True}

    async def plan(self, names: Sequence[str], asked: Asked) -> Told:
        """See `admin.images.Images`."""
        site = await self._opened("pull-through")
        platforms = frozenset(str(each) for each in asked.get("platforms") or ())
        told = []
        for name in names:
            place, reference = self._parsed(name)
            repository = site.repository(place.registry, place.repository)
            told.append(await planned(repository, reference, platforms, self._holdings()))
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
            self._site = open_site(self._config, self._storage, parents, self._stack)
            self._site.refresh(dict.fromkeys(self._registries, _ASK_NOW))
        return self._site

    def _demand_site(self, what: str) -> None:
        if self._config.role != "site":
            other = (
                "push and delete at it" if self._config.role == "origin" else "its rules say what it holds"
            )
            raise Unheeded(f"{what} is for sites: this node's role is {self._config.role}; {other}")

    # Names

    def _chosen(self, images: Sequence[Image], names: Sequence[str]) -> list[Image]:
        chosen: dict[str, Image] = {}
        for name in names:
            found = [image for image in images if self._fits(image, name)]
            if not found:
                raise Unheeded(self._nothing_called(images, name))
            chosen |= {image.name: image for image in found}
        return list(chosen.values())

    def _fits(self, image: Image, name: str) -> bool:
        return fits(image, name, self._default())

    def _nothing_called(self, images: Sequence[Image], name: str) -> str:
        known = {spelled for image in images for spelled in spellings(image, self._default())}
        near = difflib.get_close_matches(name, known, 1)
        said = f"Nothing here is called {name}."
        return f"{said}\n  Did you mean {near[0]}? registry-mesh ls {near[0]}" if near else said

    def _default(self) -> str | None:
        own = self._registries[0] if len(self._registries) == 1 else self._config.registry
        return default_registry(self._config) or own

    def _parsed(self, name: str) -> tuple[Place, Tag | Digest]:
        """`[REGISTRY/]REPOSITORY:TAG` or `…@DIGEST`."""
        rest, at, digest = name.partition("@")
        if not at:
            rest, _, digest = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "latest")
        first, _, below = rest.partition("/")
        registry = self._names.find(first) if below else None
        if registry is None:
            registry, below = self._names.find(self._default() or ""), rest
        if registry is None:
            raise Unheeded(
                f"{name}: begin with a registry that is served here: {', '.join(self._registries)}"
            )
        try:
            return Place(registry, parse_name(below)), parse_reference(digest)
        except Refusal as refusal:
            raise Unheeded(f"{name}: {refusal.reason}") from None


def spellings(image: Image, default: str | None) -> list[str]:
    """What an image may be called, shortest last: with its registry and without where that is the default one."""
    found = [image.name, str(image.place)]
    if image.place.registry == default:
        found += [each.removeprefix(f"{default}/") for each in found]
    return found


def fits(image: Image, name: str, default: str | None) -> bool:
    """Whether `name`, a name or a pattern of the shell, means the image."""
    return any(fnmatchcase(each, name) for each in spellings(image, default))


def _told(image: Image, users: Mapping[Digest, int], pin: Pin | None) -> Told:
    return {
        "name": image.name,
        "registry": image.place.registry,
        "repository": image.place.repository,
        "tag": image.tag,
        "digest": str(image.digest),
        "size": image.size,
        "held": image.held,
        "whole": image.whole,
        "alone": sum(part.held for part in image.parts if users[part.digest] == 1),
        "pinned": pin is not None,
        "pinned_until": pin.until if pin is not None else None,
    }


def _step(meter: Meter) -> Told:
    return {
        "images": meter.images,
        "images_done": meter.images_done,
        "bytes": meter.size,
        "bytes_done": meter.size_done,
        "failed": dict(meter.failed),
    }
