"""Harbor, zot, Quay, ECR: policies of registries. And settings of clients, which are no rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from registry_mesh.config.imports.entry import Entry, NotCarried
from registry_mesh.config.imports.spelling import hub_name, matching, period, searched, six_field_cron, some
from registry_mesh.config.rule_values import host_of

_CLIENTS: Final = "where clients look: that is client-config and parents in the configuration, not a rule"
_TERRAFORM: Final = "Terraform variables: run terraform show -json and import that"
_LABEL: Final = "Harbor's own labels are not in the image; put an annotation on it and match that"
_BLOCK: Final = re.compile(r'^resource\s+"(\w+)"\s+"(\w+)"\s*\{(.*?)^\}', re.MULTILINE | re.DOTALL)
_ATTRIBUTE: Final = re.compile(r"^\s*([\w-]+)\s*=\s*(.+?)\s*(?:#.*)?$", re.MULTILINE)

Registries = Mapping[str, str]


def clients(text: str) -> Iterator[Entry]:
    """`registries.conf`, `hosts.toml`, kuik, mirror sets: each entry is refused."""
    heads = re.findall(r"^\s*(\[\[?[^\]]+\]\]?)\s*$|^kind:\s*(\S+)", text, re.MULTILINE)
    for head in [each for each in heads if ".mirror" not in each[0]] or [("the file", "")]:
        yield Entry(head[0] or head[1], refused=_CLIENTS)


def harbor(text: str, registries: Registries) -> Iterator[Entry]:
    """Replication policies of Harbor: JSON of its API and command line, its operator's YAML, Terraform."""
    if text.lstrip().startswith(("{", "[")):
        found = json.loads(text)
        policies = found if isinstance(found, list) else [found]
    elif 'resource "' in text:
        policies = list(_terraform_policies(text))
    else:
        policies = [d.get("spec") or d for d in filter(None, yaml.safe_load_all(text))]
    for policy in policies:
        where = str(policy.get("name"))
        try:
            yield _policy(policy, registries, where)
        except NotCarried as fault:
            yield Entry(where, refused=str(fault))


def _policy(policy: Mapping[str, Any], registries: Registries, where: str) -> Entry:
    keys: dict[str, Any] = {"name": where}
    source, target = _sides(policy, registries)
    keys["from"] = source
    repos, tags, types = _filters(policy.get("filters") or policy.get("replication_filter") or [])
    keys |= {"repos": some(repos or ["**"]), "tags": some(tags or ["*"])}
    if types:
        keys["types"] = types
    namespace = policy.get("dest_namespace") or policy.get("destNamespace")
    if namespace or target:
        cut = policy.get(
            "dest_namespace_replace_count", policy.get("dest_namespace_replace", 1 if namespace else 0)
        )
        rest = "{base}" if int(cut) < 0 else "{repo}" if not int(cut) else f"{{repo[{int(cut)}:]}}"
        name = f"{namespace}/{rest}" if namespace else "{repo}"
        keys["to"] = {"registry": target, "name": name} if target else name
    keys |= _trigger(policy)
    if policy.get("deletion") or policy.get("replicate_deletion") or policy.get("replicateDeletion"):
        keys["delete"] = {"gone": "0s"}
    if policy.get("override") is False:
        keys["fixed"] = "*"
    notes = [] if policy.get("enabled", True) else ["it is not enabled there"]
    return Entry(where, keys, notes=tuple(notes))


def _sides(policy: Mapping[str, Any], registries: Registries) -> tuple[str, str]:
    """The registry that is read, and the one that is written where it is another than Harbor's own."""
    other = policy.get("src_registry") or policy.get("srcRegistry") or policy.get("dest_registry")
    other = other or policy.get("destRegistry") or policy.get("target_registry") or policy.get("registry_id")
    name = str((other.get("name") or other.get("id")) if isinstance(other, dict) else other)
    pushes = policy.get("replication_mode") == "push" or policy.get("action") == "push"
    pushes = pushes or bool(policy.get("dest_registry") or policy.get("destRegistry"))
    if name not in registries:
        raise NotCarried(f"which host is registry {name}? Say --registry {name}=HOST")
    if not pushes:
        return registries[name], ""
    if "harbor" not in registries:
        raise NotCarried("it pushes from Harbor itself: say --registry harbor=HOST")
    return registries["harbor"], registries[name]


