"""The rules that a node goes by: those of its folder, else the last of it that could be used.

A folder may be a mount that is exchanged under the node, or gone, a file half written: what was valid stays in force,
also after a restart, until the folder is valid again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from registry_mesh.assembly.labels import node_name
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.rule_files import (
    RuleTexts,
    parse_rules,
    read_rule_files,
    refuse_on_demand,
    refuse_outward,
    refuse_shares,
    refuse_unheeded,
    refuse_unknown_keys,
    rule_paths,
)
from registry_mesh.config.schema import Config
from registry_mesh.ports.records import Records
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_KEPT: Final = "receipts/rules.json"

Sign = tuple[tuple[str, int, int, int, int], ...]
"""Of each file its name, inode, size, and times of change: equal while nothing changed."""


class RulesInForce:
    """Reads the rules of `folder`; `records` keep the last that were valid, under `kept`."""

    def __init__(
        self,
        config: Config,
        records: Records,
        heeded: Collection[str],
        folder: str,
        kept: str = _KEPT,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        """`reasons`: why keys that are not `heeded` mean nothing here."""
        self._reasons = reasons or {}
        self._config = config
        self._folder = folder
        self._key = kept
        self._records = records
        self._heeded = heeded
        self._sign: Sign | None = None
        self.faults: tuple[str, ...] = ()
        """Why the folder cannot be used."""
        self.faults_since = 0.0
        """Seconds since the epoch."""
        self._said: tuple[str, ...] = ()

    async def changed(self) -> bool:
        """Whether the folder is another than when it was read last."""
        return await offload(_sign, self._folder) != self._sign

    def say(self) -> None:
        """Write into the log why the folder cannot be used, once."""
        if self.faults and self.faults != self._said:
            log.error("rules cannot be used", extra={FIELDS: {"why": self.faults}})
        self._said = self.faults

    async def read(self) -> Rules:
        """The rules of the folder, else the last that could be used; `ConfigInvalid` where there never were any."""
        self._sign = await offload(_sign, self._folder)
        try:
            texts = await read_rule_files(self._folder)
            rules = await self._parsed(texts)
        except ConfigInvalid as invalid:
            self._tell(tuple(str(fault) for fault in invalid.findings))
            kept = await self._kept()
            if kept is None:
                raise
            return kept
        self._tell(())
        await self._keep(texts)
        return rules

    async def _parsed(self, texts: RuleTexts) -> Rules:
        own = (self._config.registry,) if self._config.registry else ()
        rules = await offload(parse_rules, texts, (*self._config.registries, *own))
        name = node_name(self._config)
        ours = replace(rules, rules=tuple(self._as_ours(r) for r in rules if self._is_ours(r, name)))
        refuse_unheeded(ours, self._heeded, self._reasons)
        refuse_unknown_keys(ours, self._config.keys)
        refuse_outward(ours, [name for name, each in self._config.registries.items() if each.push])
        if not self._config.replication.rate:
            refuse_shares(ours)
        if self._config.role != "site" and self._config.replication.fallthrough == "refuse":
            refuse_on_demand(ours)
        return ours

    def _is_ours(self, rule: Rule, name: str) -> bool:
        """A site takes only what names it: the same folder says what replicas copy. Of its own registry an origin
        makes variants, whoever brings them, and nothing else."""
        if self._makes_of(rule):
            return bool(rule.variants)
        return rule.is_for(name) and (self._config.role != "site" or rule.nodes is not None)

    def _makes_of(self, rule: Rule) -> bool:
        """Whether a run at an origin reads a rule about the origin's own registry."""
        config = self._config
        return config.role == "origin" and rule.registry == config.registry and "variants" in self._heeded

    def _as_ours(self, rule: Rule) -> Rule:
        """Of its own registry an origin reads what is to be made of what; the rest is said to those that copy it."""
        if not self._makes_of(rule):
            return rule
        return Rule(
            rule.name,
            rule.registry,
            rule.repositories,
            rule.tags,
            rule.platforms,
            rule.note,
            keep=rule.keep,
            variants=rule.variants,
            place=rule.place,
        )

    def _tell(self, faults: tuple[str, ...]) -> None:
        self.faults_since = (self.faults_since or time.time()) if faults else 0.0
        self.faults = faults

    async def _keep(self, texts: RuleTexts) -> None:
        """Written where it is another than what is kept."""
        said = {str(path): text.decode("utf-8", "replace") for path, text in texts if isinstance(text, bytes)}
        document = json.dumps(said, sort_keys=True).encode()
        if await self._records.get(self._key) != document:
            await self._records.put(self._key, document)

    async def _kept(self) -> Rules | None:
        data = await self._records.get(self._key)
        try:
            said = json.loads(data or b"null")
            return await self._parsed([(path, text.encode()) for path, text in said.items()])
        except (ValueError, AttributeError, ConfigInvalid):
            return None


def _sign(folder: str) -> Sign:
    """Files are followed where they are links: an exchanged mount is another file of the same name."""
    try:
        paths = rule_paths(folder)
    except ConfigInvalid:
        return ()
    found: list[tuple[str, int, int, int, int]] = []
    for path in paths:
        try:
            stat = path.stat()
            found.append((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
        except OSError:
            found.append((str(path), 0, 0, 0, 0))
    return tuple(found)
