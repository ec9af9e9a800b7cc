"""From a request to its handler: target, registry, name, rights, method, in this order."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from registry_mesh.auth.access import Action
from registry_mesh.edge import blobs, chunk_maps, listing, manifests, referrers, tokens, uploads
from registry_mesh.edge.admission import admit
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.faults import MethodNotAllowed, NotFound
from registry_mesh.edge.target import Target, parse_target
from registry_mesh.oci.endpoints import Endpoint, Match, match
from registry_mesh.oci.reference import RegistryName, RepositoryName, demand_short, parse_name, parse_registry
from registry_mesh.oci.refusals import NameUnknown, RequestInvalid, Unsupported
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.repositories import Repository
from registry_mesh.ports.role import Role

Handler = Callable[[Exchange, Call], Awaitable[None]]


async def get_base(exchange: Exchange, call: Call) -> None:
    """That this is a registry: from local state alone, whatever the parents do."""
    await exchange.reply(200, [("Content-Type", "application/json")], b"{}")


PULL, PUSH, DELETE = Action.PULL, Action.PUSH, Action.DELETE

ROUTES: Final[Mapping[Endpoint, Mapping[str, tuple[Action, Handler]]]] = {
    Endpoint.BASE: {"GET": (PULL, get_base), "HEAD": (PULL, get_base)},
    Endpoint.CATALOG: {"GET": (PULL, listing.get_catalog), "HEAD": (PULL, listing.get_catalog)},
    Endpoint.BLOB: {
        "GET": (PULL, blobs.get_blob),
        "HEAD": (PULL, blobs.head_blob),
        "DELETE": (DELETE, blobs.delete_blob),
    },
    Endpoint.UPLOADS: {"POST": (PUSH, uploads.post_upload)},
    Endpoint.UPLOAD: {
        "GET": (PUSH, uploads.get_upload),
        "HEAD": (PUSH, uploads.get_upload),
        "PATCH": (PUSH, uploads.patch_upload),
        "PUT": (PUSH, uploads.put_upload),
        "DELETE": (PUSH, uploads.delete_upload),
    },
    Endpoint.MANIFEST: {
        "GET": (PULL, manifests.get_manifest),
        "HEAD": (PULL, manifests.get_manifest),
        "PUT": (PUSH, manifests.put_manifest),
        "DELETE": (DELETE, manifests.delete_manifest),
    },
    Endpoint.TAGS: {"GET": (PULL, listing.get_tags), "HEAD": (PULL, listing.get_tags)},
    Endpoint.REFERRERS: {"GET": (PULL, referrers.get_referrers), "HEAD": (PULL, referrers.get_referrers)},
    Endpoint.CHUNK_MAP: {"GET": (PULL, chunk_maps.get_chunk_map), "HEAD": (PULL, chunk_maps.get_chunk_map)},
}


_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_WHICHEVER: Final = RepositoryName("whichever")
"""Asked for only to learn whether the registry is one of the role's."""


class Dispatch:
    """`extensions` are handlers of `/v2/_mesh/…` by the first component that follows."""

    def __init__(self, role: Role, extensions: Mapping[str, Handler] | None = None) -> None:
        self._role = role
        self._extensions = extensions or {}

    async def __call__(self, exchange: Exchange) -> None:
        target = parse_target(exchange.request.raw_path)
        if target.path in tokens.ROUTES and exchange.settings.tokens is not None:
            await tokens.answer(exchange, target, exchange.settings.tokens)
            return
        await exchange.identify()
        found = match(target.path, self._role.registries)
        if found is None:
            raise NotFound(path=target.path[:300])
        call, handler = self._taken_apart(exchange, found, target)
        try:
            await handler(exchange, call)
        except MethodNotAllowed:
            raise
        except Unsupported as fault:
            others = [method for method in ROUTES.get(found.endpoint, {}) if method != exchange.method]
            raise MethodNotAllowed(fault.reason, others, **fault.detail) from None

    def _taken_apart(self, exchange: Exchange, found: Match, target: Target) -> tuple[Call, Handler]:
        """What is asked for and who answers it, once the caller may ask that."""
        named = _named_registry(found, target)
        name = parse_name(found.name) if found.name else RepositoryName("")
        repository = self._repository(exchange, named, name)
        registry = repository.registry if repository is not None else named or ""
        name = repository.name if repository is not None else name
        subject = admit(exchange, Action.PULL, registry, name, listed=found.endpoint is Endpoint.CATALOG)
        action, handler = self._route(exchange.method, found)
        exchange.call = call = Call(
            self._role,
            found.endpoint,
            found.reference,
            target.query,
            named,
            named or self._default(exchange),
            found.registry is not None,
            _prefix(exchange),
            name,
            repository,
            Pusher(subject, exchange.request.remote or ""),
        )
        if action is not Action.PULL:
            _demand_pushes(exchange, call)
            admit(exchange, action, registry, name)
            if action is Action.PUSH:
                demand_short(registry, name)
        return call, handler

    def _repository(
        self, exchange: Exchange, named: RegistryName | None, name: RepositoryName
    ) -> Repository | None:
        """None for what belongs to no repository. A registry that is not ours is unknown, after the rights to
        ask at all."""
        try:
            if name:
                return self._role.repository(named or self._default(exchange), name)
            if named is not None:
                self._role.repository(named, _WHICHEVER)
        except NameUnknown:
            admit(exchange, Action.PULL, named or "", name)
            raise
        return None

    def _default(self, exchange: Exchange) -> RegistryName | None:
        settings = exchange.settings
        if not settings.default_by_host:
            return settings.default_registry
        host = exchange.headers.get("Host", "").lower()
        bare = host if host.endswith("]") else host.rpartition(":")[0] or host
        return settings.default_by_host.get(bare, settings.default_registry)

    def _route(self, method: str, found: Match) -> tuple[Action, Handler]:
        if found.endpoint is Endpoint.EXTENSION:
            handler = self._extensions.get(found.reference.partition("/")[0])
            if handler is None:
                raise NotFound(extension=found.reference[:300])
            return Action.PULL, handler
        methods = ROUTES[found.endpoint]
        if method not in methods:
            raise MethodNotAllowed(f"{method[:20]} is not for this end point", list(methods))
        return methods[method]


def _demand_pushes(exchange: Exchange, call: Call) -> None:
    """`MethodNotAllowed` where nothing can be changed here, or not now."""
    if call.repository is None or call.repository.pushes is None:
        why = "this node takes no pushes: push to the origin"
    elif exchange.settings.read_only:
        why = "this node is read-only for maintenance: come again later"
    else:
        return
    raise MethodNotAllowed(why, _reading_methods(call.endpoint))


def _prefix(exchange: Exchange) -> str:
    """What a proxy before us has taken off the path; empty for anything but plain segments."""
    given = exchange.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    return given if len(given) <= 255 and _PREFIX.fullmatch(given) else ""


def _named_registry(found: Match, target: Target) -> RegistryName | None:
    """By path or by `ns=`; two that differ are a mistake nobody should guess about."""
    ns = target.query.one("ns")
    by_query = parse_registry(ns) if ns is not None else None
    if found.registry is None:
        return by_query
    by_path = parse_registry(found.registry)
    if by_query is not None and by_query != by_path:
        raise RequestInvalid("ns and the path name different registries", ns=by_query, path=by_path)
    return by_path


def _reading_methods(endpoint: Endpoint) -> list[str]:
    return [method for method, (action, _) in ROUTES[endpoint].items() if action is Action.PULL]
