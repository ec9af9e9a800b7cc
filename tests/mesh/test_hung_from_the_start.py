"""A site that starts while its parents accept and never answer: it cannot tell them from parents far away."""

from __future__ import annotations

import pytest

from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.test_hung_parents import (
    LAYER,
    NAMED,
    TwoParents,
    asked,
    hang,
    heard_of,
    lives,  # noqa: F401  # a fixture
    never_asked_for,
    refused,
)
from tests.simulators.pauses import watched

pytestmark = [pytest.mark.slow, pytest.mark.alone]


async def test_held_is_served_and_the_rest_is_a_503_within_ten_seconds(lives: list[TwoParents]) -> None:  # noqa: F811
    """In one life at least: what one takes longer is the machine's."""
    took: list[float] = []
    for number, life in enumerate(lives, 1):
        image, named = life.parent.add_image("1", LAYER), life.parent.add_image("2", NAMED)
        held = ["manifests/1", f"manifests/{image}", f"blobs/{Digest.of(LAYER)}"]
        await life.start()
        for path in (*held, f"manifests/{named}"):
            await eventually(
                lambda life=life, path=path: asked(life, "GET", path), path, until=lambda said: said[0] == 200
            )
        await life.stop()
        hang(life, True)
        await life.start()
        async with watched() as pauses:
            _, seconds = await pauses.timed(refused(life, never_asked_for(image)))
        for path in held:
            assert (await asked(life, "GET", path))[0] == 200
        hang(life, False)
        await heard_of(life, number)
        took.append(seconds)
        if seconds < 10:  # all are asked at once
            return
        await life.stop()
    raise AssertionError(f"{took} s")
