import os
import socket
from contextlib import chdir
from pathlib import Path

import pytest

from registry_mesh.assembly.supervision.systemd import notify, watchdog_interval


@pytest.mark.parametrize("abstract", [False, True])
def test_lines_arrive(tmp_path: Path, abstract: bool) -> None:
    name = f"@registry-mesh-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        notify("READY=1", "STATUS=zürich", environ={"NOTIFY_SOCKET": name})
        assert manager.recv(4096) == "READY=1\nSTATUS=zürich".encode()


@pytest.mark.parametrize("address", [None, "", "here", "{}/gone", "@"])
def test_nobody_is_told_where_no_manager_listens(tmp_path: Path, address: str | None) -> None:
    """sd_notify(3): the address is absolute or abstract; a manager that has gone holds up no node."""
    environ = {} if address is None else {"NOTIFY_SOCKET": address.format(tmp_path)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, chdir(tmp_path):
        other.bind("here")
        other.setblocking(False)
        notify("READY=1", environ=environ)
        with pytest.raises(BlockingIOError):
            other.recv(100)


def test_signs_of_life_come_twice_as_often_as_wanted() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "30000000"}) == 15
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}) == 15
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_interval({}) is None
