"""zot's sync."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import NO_BUILD, matching, searched, some
from registry_mesh.config.rule_values import host_of

_OURS: Final = "is not carried: how a registry is asked stands in the node's configuration, registries.HOST"
_ASKING: Final = (
    *(
        "tlsVerify",
        "certDir",
        "maxRetries",
        "retryDelay",
        "maxRetryDelay",
        "syncTimeout",
        "responseHeaderTimeout",
    ),
    *(
        "reqConcurrent",
        "reqPerSec",
        "disableHTTP2",
        "maxIdleConnsPerHost",
        "credentialHelper",
        "preserveDigest",
    ),
    *("syncLegacyCosignTags", "oauth2CredentialHelper", "credentialsFile", "downloadDir"),
)


def zot(text: str) -> Iterator[Entry]:
    """`extensions.sync` of zot."""
    document = mapping_of(re.sub(r"{{.*?}}", "template", text), "zot", "extensions", "storage")
    document.drop("distSpecVersion")
    document.leave("is not carried: the server's own", "http", "log", "cluster", "scheduler")
    extensions, storage = document.fields("extensions"), document.fields("storage")
    extensions.spare()
    storage.spare()
    sync = extensions.fields("sync")
    sync.fold("enable", "credentialsFile", "downloadDir", "registries")
    sync.leave(_OURS, "credentialsFile", "downloadDir")
    enabled = sync.flag("enable", True)
    for registry in sync.mappings("registries"):
        yield from _registry(registry, enabled)
    if storage.values.get("retention"):
        said = "keep stands in the rule that brings the tags"
        yield Entry("storage.retention", refused=said, mark=storage.place("retention"))
    yield from each_entry(document, "the file", list)


def _registry(registry: Fields, enabled: bool) -> Iterator[Entry]:
    registry.fold("urls", "pollInterval", "onDemand", "onlySigned", "content", *_ASKING)
    urls = registry.texts("urls")
    url = urls[0] if urls else ""
    keys: dict[str, Any] = {"from": host_of(re.sub(r"^\w+://", "", url).rstrip("/"))}
    every, lazy = registry.text("pollInterval"), registry.flag("onDemand")
    if every:
        keys["every"] = every
    elif lazy:
        keys["data"] = "on-demand"
    registry.leave(_OURS, *_ASKING)
    registry.notes += [f"other addresses are parents of the registry: {each}" for each in urls[1:]]
    if registry.flag("onlySigned"):
        keys["verify"] = "zot-" + re.sub(r"[^a-z0-9]+", "-", str(keys["from"]).lower())
        registry.notes.append(
            f"onlySigned: zot believes any signature; {keys['verify']} is to be configured as a key"
        )
    notes, registry.notes = registry.notes, []
    earlier: list[str] = []
    whole = Fields({"prefix": "**"}, {}, registry.mark)
    for content in registry.mappings("content") or [whole]:
        where = f"{url} {content.values.get('prefix')}"
        content.notes += notes
        yield from each_entry(content, where, partial(_content, content, keys, earlier, where, url, enabled))
        notes = []
    yield from each_entry(registry, url, list)


def _content(
    content: Fields, common: dict[str, Any], earlier: list[str], where: str, url: str, enabled: bool
) -> list[Entry]:
    content.fold("prefix", "tags", "destination", "stripPrefix")
    content.fields("tags").fold("regex", "excludeRegex", "semver")
    if not enabled:
        content.spare()
        raise NotCarried(
            "extensions.sync.enable is false, and a rule is in force: leave it out, or enable it"
        )
    if not url or "template" in url:
        raise NotCarried("urls: an address is missing, or filled in later; write it")
    prefix = content.text("prefix").strip("/")
    folder = prefix.endswith("/**") and prefix != "**"
    taken = [prefix.removesuffix("/**"), prefix] if folder else [prefix or "**"]
    repos = [*taken, *(f"!{each}" for each in earlier)]
    earlier += taken
    tags, own = _tags(content.fields("tags"), "tags" in content)
    keys = {**common, "repos": some(repos), "tags": tags}
    destination, strip = content.text("destination").strip("/"), content.flag("stripPrefix")
    if destination or strip:
        keys["to"] = _target(content, prefix, destination, strip)
    return [Entry(where, keys, selects=own)]


def _tags(tags: Fields, given: bool) -> tuple[str | list[str], Any]:
    if not given:
        return "*", None
    expression = tags.values.get("regex")
    if expression == "":
        tags.spare()
        raise NotCarried("an empty tags.regex takes no tag at all", tags.place("regex"))
    expression, excluded, versions = tags.text("regex"), tags.text("excludeRegex"), tags.flag("semver")
    try:
        taking = searched(expression) if expression else "*"
        found = [taking, *([f"!{searched(excluded)}"] if excluded else [])]
        want, leave = matching(expression), matching(excluded) if excluded else None
    except NotCarried as fault:
        raise NotCarried(f"{tags.path}: {fault}", tags.mark) from None
    if versions:
        found[0] = f"{taking} & semver+: *" if taking != "*" else "semver+: *"
        found.append(NO_BUILD)

    def selects(tag: str) -> bool:
        return want.search(tag) is not None and not (leave is not None and leave.search(tag))

    return some(found), None if versions else selects


def _target(content: Fields, prefix: str, destination: str, strip: bool) -> str:
    literal = re.split(r"[*?\[{]", prefix)[0]
    if not strip:
        return f"{destination}/{{repo}}"
    if literal != prefix and literal and not literal.endswith("/"):
        raise NotCarried("stripPrefix in the middle of a segment", content.place("stripPrefix"))
    folders = len([each for each in literal.split("/") if each]) if literal != prefix else 0
    if literal == prefix:
        return destination or "{base}"
    rest = f"{{repo[{folders}:]}}" if folders else "{repo}"
    return f"{destination}/{rest}" if destination else rest
