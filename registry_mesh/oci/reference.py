"""Repository names, tags and references (distribution-spec, "Pulling manifests")."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final, NewType

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import ManifestInvalid, NameInvalid, NameUnknown

RepositoryName = NewType("RepositoryName", str)
Tag = NewType("Tag", str)
RegistryName = NewType("RegistryName", str)
"""A namespace of repositories, named by host: what containerd sends as `ns=`."""

Reference = Tag | Digest

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST: Final = re.compile(
    r"(?:\[[0-9a-fA-F:]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::[0-9]{1,5})?"
)

_LAST_PORT: Final = 65535
_PORT: Final = re.compile(r":[0-9]{1,5}$")
_PORT_IN_PATH: Final = re.compile(r"(.*[^_])_([0-9]{1,5})")

DOCKER_HUB: Final = RegistryName("docker.io")
_HUB: Final = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""Other names of Docker Hub."""

NAME_LIMIT: Final = 255


def is_name(text: str) -> bool:
    """Whether `text` is a repository name by the specification's grammar."""
    return len(text) <= NAME_LIMIT and _NAME.fullmatch(text) is not None


def parse_name(text: str) -> RepositoryName:
    """A repository name; `NameInvalid` otherwise."""
    if not is_name(text):
        raise NameInvalid(
            "a repository name is lower-case words joined by . _ __ - and /, at most 255 characters",
            given=text[:300],
        )
    return RepositoryName(text)


def demand_short(registry: str, name: RepositoryName) -> None:
    """`NameInvalid` where many clients could not pull what is pushed there: they take no longer `REGISTRY/NAME`
    (distribution-spec, "Pulling manifests")."""
    left = NAME_LIMIT - len(registry) - 1
    if len(name) > left:
        raise NameInvalid(f"behind {registry}/ a repository's name has at most {left} characters", given=name)


def is_tag(text: str) -> bool:
    """Whether `text` is a tag by the specification's grammar."""
    return _TAG.fullmatch(text) is not None


def parse_tag(text: str) -> Tag:
    """A tag; `ManifestInvalid` otherwise (the specification has no code for a bad tag)."""
    if not is_tag(text):
        raise ManifestInvalid(
            "a tag is 1 to 128 of A-Z a-z 0-9 _ . - and starts with none of . -", given=text[:200]
        )
    return Tag(text)


def parse_reference(text: str) -> Reference:
    """A tag, or a digest where there is a colon (which no tag may hold)."""
    return Digest.parse(text) if ":" in text else parse_tag(text)


def parse_registry(text: str) -> RegistryName:
    """A registry's host, with a port where it has one; `NameUnknown` otherwise, as for any registry not ours.

    `HOST_PORT` is `HOST:PORT`: clients that put a registry's name into a path take no colon there (no host has a `_`).
    In lower case, without the dot that may end a host, without the port that everybody means (443), and under the one
    name that clients give to Docker Hub's several: spellings of one registry are one name.
    """
    text = _PORT_IN_PATH.sub(r"\1:\2", text) if _PORT_IN_PATH.fullmatch(text) else text
    host, colon, port = text.rpartition(":") if _PORT.search(text) else (text, "", "")
    bare = host.removesuffix(".") + (f":{port}" if colon and port != "443" else "")
    if not _HOST.fullmatch(bare) or _PORT.search(host.removesuffix(".")):  # or two ports
        raise NameUnknown("a registry is named HOST or HOST:PORT", given=text[:300])
    if bare.startswith("[") and not _is_ipv6(bare[1 : bare.index("]")]):
        raise NameUnknown("what stands in brackets is no IPv6 address", given=text[:300])
    if port and not 0 < int(port) <= _LAST_PORT:
        raise NameUnknown(f"a port is a number from 1 to {_LAST_PORT}", given=text[:300])
    lower = bare.lower()
    return DOCKER_HUB if lower in _HUB else RegistryName(lower)


def _is_ipv6(text: str) -> bool:
    try:
        return bool(IPv6Address(text))
    except ValueError:
        return False


def path_component(registry: str) -> str:
    """The registry's name as the first component of a path: `HOST_PORT` where it has a port."""
    return _PORT.sub(lambda found: "_" + found[0][1:], registry)


def full_name(registry: str, name: RepositoryName) -> RepositoryName:
    """A repository's name as its registry has it: Docker Hub keeps what people call `alpine` as `library/alpine`."""
    return RepositoryName(f"library/{name}") if registry == DOCKER_HUB and "/" not in name else name


def referrers_tag(digest: Digest) -> Tag:
    """The tag that lists referrers where a registry lacks the API (distribution-spec, "Referrers Tag Schema")."""
    return Tag(f"{digest.algorithm[:32]}-{digest.hex[:64]}")
