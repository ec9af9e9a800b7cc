"""Every key that names a file, a folder or a secret is looked at before a node starts: found by the schema, so that a
new one is, too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from registry_mesh.config.finding import ConfigInvalid, Finding
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from registry_mesh.config.values import FilePath, KeySource, Secret

Key = tuple[str, ...]
NAMED: Final[tuple[tuple[Any, str], ...]] = ((FilePath, "file"), (KeySource, "file"), (Secret, "secret"))
AROUND: Final[Mapping[Key, Mapping[str, Any]]] = {
    ("access",): {"robots": "/tmp"},
    ("access", "issuers", "*"): {
        "issuer": "https://i.example",
        "audience": "a",
        "keys": "https://i.example/k",
    },
    ("webhooks", "receivers", "*"): {"url": "https://r.example/", "secret": "env:PATH"},
    ("registries", "*"): {"parents": [["https://r.example"]]},
    ("siblings",): {"name": "a", "nodes": {"a": "http://a.example", "b": "http://b.example"}},
    ("listen", "tls", "more", "*"): {"names": ["a.example"]},
    ("store", "s3"): {"bucket": "b"},
    ("keys", "*"): {"identity": "a@b.example", "issuer": "https://i.example"},
}
"""What a section needs beside the key that is looked at."""
ROLES: Final[Mapping[str, str]] = {
    "siblings": "site",
    "registries": "site",
    "replication": "replica",
    "rules": "replica",
}
WRITTEN: Final = {
    ("store", "disk", "path"),
    ("store", "s3", "spool", "path"),
    ("log", "access"),
    ("log", "audit"),
    ("pulls", "file"),
    ("webhooks", "queue"),
}
"""Those that the node makes: what is in them is its own."""
SAID: Final = {
    ("registries", "*", "credentials"),
    ("siblings", "credentials"),
    ("replication", "webhook_secret"),
}
"""Those in which any text may be right."""


def _types(hint: object) -> Iterator[object]:
    """The type, and all that it is made of."""
    yield hint
    for each in get_args(hint):
        if not isinstance(each, str):
            yield from _types(each)


def _keys(model: type[BaseModel], at: Key = ()) -> Iterator[tuple[Key, str]]:
    """Each key that names something, `*` for a name that the operator gives, and of what kind it is."""
    for name, hint in get_type_hints(model, include_extras=True).items():
        if name not in model.model_fields:
            continue
        parts = list(_types(hint))
        several = any(get_origin(each) is dict for each in parts) or name == "more"
        for kind in {kind for each in parts if (kind := _kind_of(each))}:
            yield (*at, name), kind
        for each in parts:
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from _keys(each, (*at, name, "*") if several else (*at, name))


def _kind_of(hint: object) -> str:
    """What a type names; empty for one that names nothing. What stands behind it is added to it."""
    of = getattr(hint, "__metadata__", ())
    for each, kind in NAMED:
        if of[: len(each.__metadata__)] == each.__metadata__:
            return kind
    return ""


KEYS: Final = sorted(set(_keys(Config)))


def test_keys_are_found() -> None:
    keys = {key for key, _ in KEYS}
    assert len(keys) > 30
    assert {("access", "issuers", "*", "bearer"), ("listen", "tls", "more", "*", "key"), ("rules",)} <= keys
    assert keys >= WRITTEN | SAID


def _document(key: Key, value: str) -> dict[str, Any]:
    """A configuration that says `value` there, and what has to stand around it."""
    whole: dict[str, Any] = {"role": ROLES.get(key[0], "origin"), "store": {"disk": {"path": "/tmp"}}}
    if key[:2] == ("store", "s3"):
        whole = {"role": "site", "registries": {"r.example": {"parents": [["https://r.example"]]}}}
    place: Any = whole
    for length, name in enumerate(key[:-1], 1):
        inner: Any = deepcopy(AROUND.get(key[:length], {}))
        inner.pop("name", None)
        if name == "more":
            inner = []
        if name == "*" and isinstance(place, list):
            place.append(inner)
        else:
            inner = place.setdefault("r.example" if name == "*" else name, inner)
        place = inner
    place[key[-1]] = value
    for other in (
        {"certificate": "key", "key": "certificate"}.get(key[-1], ""),
        "file" if key[0] == "pulls" else "",
    ):
        if other and "tokens" not in key:
            place.setdefault(other, value)
    return {"name": "a", **whole}


def _said(key: Key, value: str) -> list[Finding]:
    try:
        loaded = parse(json.dumps(_document(key, value), indent=1), "f.yaml")
    except ConfigInvalid as invalid:
        return list(invalid.findings)
    return [*loaded.lacks, *loaded.warnings]


def _about(key: Key, found: list[Finding], file: str) -> list[Finding]:
    """The findings at the key that name the file."""
    pattern = re.compile("/".join("[^/]+" if name == "*" else re.escape(name) for name in key))
    return [
        each
        for each in found
        if file in str(each)
        and each.mark is not None
        and (each.file != "f.yaml" or pattern.match("/".join(str(part) for part in each.path)))
    ]


@pytest.mark.parametrize(
    ("key", "kind"), KEYS, ids=lambda part: ".".join(part) if isinstance(part, tuple) else part
)
def test_what_is_not_there_is_told_with_its_line(key: Key, kind: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("x")
    missing = str(tmp_path / "a-file" / "missing")
    found = _said(key, f"file:{missing}" if kind == "secret" else missing)
    assert _about(key, found, str(tmp_path)), found


@pytest.mark.parametrize("key", [key for key, kind in KEYS if kind == "secret"], ids=".".join)
def test_a_variable_that_is_not_there_is_told_with_its_line(key: Key) -> None:
    assert _about(key, found := _said(key, "env:NOT_IN_ANY_ENVIRONMENT"), "NOT_IN_ANY_ENVIRONMENT"), found


@pytest.mark.parametrize("key", [key for key, _ in KEYS if key not in WRITTEN | SAID], ids=".".join)
def test_what_is_not_of_its_kind_is_told_with_its_line(key: Key, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"two words\n\0")
    found = _said(key, f"file:{odd}" if (key, "secret") in KEYS else str(odd))
    assert _about(key, found, str(odd)), found
