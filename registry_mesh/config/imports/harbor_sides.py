"""From where to where a policy of Harbor copies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from registry_mesh.config.imports.fields import Fields, NotCarried

_ELSEWHERE: Final = frozenset({"gitlab", "helm-hub", "artifact-hub"})
"""Kinds of registries whose address is not that of their images."""

Registries = Mapping[str, str]
"""Hosts by the names or numbers under which Harbor knows them; `harbor` is Harbor itself."""


@dataclass(frozen=True, slots=True)
class _Side:
    """A registry as a policy names it: by `names` (name, number), and by the `host` of its address, where that is
    told."""

    names: tuple[str, ...] = ()
    host: str = ""
    local: bool = False

    def __bool__(self) -> bool:
        return bool(self.names) and not self.local


def sides_of(policy: Fields, registries: Registries) -> tuple[str, str]:
    """The registry that is read, and the one that is written where it is another than Harbor's own."""
    sources = [_side(policy, key) for key in ("src_registry", "srcRegistry")]
    targets = [_side(policy, key) for key in ("dest_registry", "destRegistry")]
    others = [_side(policy, key) for key in ("target_registry", "registry_id")]
    mode = policy.text("replication_mode") or policy.text("action")
    source, target, other = (next(filter(None, each), _Side()) for each in (sources, targets, others))
    pushes = mode == "push" or bool(target and not source)
    host = _host(target or other if pushes else source or other, registries, policy)
    if not pushes:
        return host, ""
    own = next((each.host for each in (*sources, *targets) if each.local and each.host), "")
    if not (own := registries.get("harbor") or own):
        raise NotCarried("it pushes from Harbor itself: say --registry harbor=HOST", policy.mark)
    return own, host


def _host(side: _Side, registries: Registries, policy: Fields) -> str:
    """The host of a registry: what `registries` say of it, else what its own address says."""
    named = next((registries[each] for each in (*side.names, side.host) if each in registries), "")
    name = side.names[0] if side.names else ""
    if named:
        return named
    if ecr := re.fullmatch(r"api\.ecr\.([\w-]+)\.(amazonaws\.com(?:\.cn)?)", side.host):
        raise NotCarried(
            f"{side.host} is where ECR is asked for its accounts: say --registry "
            f"{name}=ACCOUNT.dkr.ecr.{ecr[1]}.{ecr[2]}",
            policy.mark,
        )
    if not side.host:
        raise NotCarried(
            f"which host is registry {name or 'none'}? Say --registry {name or 'NAME'}=HOST", policy.mark
        )
    return side.host


def _side(policy: Fields, key: str) -> _Side:
    """As Harbor's answer tells it; a bare text is a name, a number or a host."""
    found = policy.get(key)
    if not isinstance(found, Fields):
        text = str(found or "")
        is_host = re.fullmatch(r"[\w.-]+\.[a-z]+(:\d+)?", text) and not text.startswith("harbor_registry.")
        return _Side((text,) if text else (), text if is_host else "")
    other = policy.fields(key)
    other.spare()
    names = tuple(str(other.values[each]) for each in ("name", "id") if other.values.get(each))
    local = other.values.get("id") == "0" or "Local" in names
    host, _, path = re.sub(r"^\w+://", "", str(other.values.get("url") or "")).rstrip("/").partition("/")
    if str(other.values.get("type") or "") in _ELSEWHERE or path or (local and _is_inner(host)):
        host = ""
    return _Side(names or ((host,) if host else ()), host.replace("hub.docker.com", "docker.io"), local)


def _is_inner(host: str) -> bool:
    """Whether it is the name that Harbor's parts have among themselves."""
    name = host.partition(":")[0]
    return "." not in name or name.endswith((".local", ".internal", ".svc"))
