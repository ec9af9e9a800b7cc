"""What somebody puts into a site's store under a blob's name is never given as the blob."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from registry_mesh.stores.disk.layout import Layout
from tests.mesh.conftest import SiteBehindLink
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow

MIB = 1 << 20
SECRET = b"a secret of this machine" * MIB


def linked(blob: Path) -> None:
    secret = blob.parents[3] / "secret"
    secret.write_bytes(SECRET[: 3 * MIB])
    blob.unlink()
    blob.symlink_to(secret)


def swapped(blob: Path) -> None:
    other = blob.with_name("other")
    other.write_bytes(SECRET[: 3 * MIB])
    other.rename(blob)


def cut_short(blob: Path) -> None:
    os.truncate(blob, 1000)


def changed(blob: Path) -> None:
    with blob.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(b"evil")


def a_folder(blob: Path) -> None:
    blob.unlink()
    blob.mkdir()


@pytest.mark.parametrize("harm", [linked, swapped, cut_short, changed, a_folder])
async def test_what_lies_under_a_blob_s_name_is_never_given_as_the_blob(
    harm: Callable[[Path], None], behind_link: SiteBehindLink
) -> None:
    """The first answer may break off where the wrong bytes begin; the next is whole."""
    data = pattern(3 * MIB, seed=7)
    digest = behind_link.parent.add(data)
    await behind_link.start()
    assert await behind_link.keeps(digest, data)
    harm(Layout(behind_link.node.folder / "store").blob(digest))
    got = bytearray()
    async with behind_link.client.get(behind_link.blob(digest)) as answer:
        assert answer.status == 200
        with contextlib.suppress(aiohttp.ClientPayloadError):
            async for piece in answer.content.iter_any():
                got += piece
    assert data.startswith(got)
    status, body = await behind_link.get(behind_link.blob(digest))
    assert (status, body == data) == (200, True)
    status, body = await behind_link.get(behind_link.blob(digest), (0, 10))
    assert (status, body) == (206, data[:10])
