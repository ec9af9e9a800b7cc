"""`Records` in a bucket: one object a record, create-only by If-None-Match."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from registry_mesh.ports.records import Records
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control

ROOM = "records/"
"""Records lie below it, so that they and blobs never meet."""


class S3Records:
    """Small documents in the bucket. Reads and listings see every earlier write, as all S3 of today promise.

    A server that keeps objects in directories (SeaweedFS) may name a child whose last record was deleted for a
    moment longer.
    """

    def __init__(self, client: S3Client, control: S3Control) -> None:
        self._client = client
        self._control = control

    async def get(self, key: str) -> bytes | None:
        """Return the object's bytes; None where there is none."""
        return await self._client.get(_object(key))

    async def put(self, key: str, data: bytes) -> None:
        """Write the object."""
        await self._client.put(_object(key), data)

    async def create(self, key: str, data: bytes) -> bool:
        """Write the object on the condition that there is none; return whether it was written."""
        return await self._client.create(_object(key), data)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete the objects, many in one request."""
        objects = [_object(key) for key in keys]
        if len(objects) == 1:
            await self._client.delete(objects[0])
        elif objects:
            await self._control.delete(objects)

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        """All of them are listed, whatever is asked for: servers differ in where `v1/` comes beside `v1-rc/`."""
        room = _below(prefix)
        found: set[str] = set()
        async for page in self._control.list(room, delimiter="/"):
            names = (*(listed.key for listed in page.objects), *page.prefixes)
            # Some servers list a directory that was emptied as an object of its own, named as the prefix.
            found.update(_key(name[len(room) :]) for name in names if name != room)
        return sorted(name for name in found if name > after)[:limit]

    async def walk(self, prefix: str, before: float | None = None) -> AsyncIterator[str]:
        """Give every key below `prefix`, a page of a listing at a time. `before` is by the clock of the bucket."""
        room = _below(prefix)
        async for page in self._control.list(room):
            for listed in page.objects:
                if listed.key.endswith("/"):
                    continue  # an emptied directory
                if before is not None and listed.modified >= before:
                    continue
                yield _key(listed.key[len(ROOM) :])


_: type[Records] = S3Records


def _object(key: str) -> str:
    """Where a record lies; ValueError for a key that is not path-like.

    A record's own component ends in an odd number of `$`, one on the way to others in an even number: so `a` and
    `a/b` live side by side even on servers that keep objects in directories.
    """
    *way, name = _components(key)
    return ROOM + "".join(f"{part}/" for part in way) + name + "$"


def _below(prefix: str) -> str:
    """Where the records below `prefix` lie."""
    if prefix and not prefix.endswith("/"):
        raise ValueError(f"a prefix ends in a slash: {prefix!r}")
    return ROOM + "".join(f"{part}/" for part in _components(prefix[:-1])) if prefix else ROOM


def _components(key: str) -> list[str]:
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"not a record's key: {key!r}")
    return [part.replace("$", "$$") for part in parts]


def _key(name: str) -> str:
    """The key, or the component, that was written as `name`."""
    return name.removesuffix("/").replace("$$", "\0").replace("$", "").replace("\0", "$")
