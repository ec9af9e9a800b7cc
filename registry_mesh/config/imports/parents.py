"""Where clients look for a registry, as the configuration of a site or replica: `registries.HOST.parents`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from registry_mesh.config.finding import Mark
from registry_mesh.config.imports.entry import Entry, Kind
from registry_mesh.config.imports.fields import NotCarried
from registry_mesh.config.rule_values import host_of
from registry_mesh.oci.reference import DOCKER_HUB

_HUB: Final = "https://registry-1.docker.io"


def address(location: str, *, plain: bool = False) -> str:
    """The address of a parent: `HOST[:PORT][/PATH]`, the path being where its repositories begin."""
    host, slash, path = re.sub(r"^\w+://", "", location.strip()).rstrip("/").partition("/")
    if host == DOCKER_HUB and not slash:
        return _HUB
    scheme = "http" if plain else "https"
    return f"{scheme}://{host}/v2/{path}" if path else f"{scheme}://{host}"


def whole_registry(name: str, mirrors: Sequence[str], mark: Mark | None) -> str:
    """The registry that `name` is; `NotCarried` where it is a part of one, or a pattern of several."""
    if name.startswith("*"):
        raise NotCarried(f"{name}: name each registry, for parents are of one", mark)
    host, slash, path = name.strip("/").partition("/")
    if slash:
        said = ", ".join(mirrors)
        same = [each.strip("/").removesuffix(f"/{path}") for each in mirrors if _keeps_names(each, path)]
        groups = f": [{', '.join(f'[{address(each)}]' for each in same)}]" if same else ""
        raise NotCarried(
            f"{name}: parents are of a whole registry, and {said or 'this'} is asked for {path} of {host} alone; where "
            f"all of {host} is there under the same names, write registries.{host}.parents{groups}, "
            "else a rule that copies",
            mark,
        )
    return str(host_of(host))


def _keeps_names(mirror: str, path: str) -> bool:
    """Whether a mirror has what is below `path` under the same path."""
    return mirror.strip("/").endswith(f"/{path}")


def parents_of(where: str, registry: str, groups: Sequence[str], mark: Mark, **more: Any) -> Entry:
    """The entry of a registry's parents, in the order they are asked."""
    several = list(dict.fromkeys(groups))
    keys: dict[str, Any] = {"parents": [[each] for each in several], **more}
    return Entry(where, keys, mark=mark, kind=Kind.PARENTS, registry=registry)


def denied(where: str, name: str, mark: Mark, why: str) -> Entry:
    """The entry that denies a registry, or what is below a path of one."""
    host, _, path = name.strip("/").partition("/")
    repos: Any = [path, f"{path}/**"] if path else "**"
    keys = {"from": host_of(host), "repos": repos, "note": why}
    return Entry(where, keys, mark=mark, kind=Kind.DENY)
