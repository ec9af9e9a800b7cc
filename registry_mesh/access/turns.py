"""What waits, of many clients: each client's in the order in which it came, and the clients by turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """However much one client has waiting, the next of another's waits for one of it."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()

    def add(self, client: str, item: T) -> None:
        """It waits behind the client's others."""
        self._waiting.setdefault(client, deque()).append(item)

    def take(self) -> T | None:
        """The next; None where nothing waits."""
        if not self._waiting:
            return None
        client, items = self._waiting.popitem(last=False)
        item = items.popleft()
        if items:
            self._waiting[client] = items
        return item

    def clear(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()
