"""Where `direct: never` holds no packet leaves for a host that is not named, whatever a parent or a bucket says.

Counted by the kernel in a network of the test's own. Needs root.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.simulators.sealed import BUCKET, PARENT, PUBLIC, Outcome, table


def _can_seal() -> bool:
    script = "ip link add out0 type veth peer name out1 && iptables -L OUTPUT && ip6tables -L OUTPUT"
    if os.geteuid() != 0:
        return False
    return (
        subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, check=False).returncode
        == 0
    )


pytestmark = pytest.mark.skipif(
    not _can_seal(), reason="makes a network of its own: needs root, veth, iptables"
)

INWARD = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "localhost", "localhost.",
    "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "169.254.169.254", "10.0.0.1",
    "[fd00::1]",
)  # fmt: skip
"""Spellings of hosts that lie inside."""

SPELT = (
    "0x7F.0x0.0x0.0x1", "00127.0.0.1", "127.0.0.1.", "LOCALHOST.", "a.localhost", "[0:0:0:0:0:0:0:1]", "[::]",
    "[2002:7f00:1::]", "[fe80::1%25lo]", "0", "2852039166", "0xA9FEA9FE", "169.254.43518", "10.1", "192.168.257",
    "0300.0250.0.1", "100.64.0.1", "127%2e0%2e0%2e1", "user@127.0.0.1", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
    "[2001:0:7f00:1::]", "[fec0::1]", "[64:ff9b:1::7f00:1]", "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
    "127.0.0\uff0e1",
    "127\u30020\u30020\u30021", "\u2460\u2461\u2466.0.0.1", "metadata.google\u3002internal", "169.254.169.254.",
)  # fmt: skip
"""More of them, each in a redirect, a realm or a link."""

BY = ("blob", "realm", "tags")

OUTWARD = (
    PUBLIC, "1572394766", "0x5db8d70e", "cdn.elsewhere.test", "inner.elsewhere.test", "parent.test", "parent.test.",
    "parent.test@93.184.215.14", "parent.test.elsewhere.test", f"{PARENT}", f"{BUCKET}", "[2606:4700::1111]",
)  # fmt: skip
"""Hosts that are not named: at port 8080 the parent's own is none of them."""

LEADS = {
    **{f"a blob at {host}": ("blob", f"http://{host}:8080/x") for host in (*INWARD, *OUTWARD)},
    **{
        f"a {BY[number % 3]} at {host.encode('unicode_escape').decode()}": (
            BY[number % 3],
            f"http://{host}:8080/x",
        )
        for number, host in enumerate(SPELT)
    },
    "a blob at another scheme": ("blob", "https://cdn.elsewhere.test/x"),
    "a blob at no scheme": ("blob", f"//{PUBLIC}:8080/x"),
    "a blob behind backslashes": ("blob", f"http:\\\\{PUBLIC}:8080\\x"),
    "the second of two redirects": ("chain", f"http://{PUBLIC}:8080/x"),
    "a manifest": ("manifest", "http://cdn.elsewhere.test:8080/x"),
    "a manifest inside": ("manifest", "http://2130706433:8080/x"),
    "a page of tags": ("tags", f"http://{PUBLIC}:8080/v2/a/tags/list?last=1"),
    "a page of tags inside": ("tags", "http://127.1:8080/v2/a/tags/list?last=1"),
    "a page of referrers": ("referrers", "http://cdn.elsewhere.test:8080/x"),
    "a token service": ("realm", "http://cdn.elsewhere.test:8080/token"),
    "a token service inside": ("realm", "http://127.1:8080/token"),
    "a token service at a number": ("realm", "https://1572394766/token"),
}
MOVED = {
    "a name of the parent's that moved inward": ("blob", "https://moved.parent.test/x"),
    "another, to the machine's own metadata": ("blob", "https://metadata.parent.test/x"),
    "a token service that moved inward": ("realm", "https://moved.parent.test/token"),
}
BUCKETS = {
    "a bucket that redirects": ("bucket", f"http://{PUBLIC}:8080/b/k"),
    "a bucket that redirects inside": ("bucket", "http://127.1:8080/b/k"),
    "a bucket that redirects to a name": ("bucket", "http://cdn.elsewhere.test:8080/b/k"),
    "a bucket that names another region": ("bucket in another region", "http://cdn.elsewhere.test:8080/b/k"),
}
ALLOWED = {
    "direct: public, to an address": ("public", f"http://{PUBLIC}:8080/x"),
    "direct: public, to a name": ("public", "http://cdn.elsewhere.test:8080/x"),
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return table({**LEADS, **MOVED, **BUCKETS, **ALLOWED})


@pytest.mark.parametrize("attack", [*LEADS, *BUCKETS])
def test_nobody_is_asked(outcomes: dict[str, Outcome], attack: str) -> None:
    """Not even for the address of a name."""
    outcome = outcomes[attack]
    assert (outcome.packets, outcome.names) == (0, []), outcome.said


@pytest.mark.parametrize("attack", MOVED)
def test_what_belongs_to_the_parent_and_leads_inward_is_not_asked(
    outcomes: dict[str, Outcome], attack: str
) -> None:
    """By its name it may be: the address decides, at the last moment."""
    assert outcomes[attack].packets == 0, outcomes[attack].said
    assert "lies inside a network" in outcomes[attack].said


@pytest.mark.parametrize("attack", [name for name in LEADS if "tags" not in name and "referrers" not in name])
def test_the_answer_says_what_failed(outcomes: dict[str, Outcome], attack: str) -> None:
    assert outcomes[attack].said[:4] in ("503 ", "403 "), outcomes[attack].said
    assert "parent.test:5000" in outcomes[attack].said


@pytest.mark.parametrize("attack", ALLOWED)
def test_where_it_is_allowed_the_packets_are_seen(outcomes: dict[str, Outcome], attack: str) -> None:
    """So it is no fault of the counting that there are none elsewhere."""
    assert outcomes[attack].packets > 0, outcomes[attack].said
