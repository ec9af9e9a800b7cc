"""The kinds of values in a configuration file, and how each is read."""

from __future__ import annotations

import os
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from registry_mesh.auth.hosts import split
from registry_mesh.auth.subjects import is_subject
from registry_mesh.config.addresses import (
    WRITABLE,
    bucket,
    file_name,
    listening,
    node_or_registry,
    proxy,
    redirect_host,
    server,
)
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


_GLOB: Final = re.compile(r"[A-Za-z0-9._*?\[\]!-]+")
_SCOPE: Final = re.compile(r"[a-z0-9._/*?\[\]!-]+")


def _tag_glob(text: str) -> str:
    """`TAG` or `REPOSITORY:TAG`, as globs that some name can match."""
    scope, colon, tags = text.rpartition(":")
    wrong = _GLOB.sub("", tags) or _SCOPE.sub("", scope)
    if wrong or not tags or (colon and not scope):
        what = f"{wrong[0]} stands in no tag's or repository's name" if wrong else "one of both is empty"
        raise ValueError(f"{what}: a pattern is a glob of TAG or REPOSITORY:TAG, such as v* or prod/**:*")
    return text


def _lines(text: str) -> str:
    """A text of one line or several, for people to read; the end of the last line is no part of it."""
    text = text.rstrip("\n")
    for line in text.split("\n"):
        _one_line(line)
    return text


_OWN: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_address(source: str) -> bool:
    """Whether a source of keys is an address, and no file."""
    return "://" in source


def _keys(text: str) -> str:
    """A file, or an address that nobody on the way can answer for."""
    if not is_address(text):
        return file_name(text)
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
        or not WRITABLE.fullmatch(text)
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

_SERVER: Final = WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"})
ServerUrl = Annotated[str, BeforeValidator(server("a token service")), _SERVER]
SiblingUrl = Annotated[str, BeforeValidator(server("a server of the site")), _SERVER]

_PARENT: Final = WithJsonSchema({"type": "string", "pattern": "^https?://[^/@?#\\s]+(/[^@?#\\s]*)?$"})
ParentUrl = Annotated[str, BeforeValidator(node_or_registry("a parent")), _PARENT]
ChildUrl = Annotated[str, BeforeValidator(node_or_registry("a child")), _PARENT]
EndpointUrl = Annotated[str, BeforeValidator(node_or_registry("an endpoint")), _PARENT]

ProxyUrl = Annotated[
    str, BeforeValidator(proxy), WithJsonSchema({"type": "string", "examples": ["http://proxy.example:3128", "none"]}),
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
FilePath = Annotated[Text, AfterValidator(file_name)]
PageUrl = Annotated[
    Text, AfterValidator(_page), WithJsonSchema({"type": "string", "pattern": "^https?://[^@#]+$"})
]
KeySource = Annotated[Text, AfterValidator(_keys)]
Address = Annotated[Text, AfterValidator(listening)]
Bucket = Annotated[Text, AfterValidator(bucket)]
TagGlobs = Annotated[tuple[Annotated[Text, AfterValidator(_tag_glob)], ...], BeforeValidator(as_tuple)]
RedirectHost = Annotated[Text, AfterValidator(redirect_host)]
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
