"""`registries.conf` of podman, CRI-O, skopeo (version 2)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from registry_mesh.config.imports.entry import Entry, Kind, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.parents import address, denied, parents_of, whole_registry
from registry_mesh.config.imports.source import toml_fields
from registry_mesh.config.rule_values import host_of

_PLAIN: Final = (
    "insecure: taken as plain HTTP; where it speaks TLS write https:// and ca: FILE of its authority"
)
_BY_DIGEST: Final = (
    "is not carried: a mirror is asked for tags too here, and what it lacks comes from the next group"
)
_SHORT: Final = "short names are the client's business: whole names are asked for here"
_OURS: Final = "is not carried: logins stand in the node's configuration, registries.HOST.credentials"
_FIRST: Final = (
    "version 1 of the file: write [[registry]] with location, insecure and blocked, and import that"
)


def registries_conf(text: str) -> Iterator[Entry]:
    """Mirrors become `parents` of the configuration, blocked registries `deny` of a rule file."""
    document = toml_fields(
        text, "registries.conf", "registry", "registries", "aliases", "unqualified-search-registries"
    )
    document.leave(_OURS, "credential-helpers")
    document.leave(f"is not carried: {_SHORT}", "short-name-mode")
    document.leave("is not carried: a client's store of layers", "additional-layer-store-auth-helper")
    if "registries" in document:
        document.get("registries")
        yield Entry("[registries]", refused=_FIRST, mark=document.place("registries"))
    for registry in document.mappings("registry"):
        where = f"[[registry]] {registry.values.get('prefix') or registry.values.get('location')}"
        yield from each_entry(registry, where, partial(_registry, registry, where))
    aliases = document.fields("aliases")
    for name in aliases.values:
        yield Entry(
            f"aliases.{name}", refused=f"{_SHORT}; write {aliases.text(name)}", mark=aliases.place(name)
        )
    yield from each_entry(document, "the file", partial(_searched, document))


def _searched(document: Fields) -> list[Entry]:
    key = "unqualified-search-registries"
    searched = document.texts(key)
    if len(searched) > 1:
        raise NotCarried(
            f"{key}: one registry can be meant where none is named: {', '.join(searched)}",
            document.place(key),
        )
    return [_default(each, key, document) for each in searched]


def _default(host: str, key: str, document: Fields) -> Entry:
    keys = {"default": True, "parents": [[address(host)]]}
    return Entry(key, keys, mark=document.place(key), kind=Kind.PARENTS, registry=str(host_of(host)))


def _registry(registry: Fields, where: str) -> list[Entry]:
    location, prefix = registry.text("location"), registry.text("prefix")
    name = prefix or location
    if not name:
        raise NotCarried("neither location nor prefix", registry.mark)
    if registry.flag("blocked"):
        registry.drop("insecure", "mirror-by-digest-only", "mirror")
        if name.startswith("*"):
            raise NotCarried(f"{name}: name each registry that is to be denied", registry.place("prefix"))
        return [denied(where, name, registry.mark, "blocked in registries.conf")]
    registry.leave(_BY_DIGEST, "mirror-by-digest-only")
    mirrors = registry.mappings("mirror")
    groups = [_mirror(each) for each in mirrors]
    place = registry.place("prefix" if prefix else "location")
    if not location:
        raise NotCarried(
            "prefix without location: it says only that nothing is rewritten; leave it out", place
        )
    host = whole_registry(name, [str(each.values.get("location")) for each in mirrors] or [location], place)
    insecure = registry.flag("insecure")
    if insecure:
        registry.notes.append(_PLAIN)
    return [parents_of(where, host, [*groups, address(location, plain=insecure)], registry.mark)]


def _mirror(mirror: Fields) -> str:
    if (how := mirror.text("pull-from-mirror", "all")) == "tag-only":
        raise NotCarried(
            "pull-from-mirror: tag-only: a parent is asked for tags and blobs",
            mirror.place("pull-from-mirror"),
        )
    if how == "digest-only":
        mirror.notes.append(f"{mirror.path}.pull-from-mirror {_BY_DIGEST}")
    insecure = mirror.flag("insecure")
    if insecure:
        mirror.notes.append(f"{mirror.path}.{_PLAIN}")
    location = mirror.text("location")
    if not location:
        raise NotCarried("a mirror without location", mirror.mark)
    return address(location, plain=insecure)
