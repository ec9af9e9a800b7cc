"""The access policy of one process, replaced while requests run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.gate import Gate
from registry_mesh.access.tokens import KeyInvalid, Tokens, new_key
from registry_mesh.assembly.access.access_books import AccessBooks
from registry_mesh.assembly.access.key_sets import KeySets
from registry_mesh.assembly.access.revocations import NodeRevocations
from registry_mesh.assembly.labels import node_name
from registry_mesh.auth.access import AnonymousAccess, Asked, Decision, Level, Policy
from registry_mesh.auth.basic import Login
from registry_mesh.auth.changes import changes, revoked_above
from registry_mesh.auth.grants import Scope
from registry_mesh.config.access_files import load_users, private_registries
from registry_mesh.config.callers import Access
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.policy_files import policy_paths
from registry_mesh.config.robot_files import robot_paths
from registry_mesh.config.schema import Config
from registry_mesh.config.values import is_address
from registry_mesh.oci.refusals import Unsupported
from registry_mesh.ports.access import Issued
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.tasks.files import trace
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry import audit
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.note import Note
from registry_mesh.upstream.key_set import fetch_key_set

log: Final = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between two looks at the files. All processes of a machine look at the same moments of its clock, so that
what changes is in force in all of them at once."""


def has_logins(config: Config) -> bool:
    """Whether anybody can show who it is."""
    access, tls = config.access, config.listen.tls
    return bool(access.users or access.robots or access.issuers or (tls is not None and tls.clients))


def is_guarded(config: Config) -> bool:
    """Whether it takes more than one level for everybody to say who may do what."""
    access = config.access
    readers = any(known.readers for known in config.registries.values())
    return bool(has_logins(config) or access.policies or readers or private_registries(config))


def token_key(config: Config) -> bytes | None:
    """The private key that tokens are signed with, made afresh where the configuration names none: tokens then end
    with the node. None where there are no tokens. `KeyInvalid` where the file cannot be read."""
    access = config.access
    if not is_guarded(config):
        return None
    if access.tokens.key is None:
        return new_key()
    try:
        return Path(access.tokens.key).read_bytes()
    except OSError as fault:
        raise KeyInvalid(f"{access.tokens.key}: {fault.strerror}") from None


def admin_gate(
    config: Config, last: LastFiles | None = None
) -> Callable[[str, str | None], Awaitable[bool]] | None:
    """Who is let in to the operator's listener; None where it can be reached from this machine alone. `last` knows
    what the file said. `ConfigInvalid`, OSError."""
    users, tls = config.admin.users, config.admin.tls
    if users is None and (tls is None or tls.clients is None):
        return None
    hashes = _operators(users, last or LastFiles()) if users is not None else {}
    return Gate(hashes, time.time, tls.names if tls is not None else ()).lets_in


def _operators(file: str, last: LastFiles) -> Mapping[str, str]:
    def tell(fault: Exception) -> None:
        said = {"faults": [str(fault)]}
        log.error("the file of operators cannot be used: the old one holds", extra={FIELDS: said})

    return last.read([file], lambda files: load_users(file, files), tell)


def admin_hosts(config: Config) -> list[str]:
    """The names by which operators ask the node, without a login."""
    own = [config.registry] if config.registry is not None else []
    return [*config.admin.hosts, node_name(config), os.uname().nodename, *own]


