"""Quay's mirrors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mappings_of
from registry_mesh.config.imports.spelling import hub_name, period, some
from registry_mesh.config.rule_values import host_of

_OURS: Final = (
    "is not carried: logins, proxies and certificates stand in the node's configuration, registries.HOST"
)
_STATE: Final = (
    "sync_status",
    "sync_retries_remaining",
    "sync_expiration_date",
    "last_sync",
    "id",
    "creation_date",
)
_LOGIN: Final = ("external_registry_username", "external_registry_password", "external_registry_config")
_DISABLED: Final = "it is not enabled there, and a rule is in force: enable it, or leave it out"


def quay(text: str) -> Iterator[Entry]:
    """Mirrors of Quay: of a repository, or of an organisation."""
    for mirror in mappings_of(text, "quay", "external_reference", "external_registry_url"):
        where = str(mirror.values.get("external_reference") or mirror.values.get("external_registry_url"))
        yield from each_entry(mirror, where, partial(_mirror, mirror, where))


def _mirror(mirror: Fields, where: str) -> list[Entry]:
    if not mirror.flag("is_enabled", True):
        raise NotCarried(f"is_enabled: {_DISABLED}", mirror.place("is_enabled"))
    mirror.drop("mirror_type", "external_registry_type", *_STATE)
    mirror.leave(_OURS, *[key for key in _LOGIN if mirror.values.get(key)], "skopeo_timeout_interval")
    mirror.drop(*_LOGIN, "external_reference", "external_registry_url")
    mirror.leave(
        "is not carried: who writes and reads it is the access policies' business",
        "robot_username",
        "visibility",
    )
    mirror.leave("is not carried: a rule is in force at once", "sync_start_date")
    rule = mirror.fields("root_rule")
    for key in ("rule", "rule_type"):
        if key in rule:
            raise NotCarried("Quay takes rule_kind and rule_value", rule.place(key))
    if rule.text("rule_kind", "tag_glob_csv").lower() != "tag_glob_csv":
        raise NotCarried("rule_kind: tag_glob_csv is the only one that Quay has", rule.place("rule_kind"))
    rule.drop("left_child", "right_child")
    keys: dict[str, Any] = {**_source(mirror, where)}
    tags = [part.strip() for each in rule.texts("rule_value") for part in each.split(",") if part.strip()]
    keys["tags"] = some(tags or ["*"])
    if architectures := mirror.texts("architecture_filter"):
        keys["platforms"] = [f"linux/{each}" for each in architectures]
    if seconds := mirror.number("sync_interval"):
        keys["every"] = period(float(seconds))
    keys["delete"] = {"unselected": "0s"}
    mirror.notes.append("Quay deletes at once what its filter no longer takes: consider delete: 7d")
    return [Entry(where, keys)]


def _source(mirror: Fields, where: str) -> dict[str, Any]:
    host, _, path = re.sub(r"^\w+://", "", where).rstrip("/").partition("/")
    registry, path = host_of(host), path.removeprefix("repository/")
    folder, filters = mirror.text("external_namespace").strip("/"), mirror.texts("repository_filters")
    if folder:
        return {
            "from": registry,
            "repos": some(f"{folder}/{each.replace('*', '**')}" for each in filters or ["*"]),
        }
    if not path:
        raise NotCarried("neither a repository in external_reference nor an external_namespace", mirror.mark)
    return {"from": registry, "repos": hub_name(registry, path)}
