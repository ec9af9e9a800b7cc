"""What a bucket can do, tried once when it is opened, on objects that nobody else uses.

A server that takes a create-only PUT for any PUT loses tags and uploads without a word, so it is refused. One that
has no batch deletes costs a request an object.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from registry_mesh.ports.failures import Failure, StoreUnfit
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control

PREFIX: Final = "probe/"

_MEND: Final = (
    "use a server with conditional writes (AWS S3, MinIO, SeaweedFS), or a newer release of this one"
)


async def probe(client: S3Client, control: S3Control) -> None:
    """Try what everything here relies on. `StoreUnfit` says what the bucket lacks and what to do."""
    keys = [f"{PREFIX}{uuid.uuid4().hex}" for _ in range(2)]
    try:
        for key in keys:
            await _create(client, key)
        await _list(control, keys)
        await control.delete(keys)
        if await _left(client, keys):
            control.delete_singly()
            await control.delete(keys)
            if await _left(client, keys):
                raise StoreUnfit(
                    "the bucket answers that it deletes and does not: give it one whose objects go"
                )
    finally:
        with suppress(Failure):
            await control.delete(keys)


async def _create(client: S3Client, key: str) -> None:
    """The first PUT makes it, the second is told that it is there."""
    first = await client.put_new(key, b"1")
    if first in (304, 400, 405, 501):
        raise StoreUnfit(
            f"the bucket answers {first} to a PUT with If-None-Match: it lacks conditional writes; {_MEND}"
        )
    if first != 412 and not 200 <= first < 300:  # 412: an earlier try was heard, its answer was not
        raise StoreUnfit(
            f"the bucket answers {first} to a PUT of {key}: give our credentials the right to write and delete there"
        )
    second = await client.put_new(key, b"2")
    if 200 <= second < 300:
        raise StoreUnfit(
            "the bucket ignores If-None-Match on PUT: of two who create the same object both are told that they did, "
            f"and tags and uploads would get lost; {_MEND}"
        )
    if second != 412:
        raise StoreUnfit(
            f"the bucket answers {second}, not 412, to a PUT with If-None-Match of an object that is there: "
            f"its conditional writes cannot be relied on; {_MEND}"
        )


async def _list(control: S3Control, keys: Sequence[str]) -> None:
    listed = [found.key async for page in control.list(PREFIX) for found in page.objects]
    if not set(keys) <= set(listed):
        raise StoreUnfit(
            "the bucket does not list what was just written: repositories would miss tags; use one whose listings "
            "are consistent, or reach it without a cache in between"
        )


async def _left(client: S3Client, keys: Sequence[str]) -> bool:
    return any([await client.head(key) is not None for key in keys])
