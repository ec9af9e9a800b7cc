"""What `limits:` takes."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from registry_mesh.assembly.node.worker import client_limits
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse
from registry_mesh.edge.client_limits import Limits

NODE = "role: origin\nstore: {disk: {path: /tmp/x}}\nlimits: "


def test_they_reach_the_edge() -> None:
    said = (
        "{client_requests: 100, client_bytes: 1MiB/s, client_connections: 5, client_unknown: 50, "
        "exempt: [10.0.0.0/8, '::1']}"
    )
    limits = client_limits(parse(NODE + said, "x").config.limits)
    assert limits == Limits(5, 100.0, float(1 << 20), 50.0, (ip_network("10.0.0.0/8"), ip_network("::1")))
    assert client_limits(parse(NODE + "{}", "x").config.limits) == Limits(unknown=10.0)


@pytest.mark.parametrize(
    "said", ["{client_requests: -1}", "{exempt: nowhere}", "{exempt: [10.0.0.1/8]}", "{client_bytes: fast}"]
)
def test_what_is_none_is_told(said: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse(NODE + said, "x")
