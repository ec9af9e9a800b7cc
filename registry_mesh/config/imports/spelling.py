"""How other tools spell references, expressions, ranges and periods; to our spelling, or `NotCarried`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.config.imports.fields import NotCarried
from registry_mesh.config.rule_values import host_of
from registry_mesh.oci.reference import DOCKER_HUB, is_tag
from registry_mesh.replication.regex import parse_regex

_REPOSITORY: Final = re.compile(r"[\w.-]*[\w*][\w.*-]*(?:/[\w.-]*[\w*][\w.*-]*)*", re.ASCII)
_HOST: Final = re.compile(r"[\w.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?", re.ASCII)
NO_BUILD: Final = "!*_*"
"""A tag with `_` is a version with a build here, and none where tags are read as they stand."""
_SCHEMES: Final = ("https", "http", "docker", "oci")
_LONGEST: Final = 512
"""A registry's name, a repository's (255 together), a tag (128) and a digest."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference with its registry; Docker Hub's short names written out."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def tags(self) -> str:
        """As a pattern of tags: the digest pins; neither is nothing."""
        return f"{self.tag}@{self.digest}" if self.digest else self.tag

    @property
    def one(self) -> str:
        """As a pattern of one tag: where neither tag nor digest is said, latest is meant."""
        return self.tags or "latest"


def reference(text: str) -> Ref:
    """`[SCHEME://][HOST/]REPO[:TAG][@DIGEST]`, as Docker reads it."""
    if len(text) > _LONGEST:
        raise NotCarried(f"{text[:80]}… is no reference: longer than {_LONGEST} characters")
    scheme = re.match(r"([a-z+]+)://", text.strip())
    if scheme is not None and scheme[1] not in _SCHEMES:
        raise NotCarried(f"{text} is no reference: {scheme[1]}: is not how registries are asked")
    bare, _, digest = re.sub(r"^[a-z+]+://", "", text.strip()).partition("@")
    first, slash, rest = bare.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = DOCKER_HUB, bare
    repository, _, tag = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "")
    if "{{" in text or "${" in text or "$(" in text:
        raise NotCarried(f"{text or 'nothing'} is no reference: variables are not filled in; write the value")
    if not _REPOSITORY.fullmatch(repository) or bare.endswith(":") or (digest and not is_digest(digest)):
        raise NotCarried(f"{text or 'nothing'} is no reference: write HOST/REPOSITORY:TAG")
    if re.search(r"\s", tag):
        raise NotCarried(f"{text} is no reference: {tag} is no tag")
    if not _HOST.fullmatch(first):
        raise NotCarried(f"{text} is no reference: {first} is no host")
    return Ref(host_of(first), hub_name(host_of(first), repository), tag, digest)


def is_digest(text: str) -> bool:
    """Whether `text` is a digest."""
    return re.fullmatch(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", text) is not None


def hub_name(registry: str, repository: str) -> str:
    """A repository's whole name."""
    return f"library/{repository}" if registry == DOCKER_HUB and "/" not in repository else repository


def to_of(ref: Ref, template: str | None = None) -> dict[str, str]:
    """The key `to` for another registry."""
    found = {"registry": ref.registry, "name": template or ref.repository}
    return {**found, "tag": ref.tag} if ref.tag else found


def alternatives(text: str) -> list[str]:
    """An expression cut at the `|` that stand in no group and no set."""
    found, depth, at, inside = [""], 0, 0, False
    while at < len(text):
        each = text[at]
        if each == "\\":
            found[-1] += text[at : at + 2]
            at += 2
            continue
        inside = each == "[" or (inside and each != "]")
        depth += (each == "(") - (each == ")") if not inside else 0
        if each == "|" and not depth and not inside:
            found.append("")
        else:
            found[-1] += each
        at += 1
    return found


def searched(text: str) -> str:
    """An expression that is looked for anywhere in a name, as one of the whole name."""
    return _demand(_joined([_opened(each) for each in alternatives(text)]), text)


def half_anchored(text: str) -> str:
    """`^` X `$` without a group around X: of alternatives only the first is anchored before, only the last behind."""
    parts = alternatives(text)
    return _demand(_joined([_opened(each) for each in alternatives("^" + "|".join(parts) + "$")]), text)


def _opened(part: str) -> str:
    before = "" if part.startswith("^") else ".*"
    behind = "" if part.endswith("$") and not part.endswith("\\$") else ".*"
    inner = part.removeprefix("^")
    inner = inner[:-1] if not behind else inner
    inner = (
        inner.removeprefix("^").removesuffix("$") if not inner.endswith("\\$") else inner.removeprefix("^")
    )
    return f"{before}{inner}{behind}".replace(".*.*", ".*").replace(".*.*", ".*")


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def _demand(found: str, text: str) -> str:
    try:
        parse_regex(found)
    except ValueError as fault:
        raise NotCarried(f"{text}: {fault}") from None
    return f"re: {found}"


def exact_tags(values: object) -> list[str]:
    """Tags and digests of a list, each as a pattern."""
    several = values if isinstance(values, list) else [values]
    found = []
    for each in map(str, several):
        digest = each if is_digest(each) else ""
        if not digest and not is_tag(each):
            raise NotCarried(f"{each} is neither a tag nor a digest")
        found.append(f"@{digest}" if digest else each)
    return found


def period(seconds: float) -> str:
    """`6h`, `90s`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and not seconds % size:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


def six_field_cron(text: str) -> str:
    """A cron whose first field is the second, always 0."""
    words = text.split()
    if len(words) == 6 and words[0] == "0":
        return f"cron {' '.join(re.sub(r'^0/', '*/', each) for each in words[1:])} UTC"
    raise NotCarried(f"{text}: a schedule of six fields that begins with 0 is meant")


def matching(expression: str, *, whole: bool = False) -> re.Pattern[str]:
    """An expression of Go, as Python reads it; `NotCarried`."""
    try:
        return re.compile(f"^(?:{expression})$" if whole else expression, re.ASCII)
    except re.error as fault:
        raise NotCarried(f"{expression}: {fault}") from None


def pins(digests: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """`TAG@DIGEST` of each tag of a digest, `@DIGEST` where it has none."""
    return [f"{tag}@{digest}" for digest, tags in digests for tag in tags or ("",)]


def some(values: Iterable[str]) -> str | list[str]:
    """A list, or the one text in it."""
    several = list(values)
    return several[0] if len(several) == 1 else several
