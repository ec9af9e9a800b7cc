"""Whatever stands at a key, it is told as a fault of the file: no check trips over what another one found wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from registry_mesh.config.finding import ConfigInvalid, Path
from registry_mesh.config.load import parse

_PAIR = {"certificate": "/x", "key": "/y"}
_ALL: dict[str, Any] = {  # Any: JSON
    "role": "site",
    "name": "a",
    "listen": {
        "address": "::1",
        "port": 5,
        "tls": {**_PAIR, "more": [{"names": ["a"], **_PAIR}], "clients": "/c"},
    },
    "admin": {"users": "/u", "tls": {**_PAIR, "clients": "/c", "names": ["a"]}, "hosts": ["a"]},
    "log": {"level": "info", "access": "/a", "audit": "/b"},
    "store": {"disk": {"path": "/nowhere", "quota": "1GiB"}},
    "registries": {
        "a.b": {
            "default": True,
            "parents": [["http://p:1"]],
            "aliases": ["c.d"],
            "prices": {"p:1": "1 CHF/GB"},
            "credentials": {"command": ["x"]},
            "redirects": ["a"],
            "readers": ["users"],
            "tags": {"ttl": "1m"},
            "ca": "/c",
            **_PAIR,
        },
        "c.e": {"parents": [["http://p:1"]], "credentials": "file:/x"},
    },
    "siblings": {"nodes": {"a": "http://a:1", "b": "http://b:1"}, "credentials": "env:X", **_PAIR},
    "rules": "/r",
    "keys": {"k": {"cosign": "/k"}, "l": {"identity": "x", "issuer": "y", "trusted_root": "/z"}},
    "pushes": {"immutable": ["v*"], "quotas": {"a": "1GiB"}},
    "retention": {"rules": "/x"},
    "scrub": {"children": ["http://c:1"]},
    "access": {
        "anonymous": "pull",
        "users": "/u",
        "robots": "/r",
        "policies": "/p",
        "issuers": {"n": {"issuer": "https://x", "audience": "a", "keys": "https://x/y", "groups": ["a"]}},
        "tokens": {"key": "/k"},
    },
    "limits": {"exempt": ["10.0.0.0/8"]},
    "pulls": {"file": "/p", "pseudonyms": "/x", "reporters": ["a"]},
    "webhooks": {"queue": "/q", "receivers": {"c": {"url": "http://x", "secret": "file:/s", "ca": "/x"}}},
}
_VALUES = ([], {"a": 1}, 5, [["x"]], "a\0b", "file:a\0b", "/" + "y" * 5000, "http://[")


def _paths(value: Any, at: Path = ()) -> Iterator[Path]:
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _paths(inner, (*at, key))


def _with(value: Any, at: Path, new: object) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _with(copy[at[0]], at[1:], new)
    return copy


@pytest.mark.parametrize("at", list(_paths(_ALL)), ids=lambda path: ".".join(map(str, path)))
def test_no_value_trips_a_check(at: Path) -> None:
    for value in _VALUES:
        with pytest.raises(ConfigInvalid) as invalid:
            parse(json.dumps(_with(_ALL, at, value)), "f.yaml").fit()
        assert all(str(finding).startswith("f.yaml:1:") for finding in invalid.value.findings)


def test_a_value_that_is_wrong_is_told_once() -> None:
    text = "role: site\nstore: {disk: {path: /tmp}}\nlisten: 5000\nregistries: {a.b: {parents: [[http://localhost:5000]]}}\n"
    with pytest.raises(ConfigInvalid) as invalid:
        parse(text, "f")
    assert [finding.path for finding in invalid.value.findings] == [("listen",)]
