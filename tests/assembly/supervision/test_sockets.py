import contextlib
import socket
import time
from threading import Timer

import pytest

from registry_mesh.assembly.supervision.sockets import AddressTaken, listen
from tests.simulators.ports import free_port


def test_several_sockets_share_one_free_port() -> None:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in listen("127.0.0.1", 0, 3)]
        assert len({each.getsockname() for each in sockets}) == 1
        with socket.create_connection(sockets[0].getsockname(), 5):
            pass


def test_a_port_that_another_node_shares_is_taken_all_the_same() -> None:
    (first,) = listen("127.0.0.1", 0)
    with first, pytest.raises(AddressTaken, match="in use"):
        listen("127.0.0.1", first.getsockname()[1], 2)


def test_a_port_is_waited_for_whose_owner_is_about_to_end() -> None:
    (first,) = listen("127.0.0.1", free_port())
    port = first.getsockname()[1]
    leaves = Timer(0.1, first.close)
    leaves.start()
    (then,) = listen("127.0.0.1", port, patience=60.0)
    with then:
        assert then.getsockname()[1] == port
    leaves.join()


def test_a_pause_of_the_machine_shortens_no_patience() -> None:
    """Whoever is about to end stood still too."""
    (first,) = listen("127.0.0.1", free_port())
    port, naps = first.getsockname()[1], list[float]()

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 1:
            time.sleep(0.3)  # more than all patience
        if len(naps) == 3:
            first.close()

    (then,) = listen("127.0.0.1", port, patience=0.2, sleep=nap)
    with then:
        assert then.getsockname()[1] == port
    (other,) = listen("127.0.0.1", free_port())
    naps.clear()
    with other, pytest.raises(AddressTaken, match="in use"):
        listen("127.0.0.1", other.getsockname()[1], patience=0.2, sleep=naps.append)
    assert sum(naps) == pytest.approx(0.2), "and it ends"


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(AddressTaken, match=r"cannot listen on 192\.0\.2\.1:5000"):
        listen("192.0.2.1", 5000)
    with pytest.raises(AddressTaken):
        listen("no.such.host.invalid", 5000)
