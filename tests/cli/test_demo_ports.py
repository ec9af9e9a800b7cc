"""The addresses of the demo's nodes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from registry_mesh.cli.demo_parts.tree import tree

pytestmark = pytest.mark.slow


def test_an_address_is_never_free_between_its_choice_and_its_node(tmp_path: Path) -> None:
    """Another program took it there: a demo ended with "Address already in use"."""
    with tree(tmp_path) as nodes:
        for node in nodes:
            for port in (node.port, node.admin_port):
                with pytest.raises(OSError, match="in use"):
                    socket.create_server(("127.0.0.1", port))
            told = node.log.read_text()
            assert "listens where the configuration does not" not in told, "both sockets are taken over"
