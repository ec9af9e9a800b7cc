"""Hosts that lead inward, however they are written."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.auth.hosts import inner_host, place, same_place


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "0",
        "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1",
        "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fc00::1]",
        "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[ff02::1]",
        "metadata", "registry", "metadata.google.internal", "printer.local", "a.lan", "a.home.arpa",
        "8.8.8", "1.2.3.0x4", "[::127.0.0.1]", "[::a9fe:a9fe]", "[::ffff:0:127.0.0.1]", "[64:ff9b:1::7f00:1]",
        "[fec0::1]", "[4000::1]", "[2001:0:7f00:1::]", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127.0.0\uff0e1", "\uff11\uff12\uff17.\uff11",
        "127\u30020\u30020\u30021",
        "\u2460\u2461\u2466.0.0.1", "metadata.google\u3002internal", "localhost\uff61",
        "169.254.169.\u00b2\u2075\u2074",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rest", ["", ":8080", "/token?x=y"])
def test_inner(host: str, rest: str) -> None:
    assert inner_host(f"http://{host}{rest}")


@pytest.mark.parametrize(
    "host",
    [
        "quay.io", "auth.docker.io", "localhost.example.com", "8.8.8.8", "[2606:4700::1111]", "[::ffff:8.8.8.8]",
        "internal.example.com", "1password.com", "x.0xa.example", "xn--bcher-kva.example",
    ],
)  # fmt: skip
def test_outer(host: str) -> None:
    assert not inner_host(f"https://{host}/token")


@pytest.mark.parametrize("url", ["http://[::1", "http://h:port", "http://h:99999", "http://[x]/"])
def test_what_cannot_be_read_is_inner_and_no_place(url: str) -> None:
    assert inner_host(url)
    assert place(url) is None
    assert not same_place(url, url)


@given(st.integers(0, 2**32 - 1))
def test_every_spelling_of_an_address_that_is_not_public(number: int) -> None:
    address = IPv4Address(number)
    if not address.is_global:
        for host in (
            str(address),
            hex(number),
            str(number),
            f"[::ffff:{address}]",
            f"[64:ff9b::{address}]",
            f"[::{address}]",
            f"[::ffff:0:{address}]",
        ):
            assert inner_host(f"http://{host}/")


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    inner_host(text)
    found = place(text)
    assert found is None or found[0] in ("http", "https")
    assert same_place(text, text) == (found is not None)


def test_the_same_place() -> None:
    assert same_place("https://H.example/a", "https://h.example:443/b?c")
    assert same_place("https://h.example./", "https://h.example")
    assert same_place("http://h", "http://h:80")
    for other in (
        "http://h.example",
        "https://h.example:444",
        "https://x.h.example",
        "ftp://h.example",
        "",
        "h.example",
    ):
        assert not same_place("https://h.example", other)
    assert not same_place("ftp://h", "ftp://h")
    assert not same_place("http://h:0", "http://h")
