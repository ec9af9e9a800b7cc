"""What a client may have parents asked for in vain, and that it costs nobody what is here."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from registry_mesh.edge.client_limits import AHEAD_IN_VAIN, ClientLimits, Limits
from registry_mesh.edge.faults import TooFast
from registry_mesh.edge.share import ClientShare


def test_only_what_was_in_vain_counts_and_hits_do_not_wait_for_it() -> None:
    limits = ClientLimits(Limits(unknown=10))
    for _ in range(1000):
        assert limits.wait_for_unknown("a", 0.0) == 0.0
    for _ in range(700):
        limits.asked_in_vain("a", 0.0)
    assert limits.wait_for_unknown("a", 0.0) == pytest.approx(700 / 10 - AHEAD_IN_VAIN)
    assert limits.wait("a", 0.0) == 0.0, "what is here"
    assert limits.wait_for_unknown("b", 0.0) == 0.0
    assert limits.wait_for_unknown("", 0.0) == 0.0, "one that is exempt"
    assert limits.wait_for_unknown("a", 700 / 10 - AHEAD_IN_VAIN + 0.001) == 0.0
    assert not Limits(unknown=10).rates, "hits need not look"
    assert Limits(unknown=10, exempt=(ip_network("::1"),)).bounded


async def demands(share: ClientShare, times: int) -> None:
    for _ in range(times):
        await share.demand()
        share.spend()


async def test_a_question_waits_for_its_turn_and_is_refused_where_that_takes_long() -> None:
    limits = ClientLimits(Limits(unknown=1000))
    at_once = int(1000 * AHEAD_IN_VAIN)
    share = ClientShare(limits, "a", below=False, patience=0.5)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await demands(share, at_once + 100)
    assert loop.time() - began >= 0.09, "the last hundred, one in a millisecond"
    for _ in range(30_000):
        share.spend()
    with pytest.raises(TooFast) as refused:
        await share.demand()
    assert refused.value.wait > 0.5
    await ClientShare(limits, "b", below=False).demand()


async def test_a_node_below_waits_and_is_not_refused() -> None:
    limits = ClientLimits(Limits(unknown=1))
    node = ClientShare(limits, "a", below=True, patience=0.01)
    for _ in range(100):
        node.spend()
    await node.demand()
