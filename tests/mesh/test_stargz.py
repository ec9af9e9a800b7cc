"""A real lazy reader: stargz-snapshotter mounts an image through the site and reads what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.scripts import stargz_pull
from tests.clients.wire import Wire, table

pytestmark = [pytest.mark.client, pytest.mark.slow]


def test_a_lazy_pull_runs_cold_and_warm(stocked_origin: Node, tmp_path: Path) -> None:
    with Wire(stocked_origin.url, tmp_path / "wire") as wire, nodes.site(tmp_path / "site", wire.url) as site:
        cold = stargz_pull(site.url, "team/app:esgz")
        assert cold["fuse_mounts"] >= 5, cold
        assert '"digest"' in cold["ran"], cold
        assert cold["bytes_after_run"] < sum(each.sent for each in wire.seen()) * 2
        wire.forget()
        warm = stargz_pull(site.url, "team/app:esgz")
        assert '"digest"' in warm["ran"], warm
        asked = [each for each in wire.seen() if each.of_blob or each.of_manifest]
        assert asked == [], table(asked)