def _filters(filters: Any) -> tuple[list[str], list[str], list[str]]:
    repos: list[str] = []
    tags: list[str] = []
    types: list[str] = []
    for each in filters:
        kind, value = each.get("type"), each.get("value")
        negative = "!" if each.get("decoration") == "excludes" else ""
        if kind == "label":
            raise NotCarried(_LABEL)
        if kind == "resource":
            types += ["chart"] if value == "chart" else ["image"] if value == "image" else []
        elif value:
            (repos if kind == "name" else tags).append(f"{negative}{value}")
    if tags and all(each.startswith("!") for each in tags):
        tags.insert(0, "*")
    return repos, tags, types


def _trigger(policy: Mapping[str, Any]) -> dict[str, Any]:
    trigger = policy.get("trigger") or {}
    mode = trigger.get("type") or policy.get("trigger_mode") or policy.get("schedule") or "manual"
    settings = trigger.get("trigger_settings") or trigger.get("triggerSettings") or {}
    cron = settings.get("cron") or policy.get("cron_string") or ""
    if mode in ("manual", "event_based"):
        return {"every": "manual"} if mode == "manual" else {}
    return {"every": six_field_cron(cron or mode)}


def _terraform_policies(text: str) -> Iterator[dict[str, Any]]:
    for kind, _name, body in _BLOCK.findall(text):
        if kind != "harbor_replication":
            continue
        filters = []
        for block in re.findall(r"filters\s*\{(.*?)\}", _quoted(body), re.DOTALL):
            for key, value in _ATTRIBUTE.findall(block):
                plain = _value(value)
                labelled = "label" if key == "labels" else key
                if key != "decoration":
                    filters.append({"type": labelled, "value": plain})
        own = re.sub(r"filters\s*\{.*?\}", "", _quoted(body), flags=re.DOTALL)
        yield {**{key: _value(value) for key, value in _ATTRIBUTE.findall(own)}, "filters": filters}


def _quoted(body: str) -> str:
    """With braces inside texts out of the way of blocks."""
    return re.sub(r'"[^"\n]*"', lambda found: found[0].replace("{", "\1").replace("}", "\2"), body)


def _value(text: str) -> Any:
    bare = text.strip().replace("\1", "{").replace("\2", "}")
    if bare.startswith('"'):
        found = bare.strip('"')
        if "${" in found:
            raise NotCarried(_TERRAFORM)
        return found
    if bare in ("true", "false"):
        return bare == "true"
    return int(bare) if re.fullmatch(r"-?\d+", bare) else bare


def zot(text: str) -> Iterator[Entry]:
    """`extensions.sync` of zot."""
    document = yaml.safe_load(re.sub(r"{{.*?}}", "template", text).replace("\t", " "))
    extensions = document.get("extensions") or {}
    for registry in (extensions.get("sync") or {}).get("registries") or []:
        yield from _zot_registry(registry)
    if (document.get("storage") or {}).get("retention"):
        yield Entry("storage.retention", refused="keep stands in the rule that brings the tags")


def _zot_registry(registry: Mapping[str, Any]) -> Iterator[Entry]:
    url = str((registry.get("urls") or [""])[0])
    keys: dict[str, Any] = {"from": host_of(re.sub(r"^\w+://", "", url).rstrip("/"))}
    if registry.get("onDemand") and not registry.get("pollInterval"):
        keys["data"] = "on-demand"
    elif registry.get("pollInterval"):
        keys["every"] = str(registry["pollInterval"])
    notes = [
        f"other addresses are parents of the registry: {each}" for each in (registry.get("urls") or [])[1:]
    ]
    if registry.get("onlySigned"):
        notes.append("onlySigned asks for any signature: say verify with a key of the configuration")
    earlier: list[str] = []
    for content in registry.get("content") or [{"prefix": "**"}]:
        where = f"{url} {content.get('prefix')}"
        try:
            yield _zot_content(content, keys, earlier, where, tuple(notes))
        except NotCarried as fault:
            yield Entry(where, refused=str(fault))


def _zot_content(
    content: Mapping[str, Any],
    common: Mapping[str, Any],
    earlier: list[str],
    where: str,
    notes: tuple[str, ...],
) -> Entry:
    prefix = str(content.get("prefix", "")).strip("/")
    taken = (
        [prefix.removesuffix("/**"), prefix]
        if prefix.endswith("/**") and prefix != "**"
        else [prefix or "**"]
    )
    repos = [*taken, *(f"!{each}" for each in earlier)]
    earlier += taken
    tags, own = _zot_tags(content.get("tags"))
    keys = {**common, "repos": some(repos), "tags": tags}
    destination = str(content.get("destination") or "").strip("/")
    if destination or content.get("stripPrefix"):
        keys["to"] = _zot_target(prefix, destination, bool(content.get("stripPrefix")))
    return Entry(where, keys, notes=notes, selects=own)


