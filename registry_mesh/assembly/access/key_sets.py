"""Key sets of issuers that publish them at an address: asked for again and again, the last good ones kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from registry_mesh.access.issuers import KeysInvalid
from registry_mesh.config.access_files import read_issuer
from registry_mesh.config.callers import Access, AccessIssuer
from registry_mesh.config.values import is_address
from registry_mesh.ports.failures import Failure, SourceUnavailable
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.tasks.flights import Flights
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

EVERY: Final = 300.0
"""Seconds until a key set is asked for again."""
AT_MOST: Final = 5.0
"""Seconds between two questions, whatever tokens come: a key that nobody knows costs no more."""
_KEPT: Final = "issuers/"
"""Records of the last good key sets begin with it."""

Fetch = Callable[[str, str | None, str | None], Awaitable[bytes]]


@dataclass(slots=True)
class _Asked:
    """How an issuer fared: when it was asked last, and why that gave nothing."""

    at: float = float("-inf")
    fault: str = ""


class KeySets:
    """Those of `access.issuers` that have an address; `records` keep them over a restart."""

    def __init__(
        self, access: Access, records: KeyedRecords, fetch: Fetch, clock: Callable[[], float]
    ) -> None:
        """`fetch` takes an address, a file of authorities and a file with a token. `clock` is monotonic."""
        self._issuers = {name: each for name, each in access.issuers.items() if is_address(each.keys)}
        self._asked = {name: _Asked() for name in self._issuers}
        self._records = records
        self._fetch = fetch
        self._clock = clock
        self._flights: Flights[str, bool] = Flights()
        self._seen: dict[str, bytes | None] = {}
        """What the records had last, by the name of the issuer."""
        self.documents: dict[str, bytes] = {}
        """The last good key sets, by the name of their issuer."""

    async def recall(self) -> None:
        """Take up what was kept: good for as long as its issuer gives nothing newer."""
        for name in self._issuers:
            await self._recalled(name)

    async def _recalled(self, name: str) -> bool:
        """Take up what a process of this node has kept since; whether it is another key set."""
        with suppress(ValueError, Failure):  # KeysInvalid is a ValueError
            kept = await self._records.get(_KEPT + name)
            if kept == self._seen.get(name):
                return False
            self._seen[name] = kept
            said = json.loads(kept or b"{}")
            if isinstance(said, dict) and said.get("address") == self._issuers[name].keys:
                return self._take(name, str(said.get("keys")).encode())
        return False

    async def refresh(self) -> bool:
        """Ask the issuers that are due; whether a key set is another now."""
        due = [name for name, asked in self._asked.items() if self._clock() - asked.at >= self._pause(asked)]
        return any([await self._ask(name) for name in due])

    async def renew(self, name: str) -> bool:
        """Ask the issuer now, if it was not asked just now; whether its key set is another."""
        if name not in self._issuers or self._clock() - self._asked[name].at < AT_MOST:
            return False
        return await self._ask(name)

    def _pause(self, asked: _Asked) -> float:
        return AT_MOST if asked.fault else EVERY

    async def _ask(self, name: str) -> bool:
        return await self._flights.join(name, lambda: self._asked_now(name))

    async def _asked_now(self, name: str) -> bool:
        issuer, asked = self._issuers[name], self._asked[name]
        asked.at = self._clock()
        try:
            document = await self._fetch(issuer.keys, issuer.ca, issuer.bearer)
            changed = self._take(name, document)
        except (SourceUnavailable, KeysInvalid) as fault:
            self._tell(name, str(fault))
            return await self._recalled(name)
        self._tell(name, "")
        if changed:
            await self._keep(name, issuer, document)
        return changed

    def _take(self, name: str, document: bytes) -> bool:
        """Whether it is another key set than before. `KeysInvalid` where it is none."""
        if self.documents.get(name) == document:
            return False
        read_issuer(name, self._issuers[name], document)
        self.documents[name] = document
        return True

    async def _keep(self, name: str, issuer: AccessIssuer, document: bytes) -> None:
        said = json.dumps({"address": issuer.keys, "keys": document.decode("utf-8", "replace")}).encode()
        try:
            await self._records.put(_KEPT + name, said)
            self._seen[name] = said
        except Failure as fault:
            log.warning("cannot keep a key set", extra={FIELDS: {"issuer": name, "why": fault.reason}})

    def _tell(self, name: str, fault: str) -> None:
        """Say once when an issuer's keys cannot be had, and when they can again."""
        asked = self._asked[name]
        fields = {"issuer": name, "address": self._issuers[name].keys}
        if fault and fault != asked.fault:
            what = "the last good ones hold" if name in self.documents else "its tokens are refused"
            log.error(f"an issuer's keys cannot be fetched: {what}", extra={FIELDS: fields | {"why": fault}})
        elif asked.fault and not fault:
            log.info("an issuer's keys can be fetched again", extra={FIELDS: fields})
        asked.fault = fault
