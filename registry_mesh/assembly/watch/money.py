"""What bytes cost, and what they would have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry_mesh.admin.status import MoneyStatus
from registry_mesh.config.scalars import Price

Prices = Mapping[tuple[str, str], Price]
"""By registry and parent."""


def money(received: Mapping[tuple[str, str], int], prices: Prices, saved: int) -> Sequence[MoneyStatus]:
    """By currency what came from parents that have a price, and what `saved` bytes would have cost at the mean of those
    prices; of parents that gave nothing, where none did."""
    found = []
    for currency in dict.fromkeys(price.currency for price in prices.values()):
        ours = {key: price for key, price in prices.items() if price.currency == currency}
        size = sum(received.get(key, 0) for key in ours)
        spent = sum(received.get(key, 0) * price.per_byte for key, price in ours.items())
        mean = spent / size if size else sum(price.per_byte for price in ours.values()) / len(ours)
        found.append(MoneyStatus(currency, round(spent, 4), round(saved * mean, 4)))
    return found