def _zot_tags(tags: Any) -> tuple[str | list[str], Any]:
    if not tags:
        return "*", None
    expression = tags.get("regex")
    if expression == "":
        raise NotCarried("an empty tags.regex takes no tag at all")
    taking = searched(expression) if expression else "*"
    if tags.get("semver"):
        taking = f"{taking} & semver+: *" if taking != "*" else "semver+: *"
    excluded = tags.get("excludeRegex")
    found = [taking, *([f"!{searched(excluded)}"] if excluded else [])]
    want, leave = matching(expression or ""), matching(excluded) if excluded else None

    def selects(tag: str) -> bool:
        return want.search(tag) is not None and not (leave is not None and leave.search(tag))

    return some(found), None if tags.get("semver") else selects


def _zot_target(prefix: str, destination: str, strip: bool) -> str:
    literal = re.split(r"[*?\[{]", prefix)[0]
    if not strip:
        return f"{destination}/{{repo}}"
    if literal != prefix and literal and not literal.endswith("/"):
        raise NotCarried("stripPrefix in the middle of a segment")
    folders = len([each for each in literal.split("/") if each]) if literal != prefix else 0
    if literal == prefix:
        return destination or "{base}"
    rest = f"{{repo[{folders}:]}}" if folders else "{repo}"
    return f"{destination}/{rest}" if destination else rest


def quay(text: str) -> Iterator[Entry]:
    """Mirrors of Quay: of a repository, or of an organisation."""
    found = json.loads(text)
    for mirror in found if isinstance(found, list) else [found]:
        where = str(mirror.get("external_reference") or mirror.get("external_registry_url"))
        try:
            yield _mirror(mirror, where)
        except NotCarried as fault:
            yield Entry(where, refused=str(fault))


def _mirror(mirror: Mapping[str, Any], where: str) -> Entry:
    rule = mirror.get("root_rule") or {}
    if "rule" in rule or "rule_type" in rule:
        raise NotCarried("Quay takes rule_kind and rule_value")
    bare = re.sub(r"^\w+://", "", where).rstrip("/")
    host, _, path = bare.partition("/")
    registry, path = host_of(host), path.removeprefix("repository/")
    filters = mirror.get("repository_filters")
    folder = mirror.get("external_namespace")
    if folder:
        repos = [f"{folder}/{str(each).replace('*', '**')}" for each in filters or ["*"]]
    else:
        repos = [hub_name(registry, path)]
    tags = [str(each).strip() for each in rule.get("rule_value") or ["*"]]
    keys: dict[str, Any] = {"from": registry, "repos": some(repos), "tags": some(tags)}
    if mirror.get("architecture_filter"):
        keys["platforms"] = [f"linux/{each}" for each in mirror["architecture_filter"]]
    if mirror.get("sync_interval"):
        keys["every"] = period(float(mirror["sync_interval"]))
    keys["delete"] = {"unselected": "0s"}
    return Entry(
        where, keys, notes=("Quay deletes at once what its filter no longer takes: consider delete: 7d",)
    )


def ecr(text: str) -> Iterator[Entry]:
    """Pull-through cache rules of ECR in Terraform, or JSON of its command line."""
    if text.lstrip().startswith("{"):
        rules = json.loads(text).get("pullThroughCacheRules") or []
        found = [(r.get("ecrRepositoryPrefix"), r.get("upstreamRegistryUrl")) for r in rules]
        yield from (_cached(str(prefix), str(url)) for prefix, url in found)
        return
    for kind, name, body in _BLOCK.findall(text):
        if kind == "aws_ecr_pull_through_cache_rule":
            told = dict(_ATTRIBUTE.findall(body))
            prefix, url = told.get("ecr_repository_prefix", ""), told.get("upstream_registry_url", "")
            if not (prefix.startswith('"') and url.startswith('"')) or "${" in prefix + url:
                yield Entry(f"{kind}.{name}", refused=_TERRAFORM)
            else:
                yield _cached(prefix.strip('"'), url.strip('"'))
        elif "lifecycle_policy" in body:
            yield Entry(f"{kind}.{name}", refused="expiry: the cache evicts by use and quota")


def _cached(prefix: str, url: str) -> Entry:
    keys: dict[str, Any] = {"from": host_of(url), "repos": "**", "tags": "*", "data": "on-demand"}
    if prefix != "ROOT":
        keys["to"] = f"{prefix}/{{repo}}"
    return Entry(f"{prefix} = {url}", keys)
