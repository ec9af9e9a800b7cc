"""`hosts.toml` of containerd."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.parents import address, parents_of
from registry_mesh.config.imports.source import toml_fields
from registry_mesh.config.rule_values import host_of

_WHICH: Final = "which registry is it of? It stands in certs.d/HOST/hosts.toml; say --registry host=HOST"
_ROOT: Final = "all registries' mirror: write it below each registry, for parents are of one"
_TAGS: Final = "without resolve it is asked by digest only: a parent is asked for tags too; leave it out"
_OURS: Final = "is not carried: how long a parent may take is the node's own"


def hosts_toml(text: str, file: str, registries: Mapping[str, str]) -> Iterator[Entry]:
    """The mirrors of one registry become its `parents`. `file`: its path, whose folder is the registry's name."""
    document = toml_fields(text, "hosts.toml", "server", "host")
    yield from each_entry(document, "the file", partial(_entry, document, file, registries))


def _entry(document: Fields, file: str, registries: Mapping[str, str]) -> list[Entry]:
    server = document.text("server")
    registry = _registry(document, server, file, registries)
    hosts = document.fields("host")
    # The keys of `server` itself stand at the top of the file; `root` is its old name of one host.
    own = [
        key
        for key in ("skip_verify", "ca", "client", "header", "override_path", "capabilities")
        if key in document
    ]
    more: dict[str, Any] = {}
    groups = [_host(name, hosts.fields(name), more) for name in hosts.values]
    shown = server or registry
    wanted = Fields({key: document.get(key) for key in own}, document.marks, document.mark)
    if not wanted.values or "pull" in (wanted.texts("capabilities") or ["pull"]):
        groups.append(_host(shown if "://" in shown else f"https://{shown}", wanted, more))
    if not groups:
        raise NotCarried("no host: nothing is asked", document.mark)
    wanted.end()
    if hosts.values:
        more["ns"] = "always"
        document.notes.append("ns: containerd tells mirrors the registry's name")
    if "certificate" in more:
        document.notes.append(
            "readers: say who may read what is fetched with a certificate, such as [everybody]"
        )
    return [parents_of(registry, registry, groups, document.mark, **more)]


def _registry(document: Fields, server: str, file: str, registries: Mapping[str, str]) -> str:
    folder = PurePath(file).parent.name if PurePath(file).name == "hosts.toml" else ""
    if folder == "_default":
        raise NotCarried(_ROOT, document.mark)
    named = registries.get("host") or (
        folder if re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?|localhost:\d+", folder) else ""
    )
    from_server = (
        re.sub(r"^\w+://", "", server).partition("/")[0].replace("registry-1.docker.io", "docker.io")
    )
    if not (named or from_server):
        raise NotCarried(_WHICH, document.mark)
    return str(host_of(named or from_server))


def _host(url: str, host: Fields, more: dict[str, Any]) -> str:
    capabilities = host.texts("capabilities")
    if capabilities and "resolve" not in capabilities:
        raise NotCarried(f"capabilities of {url}: {_TAGS}", host.place("capabilities"))
    plain = url.startswith("http://")
    host.refuse("header", "a header for every request: logins stand in registries.HOST.credentials")
    host.leave(_OURS, "dial_timeout")
    if host.flag("skip_verify") and not plain:
        raise NotCarried(
            f"skip_verify of {url}: certificates are always checked; write ca: FILE of its authority",
            host.place("skip_verify"),
        )
    for ca in host.texts("ca"):
        _once(more, "ca", ca, host)
    client = host.get("client")
    pair = client[0] if isinstance(client, list) and client and isinstance(client[0], list) else client
    if isinstance(pair, list):
        _once(more, "certificate", str(pair[0]), host)
        if len(pair) > 1:
            _once(more, "key", str(pair[1]), host)
    elif pair:
        _once(more, "certificate", str(pair), host)
    if host.flag("override_path"):
        return url.rstrip("/")
    bare = re.sub(r"^\w+://", "", url).rstrip("/")
    return f"{'http' if plain else 'https'}://{bare}" if "/" in bare else address(bare, plain=plain)


def _once(more: dict[str, Any], key: str, value: str, host: Fields) -> None:
    if more.setdefault(key, value) != value:
        place = host.place("client" if key != "ca" else "ca")
        raise NotCarried(f"{key}: a registry has one for all of its parents: put both into one file", place)
