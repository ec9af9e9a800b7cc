"""Renovate's rules about images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import matching, reference, searched

_BOT: Final = "is not carried: what the bot does in its repositories is no rule"
_NOTHING: Final = "no images: only the bot's own business"
_ALL: Final = "of all packages: name images, for a rule is about repositories"
_ORDER: Final = "another order of versions: write tags as an expression, semver: or semver+:"
_READ: Final = frozenset(
    {
        *("description", "matchDatasources", "matchPackageNames", "matchDepNames", "matchPackagePrefixes"),
        *(
            "matchPackagePatterns",
            "versioning",
            "allowedVersions",
            "minimumReleaseAge",
            "stabilityDays",
            "enabled",
        ),
        *("excludePackageNames", "excludePackagePrefixes", "excludePackagePatterns"),
    }
)
_NAMES: Final = ("matchPackageNames", "matchDepNames")
_JSON5: Final = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|//[^\n]*|/\*.*?\*/""", re.DOTALL)
_DAYS: Final = re.compile(r"(\d+)\s*(minute|min|hour|day|week|month|year|[mhdwy])s?")


def renovate(text: str) -> Iterator[Entry]:
    """`packageRules` about images, with the age that they ask for."""
    document = mapping_of(
        _as_yaml(text), "renovate", "packageRules", "minimumReleaseAge", "extends", "$schema"
    )
    age = document.text("minimumReleaseAge")
    for rule in document.mappings("packageRules"):
        where = str(rule.values.get("description") or _first_name(rule) or "packageRules")
        rule.leave(_BOT, *(key for key in rule.values if key not in _READ))
        yield from each_entry(rule, where, partial(_rule, rule, where, age))
    others = [key for key in document.values if key not in document.read and not key.startswith("$")]
    document.drop(*(key for key in document.values if key.startswith("$")))
    document.leave(_BOT, *others)
    yield from each_entry(document, "the file", list)


def _as_yaml(text: str) -> str:
    """JSON5 where YAML reads it otherwise: without comments, texts in double quotes. All keeps its line."""
    return _JSON5.sub(_one_as_yaml, text)


def _one_as_yaml(found: re.Match[str]) -> str:
    part = found[0]
    if part.startswith("/"):
        return re.sub(r"[^\n]", " ", part)
    if part.startswith("'"):
        inner = part[1:-1].replace("\\'", "'").replace('"', '\\"')
        return f'"{inner}"'
    return part


def _first_name(rule: Fields) -> str:
    for key in (*_NAMES, "matchPackagePrefixes", "matchPackagePatterns"):
        found = rule.values.get(key)
        if isinstance(found, list) and found:
            return str(found[0])
    return ""


def _rule(rule: Fields, where: str, age: str) -> Iterator[Entry]:
    rule.drop("description")
    sources = rule.texts("matchDatasources")
    if sources and "docker" not in sources:
        raise NotCarried(
            f"matchDatasources: {', '.join(sources)}: {_NOTHING}", rule.place("matchDatasources")
        )
    if not rule.flag("enabled", True):
        raise NotCarried(
            "enabled: false: left out there; exclude the repository with !PATTERN", rule.place("enabled")
        )
    for key in ("excludePackageNames", "excludePackagePrefixes", "excludePackagePatterns"):
        rule.refuse(key, "write it as !PATTERN in matchPackageNames")
    tags, own = _tags(rule)
    written = rule.text("minimumReleaseAge") or (
        f"{rule.text('stabilityDays')} days" if "stabilityDays" in rule else age
    )
    keys: dict[str, Any] = {"tags": tags}
    if written:
        keys["age"] = _age(written, rule)
    repositories = _repositories(rule)
    if not repositories:
        raise NotCarried(_ALL, rule.mark)
    for registry, repository in repositories:
        yield Entry(where, {"from": registry, "repos": repository, **keys}, selects=own)


def _repositories(rule: Fields) -> list[tuple[str, str]]:
    found = [_named(name, key, rule) for key in _NAMES for name in rule.texts(key)]
    for prefix in rule.texts("matchPackagePrefixes"):
        ref = reference(f"{prefix.rstrip('/')}/x" if prefix.endswith("/") else f"{prefix}x")
        found.append((ref.registry, f"{ref.repository.removesuffix('x')}**"))
    rule.refuse("matchPackagePatterns", "expressions over whole names: write HOST and repos, a list or globs")
    return found


def _named(name: str, key: str, rule: Fields) -> tuple[str, str]:
    if name.startswith(("/", "!/", "!")) or name in ("*", "**"):
        raise NotCarried(f"{key}: {name}: write HOST/REPOSITORY, or a glob below one", rule.place(key))
    ref = reference(name)
    if "*" in ref.registry or ref.tag or ref.digest:
        raise NotCarried(f"{key}: {name} is no repository", rule.place(key))
    return ref.registry, ref.repository


def _tags(rule: Fields) -> tuple[str, Any]:
    versioning, allowed = rule.text("versioning"), rule.text("allowedVersions")
    own = None
    if versioning.startswith("regex:"):
        bare = re.sub(r"\(\?<(?![=!])\w+>", "(", versioning.removeprefix("regex:"))
        try:
            tags, own = searched(bare), matching(bare)
        except NotCarried as fault:
            raise NotCarried(f"versioning: {fault}", rule.place("versioning")) from None
    elif versioning in ("", "docker"):
        tags = "*" if not versioning else "semver~: *"
    elif versioning in ("semver", "semver-coerced"):
        tags = "semver+: *"
    else:
        raise NotCarried(f"versioning: {versioning}: {_ORDER}", rule.place("versioning"))
    if allowed:
        tags = _allowed(allowed, tags, rule)
        own = None
    return tags, None if own is None else lambda tag: own.search(tag) is not None


def _allowed(allowed: str, tags: str, rule: Fields) -> str:
    sign = "!" if allowed.startswith("!/") else ""
    if allowed.strip("!").startswith("/"):
        if sign or not allowed.endswith("/"):
            raise NotCarried(
                f"allowedVersions: {allowed}: write it as !PATTERN of tags", rule.place("allowedVersions")
            )
        part = searched(allowed[1:-1])
    else:
        part = f"semver~: {allowed}"
    return part if tags == "*" else f"{tags} & {part}"


def _age(written: str, rule: Fields) -> str:
    found = _DAYS.fullmatch(written.strip())
    if found is None:
        raise NotCarried(
            f"minimumReleaseAge: {written}: write a number and days", rule.place("minimumReleaseAge")
        )
    unit = {"min": "m", "minute": "m", "month": "d"}.get(found[2], found[2][0])
    number = int(found[1]) * (30 if found[2] == "month" else 1)
    return f"{number}{unit}"
