"""ocync."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried, over
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import hub_name, some
from registry_mesh.config.rule_values import host_of

_OURS: Final = "is not carried: how much runs at once, and where, is the node's own"
_ASKING: Final = "is not carried: logins and how a registry is asked stand in registries.HOST"
_VARIABLE: Final = "variables are not filled in; write the value"
_HIDDEN: Final = ("rc", "alpha", "beta", "pre", "snapshot", "nightly")


def ocync(text: str) -> Iterator[Entry]:
    """The configuration of ocync."""
    document = mapping_of(text, "ocync", "mappings")
    document.leave(_OURS, "global")
    registries: dict[str, str] = {}
    for name in document.fields("registries").values:
        registry = document.fields("registries").fields(name)
        registry.leave(
            _ASKING, "auth_type", "max_concurrent", "head_first", "credentials", "token", "aws_profile"
        )
        registries[name] = registry.text("url")
    groups = document.fields("target_groups")
    targets = {name: groups.texts(name) for name in groups.values}
    defaults = document.fields("defaults")
    for mapping in document.mappings("mappings"):
        whole = over(defaults, mapping)
        where = str(mapping.values.get("from"))
        making = partial(_mapping, whole, registries, targets, where)
        yield from each_entry(whole, where, making)
    defaults.spare()
    yield from each_entry(document, "the file", list)


def _mapping(
    mapping: Fields, registries: dict[str, str], targets: dict[str, list[str]], where: str
) -> Iterator[Entry]:
    source = mapping.text("source")
    host = _host(registries.get(source, ""), mapping, "source", source)
    named = [each for name in mapping.texts("targets") for each in targets.get(name, [name])]
    if not named:
        raise NotCarried("targets: none; say which registries", mapping.mark)
    out = [_host(registries.get(name, ""), mapping, "targets", name) for name in named]
    registry = host_of(host)
    repository = mapping.text("from").strip("/")
    keys: dict[str, Any] = {"from": registry, "repos": hub_name(registry, repository)}
    to = mapping.text("to").strip("/") or repository
    several = [{"registry": str(host_of(each)), "name": to} for each in out]
    keys["to"] = several[0] if len(several) == 1 else several
    if platforms := mapping.texts("platforms"):
        keys["platforms"] = platforms
        mapping.notes.append("platforms: ocync writes an index of its own; here it keeps its digest")
    _artifacts(mapping.fields("artifacts"), keys)
    yield from _tags(mapping.fields("tags"), keys, where)


def _host(url: str, mapping: Fields, key: str, name: str) -> str:
    if not url:
        raise NotCarried(f"{key}: {name or 'none'} is no name of registries", mapping.place(key))
    if "${" in url:
        raise NotCarried(f"registries.{name}.url: {url}: {_VARIABLE}", mapping.place(key))
    return url


def _artifacts(artifacts: Fields, keys: dict[str, Any]) -> None:
    include = artifacts.texts("include")
    if not artifacts.flag("enabled", True):
        keys["with"] = "none"
    elif include:
        keys["with"] = include
    artifacts.refuse("exclude", "with names what is brought: write those instead of what is left")
    artifacts.refuse("require_artifacts", "say verify with a key of the configuration, or {by, having}")


def _tags(tags: Fields, keys: dict[str, Any], where: str) -> Iterator[Entry]:
    globs, include, exclude = tags.texts("glob"), tags.texts("include"), tags.texts("exclude")
    versions, order, latest = tags.text("semver"), tags.text("sort"), tags.number("latest")
    tags.leave("is not carried: say it as a test of the file, and guard", "min_tags")
    hidden = [f"*-{each}*" for each in _HIDDEN]
    if (handling := tags.text("semver_prerelease", "exclude")) == "include":
        hidden = []
    elif handling != "exclude":
        raise NotCarried("semver_prerelease: include or exclude", tags.place("semver_prerelease"))
    else:
        tags.notes.append(
            f"tags: ocync leaves out {', '.join(hidden)} where nothing else is said; written out"
        )
    wanted = [_versions(versions), *([] if not globs else [_one(globs)])] if versions else globs or ["*"]
    taking = " & ".join(wanted) if versions else some(wanted)
    if latest:
        if order != "semver":
            raise NotCarried(
                "sort: by version is the only order that means something; write semver", tags.place("sort")
            )
        if not versions:
            taking = " & ".join(["semver~: *", *([_one(globs)] if globs else [])])
        keys["keep"] = latest
        tags.notes.append("keep counts versions here, tags there")
    if fixed := tags.text("immutable_tags"):
        keys["fixed"] = fixed
    without = [f"!{each}" for each in dict.fromkeys([*exclude, *map(_any_case, hidden)])]
    first = [taking] if isinstance(taking, str) else taking
    yield Entry(where, {**keys, "tags": some([*first, *without])})
    if include:
        # What is always included escapes all but the user's own exclusions, and is not counted.
        rest = {key: value for key, value in keys.items() if key != "keep"}
        yield Entry(where, {**rest, "tags": some([*include, *(f"!{each}" for each in exclude)])})


def _any_case(glob: str) -> str:
    """`*-rc*` in capitals or not."""
    word = "".join(f"[{each}{each.upper()}]" for each in glob.strip("*-"))
    return f"re: .*-{word}.*"


def _versions(text: str) -> str:
    return f"semver~: {text.replace(',', ' ')}"


def _one(globs: list[str]) -> str:
    return globs[0] if len(globs) == 1 else f"{{{','.join(globs)}}}"
