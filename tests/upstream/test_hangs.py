"""A kind of request that a living parent leaves unanswered is refused at once, and tried now and then."""

from __future__ import annotations

import pytest

from registry_mesh.upstream.health.hangs import FIRST, LONGEST, Hangs, kind_of


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/app/img/manifests/one", "manifests"),
        ("/v2/app/manifests/blobs/sha256:00", "blobs"),
        ("/v2/app/img/tags/list?n=100", "tags"),
        ("/v2/app/img/referrers/sha256:00", "referrers"),
        ("/v2/_catalog", "the listing"),
        ("/v2/blobs/_mesh/chunks/sha256:00", "chunk maps"),
    ],
)
def test_the_kind_of_a_path(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_one_request_is_let_through_after_each_pause() -> None:
    now = [100.0]
    hangs = Hangs(lambda: now[0])
    assert not hangs.refuses("manifests")
    hangs.hung("manifests", 10)
    assert (
        hangs.refuses("manifests") == "has not answered requests for manifests for 10 s, though it is alive"
    )
    assert not hangs.refuses("blobs")
    now[0] += FIRST
    assert not hangs.refuses("manifests"), "one may try"
    assert hangs.refuses("manifests"), "and the others wait for what it learns"
    hangs.hung("manifests", 10)
    now[0] += 2 * FIRST - 0.1
    assert hangs.refuses("manifests")
    for _ in range(10):
        hangs.hung("manifests", 10)
    now[0] += LONGEST
    assert not hangs.refuses("manifests")
    hangs.answered("manifests")
    assert not hangs.refuses("manifests")
    assert not hangs.refuses("manifests"), "as for a parent that never hung"
