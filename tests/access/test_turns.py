"""Clients by turns."""

from registry_mesh.access.turns import Turns


def test_each_client_in_its_order_and_the_clients_by_turns() -> None:
    turns = Turns[str]()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.add(item[0], item)
    taken = [turns.take() for _ in range(4)]
    turns.add("c", "c2")
    taken += [turns.take() for _ in range(4)]
    assert taken == ["a1", "b1", "c1", "a2", "b2", "a3", "c2", None]
    turns.add("a", "a4")
    turns.clear()
    assert turns.take() is None
