import os
import socket
from pathlib import Path

import pytest

from registry_mesh.assembly.systemd import notify, watchdog_interval


@pytest.mark.parametrize("abstract", [False, True])
def test_lines_arrive(tmp_path: Path, abstract: bool) -> None:
    name = f"@registry-mesh-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        notify("READY=1", "STATUS=zürich", environ={"NOTIFY_SOCKET": name})
        assert manager.recv(4096) == "READY=1\nSTATUS=zürich".encode()


def test_without_a_manager_nothing_happens() -> None:
    notify("READY=1", environ={})
    notify("READY=1", environ={"NOTIFY_SOCKET": "/nowhere/at/all"})


def test_signs_of_life_come_twice_as_often_as_wanted() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "30000000"}) == 15
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}) == 15
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_interval({}) is None
