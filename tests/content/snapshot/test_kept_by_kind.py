"""`keep` of rules that look at types or labels, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.content.snapshot.planning import planned
from tests.content.snapshot.test_rule_keys import helm, replica_of
from tests.simulators.images import HOST


@pytest.mark.parametrize("more", ["", ', to: "{repo}/{tag}"'], ids=["one name", "a repository each"])
async def test_keep_counts_what_types_and_labels_take_alone(more: str, tmp_path: Path) -> None:
    """A newer chart drove out the images: only what is selected counts."""
    replica = replica_of(
        f'repos: a, tags: "semver: *", types: image, keep: 2, delete: 0s{more}',
        f'repos: b, tags: "semver: *", labels: {{tier: prod}}, keep: 1, delete: 0s{more}',
        more="guard: 100%",
    )
    for tag in ("1.0", "1.1", "1.2"):
        replica.source["a"].image(tag, tag)
    replica.source["b"].image("good", "1.0", labels={"tier": "prod"})
    replica.source["b"].image("better", "1.1", labels={"tier": "prod"})
    expected = {f"{HOST}/{name}:{tag}" for name, tag in (("a", "1.1"), ("a", "1.2"), ("b", "1.1"))}

    async def sources() -> set[str]:
        found = set[str]()
        async for name in replica.repositories.real.repositories(HOST):
            tags = await replica.tags(name)
            found |= {f"{HOST}/{name.partition('/')[0]}:{tag}" for tag in tags}
        return found

    assert (await replica.run()).complete
    assert await sources() == expected
    helm(replica, "2.0")
    helm(replica, "2.1")
    replica.source["b"].image("worse", "1.2", labels={"tier": "test"})
    assert (await planned(replica, tmp_path)).steps == []
    assert (await replica.run()).complete
    assert await sources() == expected
