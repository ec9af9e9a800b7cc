"""The kinds of values in a configuration file, and how each is read."""

from __future__ import annotations

import os
import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from registry_mesh.auth.hosts import place, split
from registry_mesh.auth.subjects import is_subject
from registry_mesh.config.scalars import (
    DURATION_PATTERN,
    PRICE_PATTERN,
    RATE_PATTERN,
    SECRET_PATTERN,
    SIZE_PATTERN,
    Price,
    SecretReference,
    parse_duration,
    parse_size,
)
from registry_mesh.oci.reference import is_name, parse_registry
from registry_mesh.oci.refusals import NameUnknown


def _duration(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(
            f'a duration needs a unit: write "{value:g}s"' if not isinstance(value, bool) else ""
        )
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _rate(value: object) -> object:
    return parse_size(value.removesuffix("/s")) if isinstance(value, str) else value


def _secret(value: object) -> object:
    if not isinstance(value, str | SecretReference):
        raise ValueError('a secret is named, never written: "file:/path" or "env:NAME"')
    return SecretReference.parse(value) if isinstance(value, str) else value


def _price(value: object) -> object:
    return Price.parse(value) if isinstance(value, str) else value


def workers(value: object) -> object:
    return max(1, len(os.sched_getaffinity(0))) if value == "auto" else value


def as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


_WRITABLE: Final = re.compile(r"[!-~]*")
"""What may stand in a URL (RFC 3986 section 2): whatever is printable, as far as we look."""


def _parent(value: object) -> object:
    """An address of another node or registry: `http(s)://HOST[:PORT]`. What stands before `/v2` in its path is where
    the registry begins, what stands after it the folder of its repositories."""
    if not isinstance(value, str):
        return value
    parts = split(value)
    if not _WRITABLE.fullmatch(value):
        raise ValueError(
            "an address has no spaces and no letters but ASCII: write others as %20 and the like"
        )
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a parent is http://HOST:PORT or https://HOST:PORT, with a port of 1 to 65535")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a parent's address carries no user or password: use credentials")
    if parts.query or parts.fragment:
        raise ValueError("a parent's address is http(s)://HOST[:PORT][/PATH], with nothing after its path")
    return value.rstrip("/")


def _server(value: object) -> object:
    """`http(s)://HOST[:PORT]`; a path after it is left out."""
    if not isinstance(value, str):
        return value
    found = place(value)
    if found is None or urlsplit(value).username is not None:
        raise ValueError("a token service is http://HOST:PORT or https://HOST:PORT")
    return f"{found[0]}://{urlsplit(value).netloc}"


def _proxy(value: object) -> object:
    """`http://[USER:PASSWORD@]HOST[:PORT]` or `none`."""
    if not isinstance(value, str) or value == "none":
        return value
    found = place(value)
    if found is None or found[0] != "http":
        raise ValueError("a proxy is http://HOST:PORT, or none")
    return value.rstrip("/")


def listed(value: object) -> object:
    """One text stands for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _subject(value: object) -> object:
    if isinstance(value, str) and not is_subject(value):
        raise ValueError("a subject is everybody, users, a user, robot:NAME, ISSUER:SUBJECT or @group")
    return value


def _project(text: str) -> str:
    if not is_name(text):
        raise ValueError(
            "a project is a repository's name, or the first components of several: atlas, atlas/prod"
        )
    return text


def _registry(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_registry(value)
    except NameUnknown as refusal:
        raise ValueError(refusal.reason) from None


def _one_line(text: str) -> str:
    """A text without control characters: it goes into headers, logs and names of files."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("a line break or another control character stands in it")
    return text


def _lines(text: str) -> str:
    """A text of one line or several, for people to read; the end of the last line is no part of it."""
    text = text.rstrip("\n")
    for line in text.split("\n"):
        _one_line(line)
    return text


def _path(text: str) -> str:
    """The name of a file or folder."""
    if text.startswith("~"):
        raise ValueError("only a shell knows what ~ is; write the whole path")
    return text


def _address(text: str) -> str:
    """An address to listen on. Brackets belong to URLs, and are left out."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


_OWN: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_address(source: str) -> bool:
    """Whether a source of keys is an address, and no file."""
    return "://" in source


def _keys(text: str) -> str:
    """A file, or an address that nobody on the way can answer for."""
    if not is_address(text):
        return _path(text)
    parts = split(text)
    if (
        parts is None
        or not parts.hostname
        or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _OWN))
    ):
        raise ValueError("keys are a file, or https://HOST[:PORT]/PATH; http only of this machine")
    if parts.username is not None or parts.fragment:
        raise ValueError("an address of keys carries no user, password or fragment")
    return text


def _page(text: str) -> str:
    """The address of one page: `http(s)://HOST[:PORT]/PATH`."""
    parts = split(text)
    if (
        parts is None
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or not _WRITABLE.fullmatch(text)
    ):
        raise ValueError("an address is http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH")
    if parts.username is not None or parts.fragment:
        raise ValueError("an address that is told to everybody carries no user, password or fragment")
    return text


def plain_name(text: str) -> str:
    """What can stand in a header, a label and a log line."""
    if not text.isascii():
        raise ValueError("a name is of ASCII letters")
    return text


Duration = Annotated[
    float, BeforeValidator(_duration), Field(ge=0),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "10m", "1h30m", "7d"]}),
]  # fmt: skip
"""Seconds."""

Size = Annotated[
    int, BeforeValidator(_size), Field(gt=0),
    WithJsonSchema({"type": ["string", "integer"], "pattern": SIZE_PATTERN, "examples": ["500GiB", "10GB"]}),
]  # fmt: skip
"""Bytes, more than 0."""

Allowance = Annotated[
    int, BeforeValidator(_size), Field(ge=0),
    WithJsonSchema({"type": ["string", "integer"], "pattern": SIZE_PATTERN, "examples": ["100GiB"]}),
]  # fmt: skip
"""Bytes that may be moved; 0: none."""

Rate = Annotated[
    int, BeforeValidator(_rate), Field(ge=0),
    WithJsonSchema({"type": ["string", "integer"], "pattern": RATE_PATTERN, "examples": ["20MiB/s"]}),
]  # fmt: skip
"""Bytes a second."""

Secret = Annotated[
    SecretReference, BeforeValidator(_secret), WithJsonSchema({"type": "string", "pattern": SECRET_PATTERN}),
]  # fmt: skip

ByteCost = Annotated[
    Price, BeforeValidator(_price),
    WithJsonSchema({"type": "string", "pattern": PRICE_PATTERN, "examples": ["0.08 CHF/GB"]}),
]  # fmt: skip

Workers = Annotated[
    int, BeforeValidator(workers), Field(ge=1, le=256),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 256}, {"const": "auto"}]}),
]  # fmt: skip

ServerUrl = Annotated[
    str, BeforeValidator(_server), WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"}),
]  # fmt: skip

ParentUrl = Annotated[
    str, BeforeValidator(_parent), WithJsonSchema({"type": "string", "pattern": "^https?://[^/@?#\\s]+(/[^@?#\\s]*)?$"}),
]  # fmt: skip

ProxyUrl = Annotated[
    str, BeforeValidator(_proxy), WithJsonSchema({"type": "string", "examples": ["http://proxy.example:3128", "none"]}),
]  # fmt: skip

SubjectName = Annotated[
    str, BeforeValidator(_subject), WithJsonSchema({"type": "string", "examples": ["everybody", "@atlas"]}),
]  # fmt: skip

RegistryHost = Annotated[
    str, BeforeValidator(_registry), WithJsonSchema({"type": "string", "examples": ["docker.io"]}),
]  # fmt: skip

Project = Annotated[str, AfterValidator(_project)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
Lines = Annotated[str, Field(min_length=1), AfterValidator(_lines)]
NodeName = Annotated[Text, AfterValidator(plain_name)]
FilePath = Annotated[Text, AfterValidator(_path)]
PageUrl = Annotated[
    Text, AfterValidator(_page), WithJsonSchema({"type": "string", "pattern": "^https?://[^@#]+$"})
]
KeySource = Annotated[Text, AfterValidator(_keys)]
Address = Annotated[Text, AfterValidator(_address)]
Patterns = Annotated[tuple[Text, ...], BeforeValidator(as_tuple)]
Port = Annotated[int, Field(ge=0, le=65535)]
ParentGroup = Annotated[tuple[ParentUrl, ...], BeforeValidator(as_tuple), Field(min_length=1)]
ParentGroups = Annotated[tuple[ParentGroup, ...], BeforeValidator(as_tuple)]


def host_and_port(address: str, port: int) -> str:
    """As they stand in a URL (RFC 3986 section 3.2.2)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Section(BaseModel):
    """A part of the file: strict types, no key that is not named here, never changed."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True
    )
