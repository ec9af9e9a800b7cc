"""The ports of the demo's nodes."""

from __future__ import annotations

import socket
from pathlib import Path

from registry_mesh.cli.demo_parts.tree import free_ports


def test_they_are_free_and_no_outgoing_connection_is_given_one() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
