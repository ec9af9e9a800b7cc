"""The paths below /v2/, built and matched from one table (distribution-spec, "Endpoints")."""

from __future__ import annotations

import enum
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote


class Endpoint(enum.Enum):
    """What a path asks for. The value is the pattern below `/v2/`; NAME may hold slashes, the others not."""

    BASE = ""
    CATALOG = "_catalog"
    EXTENSION = "_mesh/{reference}"
    BLOB = "{name}/blobs/{reference}"
    UPLOADS = "{name}/blobs/uploads/"
    UPLOAD = "{name}/blobs/uploads/{reference}"
    MANIFEST = "{name}/manifests/{reference}"
    TAGS = "{name}/tags/list"
    REFERRERS = "{name}/referrers/{reference}"
    CHUNK_MAP = "{name}/_mesh/chunks/{reference}"

    def path(self, name: str = "", reference: str = "") -> str:
        """The path towards a registry."""
        return "/v2/" + self.value.format(name=name, reference=quote(reference, safe=":"))


@dataclass(frozen=True, slots=True)
class Match:
    """A path taken apart. `name` and `reference` are as they came: not yet checked."""

    endpoint: Endpoint
    name: str = ""
    reference: str = ""
    registry: str | None = None


# Longest first: a repository may itself be called `a/blobs` or `tags`, so the last separator decides.
# A pattern is tried where the path has its word, for which a look takes a tenth of the time.
_PATTERNS: Final = tuple(
    (endpoint, word, re.compile(pattern))
    for endpoint, word, pattern in (
        (Endpoint.UPLOADS, "/blobs/uploads", r"(?P<name>.+)/blobs/uploads/?"),
        (Endpoint.UPLOAD, "/blobs/uploads/", r"(?P<name>.+)/blobs/uploads/(?P<reference>[^/]+)"),
        (Endpoint.CHUNK_MAP, "/_mesh/chunks/", r"(?P<name>.+)/_mesh/chunks/(?P<reference>[^/]+)"),
        (Endpoint.BLOB, "/blobs/", r"(?P<name>.+)/blobs/(?P<reference>[^/]+)"),
        (Endpoint.MANIFEST, "/manifests/", r"(?P<name>.+)/manifests/(?P<reference>[^/]+)"),
        (Endpoint.TAGS, "/tags/list", r"(?P<name>.+)/tags/list"),
        (Endpoint.REFERRERS, "/referrers/", r"(?P<name>.+)/referrers/(?P<reference>[^/]+)"),
        (Endpoint.EXTENSION, "_mesh/", r"_mesh/(?P<reference>.+)"),
        (Endpoint.CATALOG, "_catalog", r"_catalog"),
        (Endpoint.BASE, "", r""),
    )
)


def match(path: str, registries: Container[str] = ()) -> Match | None:
    """Which endpoint a decoded path names; None where it names none.

    The first component is taken off as the registry when it is one of `registries` and something follows.
    """
    if path == "/v2":
        return Match(Endpoint.BASE)
    if not path.startswith("/v2/"):
        return None
    rest = path[4:]
    registry: str | None = None
    head, slash, tail = rest.partition("/")
    if slash and head in registries:
        registry, rest = head, tail
    for endpoint, word, pattern in _PATTERNS:
        if word in rest and (found := pattern.fullmatch(rest)):
            parts = found.groupdict()
            return Match(endpoint, parts.get("name", ""), parts.get("reference", ""), registry)
    return None
