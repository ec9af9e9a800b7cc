"""What a day's bytes cost, and what those from the store would have cost."""

from __future__ import annotations

import pytest

from registry_mesh.admin.status import MoneyStatus
from registry_mesh.assembly.watch.money import money
from registry_mesh.config.scalars import Price

DEAR, CHEAP, EURO = (Price.parse(text) for text in ("0.08 CHF/GB", "20 CHF/TB", "1 EUR/GiB"))
P, Q, S = ("r", "p"), ("r", "q"), ("s", "p")


def test_saved_bytes_cost_as_much_as_those_that_came() -> None:
    assert money({P: 3 * 10**9, Q: 10**9, S: 5}, {P: DEAR, Q: CHEAP}, 10**10) == [
        MoneyStatus("CHF", 0.26, 0.65)
    ]


def test_where_nothing_came_the_prices_tell() -> None:
    assert money({}, {P: DEAR}, 10**9) == [MoneyStatus("CHF", 0.0, 0.08)]
    assert money({P: 5}, {}, 10**9) == []


def test_each_currency_for_itself() -> None:
    assert [each.currency for each in money({}, {P: DEAR, S: EURO}, 0)] == ["CHF", "EUR"]


def test_units_are_those_of_sizes() -> None:
    assert DEAR.per_byte == pytest.approx(8e-11)
    assert EURO.per_byte == pytest.approx(1 / 2**30)
    for wrong in ("0.08", "0.08 CHF", "0.08 chf/GB", "CHF/GB", "-1 CHF/GB", "0.08 CHF/Gb"):
        with pytest.raises(ValueError, match="a price is written like"):
            Price.parse(wrong)