class NodeAccess:
    """Implements `auth.access.Policy` and `ports.access.TokenService`: those of the day."""

    def __init__(
        self,
        config: Config,
        key: bytes | None,
        revocations: NodeRevocations | None = None,
        books: AccessBooks | None = None,
    ) -> None:
        """`key`: see `token_key`. `revocations` hold whatever the files say. `books` know what they said
        when they were valid. `ConfigInvalid`, `KeyInvalid`."""
        self.audit: Callable[[str], None] = _nowhere
        """Takes lines of the audit log about changes: of one process of a node, set before `watch`."""
        self._config = config
        self._revocations = revocations or NodeRevocations(node_name(config), Note(0), keeps=False)
        self._books = books or AccessBooks(config, LastFiles())
        self._key = key
        self._authorizer: Authorizer | None = None
        self._keys: KeySets | None = None
        self._policy: Policy = self._made()
        self._seen = _signature(config.access)

    def _made(self) -> Policy:
        access = self._config.access
        if not is_guarded(self._config) or self._key is None:
            self._authorizer = None
            return AnonymousAccess(Level.parse(access.anonymous))
        name = node_name(self._config)
        service = access.tokens.service or name
        tokens = Tokens(self._key, name, service, int(access.tokens.lifetime))
        self._authorizer = Authorizer(
            self._books.first(),
            tokens,
            time.time,
            _registries(self._config),
            access.tokens.realm,
            logins=has_logins(self._config),
            renew=self._renew,
        )
        return self._authorizer

    @property
    def has_logins(self) -> bool:
        """Whether there is anybody to make tokens for."""
        return self._authorizer is not None and self._authorizer.logins

    # What the edge asks

    @property
    def generation(self) -> int:
        """A number that grows whenever an earlier decision may not hold any more."""
        return self._policy.generation

    async def learn(self, authorization: str) -> None:
        """Look up what is to be known of a header before it is decided about."""
        await self._policy.learn(authorization)

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        """Whether the request may do what it asks; no waiting."""
        return self._policy.decide(authorization, asked)

    def challenge(self, asked: Asked, base: str = "", error: str = "") -> str:
        """The `WWW-Authenticate` value that says how to be let in."""
        return self._policy.challenge(asked, base, error)

    async def issue(self, login: Login | None, scopes: Sequence[Scope]) -> Issued:
        """A token for a login. `Unsupported` at a node where nobody logs in."""
        if self._authorizer is None:
            raise Unsupported("nobody logs in at this node")
        return await self._authorizer.issue(login, scopes)

    def keys(self) -> dict[str, Any]:
        """The public keys that tokens are signed with, as a JWK set; empty where none are issued."""
        return self._authorizer.keys() if self._authorizer is not None else {"keys": []}

    # Changes

    async def begin(self, records: KeyedRecords) -> None:
        """Before anybody asks: take up the key sets that were fetched last, which `records` keep."""
        await self._revocations.begin(records)
        self._keys = KeySets(self._config.access, records, fetch_key_set, time.monotonic)
        await self._keys.recall()
        if self._authorizer is not None and self._keys.documents:
            await self._take_over(self._authorizer)
        if self._authorizer is not None:
            await self._revocations.looked(self._authorizer.book.marks)
            self._authorizer.revoke(self._revocations.marks)

    async def watch(self) -> None:
        """Take over what the files say, for ever. Where they are invalid, what was valid last stays in force."""
        while self._authorizer is not None:
            await asyncio.sleep(LOOK - time.monotonic() % LOOK)
            seen = await offload(_signature, self._config.access)
            if seen != self._seen:
                await self._take_over(self._authorizer)
                self._seen = seen
            if self._revocations.marks != self._authorizer.revoked:
                self._revoke(self._authorizer, self._revocations.marks)

    async def follow_keys(self) -> None:
        """Ask issuers for their keys, for ever."""
        while self._authorizer is not None and self._keys is not None:
            if await self._keys.refresh():
                await self._take_over(self._authorizer)
            await asyncio.sleep(LOOK)

    async def _renew(self, issuer: str) -> None:
        """A token names a key that the issuer is not known by: it may be new."""
        if self._keys is not None and self._authorizer is not None and await self._keys.renew(issuer):
            await self._take_over(self._authorizer)

    def _fetched(self) -> dict[str, bytes]:
        return dict(self._keys.documents) if self._keys is not None else {}

    async def _take_over(self, authorizer: Authorizer) -> None:
        old = authorizer.book
        try:
            authorizer.replace(await offload(self._books.newest, self._fetched()))
        except ConfigInvalid as invalid:
            faults = [str(finding) for finding in invalid.findings]
            self.audit(self._line("access-invalid", "; ".join(faults)))
            log.error(
                "access files are invalid: what was valid last holds", extra={FIELDS: {"faults": faults}}
            )
            issuers = await offload(self._books.issuers, self._fetched())
            authorizer.replace(replace(old, issuers=issuers if issuers is not None else old.issuers))
        else:
            for change in changes(old, authorizer.book):
                self.audit(self._line("access-changed", change))
            log.info("access files read again")
            await self._revocations.looked(authorizer.book.marks)

    def _revoke(self, authorizer: Authorizer, marks: frozenset[str]) -> None:
        more = marks - authorizer.revoked
        authorizer.revoke(marks)
        for subject in revoked_above(authorizer.book, more):
            self.audit(self._line("access-changed", f"{subject} was revoked above"))
        if more:
            log.info("credentials were revoked", extra={FIELDS: {"credentials": len(more)}})

    def _line(self, event: str, reason: str) -> str:
        return audit.line(event, node_name(self._config), reason=reason[:300])


def _nowhere(line: str) -> None:
    """Another process of the node tells of it."""


def _registries(config: Config) -> list[str]:
    return [*config.registries, *([config.registry] if config.registry else [])]


Signature = tuple[tuple[str, tuple[int, ...]], ...]
"""Of each file: path and trace."""


def _signature(access: Access) -> Signature:
    """Differs from the one before where a file may have changed."""
    paths = [] if access.users is None else [Path(access.users)]
    paths += [Path(each.keys) for each in access.issuers.values() if not is_address(each.keys)]
    with contextlib.suppress(ConfigInvalid):
        paths += policy_paths(access.policies) if access.policies is not None else []
    with contextlib.suppress(ConfigInvalid):
        paths += robot_paths(access.robots) if access.robots is not None else []
    return tuple(map(_look, paths))


def _look(path: Path) -> tuple[str, tuple[int, ...]]:
    try:
        return str(path), trace(path)
    except OSError:
        return str(path), ()
