"""Harbor's replication policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Computed, Fields, NotCarried
from registry_mesh.config.imports.harbor_sides import Registries, sides_of
from registry_mesh.config.imports.source import documents, mappings_of
from registry_mesh.config.imports.spelling import six_field_cron, some
from registry_mesh.config.imports.terraform import META, Resource, is_terraform, literal, resources, shown
from registry_mesh.config.rule_values import host_of

_LABEL: Final = "Harbor's own labels are not in the image; put an annotation on it and match that"
_DISABLED: Final = "it is not enabled there, and a rule is in force: enable it, or leave it out"
_COPYING: Final = "is not carried: blobs are sent in chunks and resumed always"
_ONE: Final = "is not carried: runs of a node never overlap"
_KEEP: Final = "belongs to a rule's keep or fixed; add it by hand"
_OF_HARBOR: Final = [
    "id",
    "creation_time",
    "update_time",
    "creator",
    "parentInstance",
    "triggerAfterCreation",
    "execute_on_changed",
]
_SPEED_BYTES: Final = 128  # Harbor counts Kb/s: 1024 / 8


def harbor(text: str, registries: Registries) -> Iterator[Entry]:
    """Replication policies of Harbor: JSON of its API and command line, its operator's YAML, Terraform. `registries`:
    hosts by the names or numbers under which Harbor knows them."""
    found = resources(text) if is_terraform(text) else None
    if found is None:
        whole = documents(text)
        found = shown(whole[0]) if len(whole) == 1 and isinstance(whole[0], Fields) else None
    if found is not None:
        yield from _terraform(found, registries)
        return
    for policy in mappings_of(text, "harbor", "name", "spec"):
        if "spec" in policy:
            policy.drop("apiVersion", "kind", "metadata", "status")
            spec = policy.fields("spec")
            yield from each_entry(policy, str(spec.values.get("name")), partial(_policy, spec, registries))
        else:
            yield from each_entry(
                policy, str(policy.values.get("name")), partial(_policy, policy, registries)
            )


def _terraform(found: list[Resource], registries: Registries) -> Iterator[Entry]:
    known = dict(registries)
    for each in found:
        url = re.sub(r"^\w+://", "", str(each.fields.values.get("url") or "")).partition("/")[0]
        if (each.kind, each.name) == ("provider", "harbor") and not isinstance(
            each.fields.values.get("url"), Computed
        ):
            known.setdefault("harbor", url)
        if each.kind == "harbor_registry" and each.fields.values.get("endpoint_url") is not None:
            host = (
                re.sub(r"^\w+://", "", str(each.fields.values["endpoint_url"])).rstrip("/").partition("/")[0]
            )
            for name in (
                f"{each.address}.registry_id",
                f"{each.address}.id",
                str(each.fields.values.get("registry_id")),
            ):
                known.setdefault(name, str(host_of("docker.io" if host == "hub.docker.com" else host)))
    for each in found:
        where = str(each.fields.values.get("name") or each.address)
        if each.kind == "harbor_replication":
            each.fields.drop(*META)
            yield from each_entry(each.fields, where, partial(_policy, each.fields, known))
        elif each.kind in ("harbor_retention_policy", "harbor_immutable_tag_rule"):
            yield Entry(each.address, refused=_KEEP, mark=each.fields.mark)


def _policy(policy: Fields, registries: Registries) -> list[Entry]:
    where = literal(policy, "name")
    keys: dict[str, Any] = {"name": where}
    if not policy.flag("enabled", True):
        raise NotCarried(f"enabled: {_DISABLED}", policy.place("enabled"))
    policy.refuse("for_each", "Terraform variables: run terraform show -json and import that")
    policy.drop(*_OF_HARBOR)
    policy.leave(_COPYING, "copy_by_chunk", "copyByChunk")
    policy.leave(_ONE, "single_active_replication", "singleActiveReplication")
    source, target = sides_of(policy, registries)
    keys["from"] = source
    repos, tags, types = _filters(policy)
    keys |= {"repos": some(repos or ["**"]), "tags": some(tags or ["*"])}
    if types:
        keys["types"] = types
    keys |= _to(policy, target)
    keys |= _trigger(policy)
    if any(policy.flag(key) for key in ("deletion", "replicate_deletion", "replicateDeletion")):
        keys["delete"] = {"gone": "0s"}
    if not policy.flag("override", True):
        keys["fixed"] = "*"
    keys |= _speed(policy)
    if said := policy.text("description"):
        keys["note"] = said
    return [Entry(where, keys)]


def _first(policy: Fields, *names: str) -> str:
    """The first of several spellings of one key that says something."""
    found = [literal(policy, name) for name in names]
    return next((each for each in found if each), "")


def _to(policy: Fields, target: str) -> dict[str, Any]:
    namespace = _first(policy, "dest_namespace", "destNamespace")
    cut = _first(
        policy, "dest_namespace_replace_count", "destNamespaceReplaceCount", "dest_namespace_replace"
    )
    if not namespace and not target:
        return {}
    try:
        folders = int(cut) if cut else int(bool(namespace))
    except ValueError:
        place = policy.place("dest_namespace_replace_count")
        raise NotCarried("dest_namespace_replace_count wants a number", place) from None
    rest = "{base}" if folders < 0 else f"{{repo[{folders}:]}}" if folders else "{repo}"
    name = f"{namespace}/{rest}" if namespace else "{repo}"
    return {"to": {"registry": target, "name": name} if target else name}


def _speed(policy: Fields) -> dict[str, Any]:
    written = _first(policy, "speed", "bandwidth_limit", "bandwidth")
    if not written or written in ("0", "-1"):
        return {}
    if not written.isdecimal():
        raise NotCarried(f"speed: {written}: a number of Kb/s is meant", policy.place("speed"))
    policy.notes.append("speed: Harbor holds each of its copies to it, a rule's budget all of them together")
    return {"budget": f"{int(written) * _SPEED_BYTES}B/s"}


def _filters(policy: Fields) -> tuple[list[str], list[str], list[str]]:
    repos: list[str] = []
    tags: list[str] = []
    types: list[str] = []
    for key in ("filters", "replication_filter"):
        for each in policy.mappings(key):
            for kind, value, negative in _filter(each):
                if kind == "label" and value:
                    raise NotCarried(f"{each.path}: {_LABEL}", each.mark)
                if kind == "resource":
                    types += [value] if value in ("chart", "image") else []
                elif value:
                    (repos if kind == "name" else tags).append(f"{negative}{value}")
    for several in (repos, tags):
        if several and all(each.startswith("!") for each in several):
            several.insert(0, "**" if several is repos else "*")
    if (
        len([each for each in repos if each[0] != "!"]) > 1
        or len([each for each in tags if each[0] != "!"]) > 1
    ):
        policy.notes.append(
            "filters: of several of one kind Harbor wants all to match; a rule's list wants one"
        )
        raise NotCarried(
            "filters: several of one kind that must all match: write them as one with &", policy.mark
        )
    return repos, tags, types


def _filter(each: Fields) -> Iterator[tuple[str, str, str]]:
    """Kind, value and sign: `{type, value, decoration}`, or a block with a key of each kind."""
    negative = "!" if each.text("decoration") == "excludes" else ""
    if "type" in each:
        value = each.get("value")
        yield (
            each.text("type"),
            ",".join(map(str, value)) if isinstance(value, list) else str(value or ""),
            negative,
        )
        return
    for kind in ("name", "tag", "resource"):
        if each.values.get(kind):
            yield kind, literal(each, kind), negative
    if each.texts("labels"):
        yield "label", "labels", negative


def _trigger(policy: Fields) -> dict[str, Any]:
    trigger = policy.fields("trigger")
    mode = trigger.text("type") or _first(policy, "trigger_mode", "schedule") or "manual"
    settings = [trigger.fields(key) for key in ("trigger_settings", "triggerSettings", "settings")]
    cron = next(filter(None, (each.text("cron") for each in settings)), "") or policy.text("cron_string")
    if mode in ("manual", "event_based"):
        return {"every": "manual"} if mode == "manual" else {}
    return {"every": six_field_cron(cron or mode)}
