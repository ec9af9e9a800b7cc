"""The files that `access:` names: users, and what they may do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from registry_mesh.access.issuers import Issuer, KeylessIssuer, KeysInvalid
from registry_mesh.auth.access import Level
from registry_mesh.auth.book import Book, TokenReader
from registry_mesh.auth.htpasswd import parse_htpasswd
from registry_mesh.auth.policies import Entry, Policies, levels, readers
from registry_mesh.config.callers import Access, AccessIssuer
from registry_mesh.config.files import unreadable
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.policy_files import load_policies, policy_paths
from registry_mesh.config.robot_files import KeptRobot, load_robots
from registry_mesh.config.schema import Config
from registry_mesh.config.values import is_address
from registry_mesh.tasks.files import ON_DISK, Files

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def load_book(
    config: Config, fetched: Mapping[str, bytes] = MappingProxyType({}), files: Files = ON_DISK
) -> Book:
    """What is written down. `fetched`: see `load_issuers`. `ConfigInvalid` lists every fault of every file."""
    findings: list[Finding] = []
    hashes: Mapping[str, str] = {}
    policies = Policies((), {})
    robots: Mapping[str, KeptRobot] = {}
    try:
        hashes = load_users(config.access.users, files) if config.access.users else {}
    except ConfigInvalid as invalid:
        findings += invalid.findings
    try:
        robots = load_robots(config.access.robots, files) if config.access.robots else {}
    except ConfigInvalid as invalid:
        findings += invalid.findings
    issuers: dict[str, TokenReader] = {}
    try:
        issuers = load_issuers(config.access, fetched, files)
    except ConfigInvalid as invalid:
        findings += invalid.findings
    try:
        policies = _policies(config, [kept.entry for kept in robots.values()], files)
    except ConfigInvalid as invalid:
        findings += invalid.findings
    if findings:
        raise ConfigInvalid(findings)
    return Book(policies, hashes, {name: kept.robot for name, kept in robots.items()}, issuers)


def _policies(config: Config, robots: Sequence[Entry], files: Files) -> Policies:
    access, private, lines = config.access, private_registries(config), _lines(config, robots)
    if access.policies is not None:
        return load_policies(policy_paths(access.policies, files), lines, private, files)
    return Policies(_levels(config) + lines, {}, private)


def _lines(config: Config, robots: Sequence[Entry]) -> tuple[Entry, ...]:
    """What stands elsewhere than in policy files."""
    named = [readers(host, known.readers) for host, known in config.registries.items() if known.readers]
    return (*named, *robots)


def _levels(config: Config) -> tuple[Entry, ...]:
    access = config.access
    return levels(Level.parse(access.anonymous).actions, Level.parse(access.authenticated).actions)


def private_registries(config: Config) -> frozenset[str]:
    """Registries that are fetched with credentials of the node."""
    return frozenset(
        host
        for host, known in config.registries.items()
        if known.credentials is not None or known.certificate is not None
    )


def forgotten_registries(config: Config) -> frozenset[str]:
    """Those of `private_registries` of which no line says who may read them. Empty where the files about access cannot
    be read: then nothing is known."""
    private = private_registries(config)
    if not private:
        return private
    try:
        policies = load_book(config).policies
    except ConfigInvalid:
        return frozenset()
    return frozenset(filter(policies.is_forgotten, private))


def load_issuers(
    access: Access, fetched: Mapping[str, bytes] = MappingProxyType({}), files: Files = ON_DISK
) -> dict[str, TokenReader]:
    """The issuers by what their tokens say of them. `fetched`: key sets that came from addresses, by the name of their
    issuer. `ConfigInvalid`."""
    found: dict[str, TokenReader] = {}
    findings: list[Finding] = []
    for name, each in access.issuers.items():
        try:
            if not is_address(each.keys):
                found[each.issuer] = read_issuer(name, each, _text(each.keys, files))
            elif (kept := fetched.get(name)) is not None:
                found[each.issuer] = read_issuer(name, each, kept)
            else:
                found[each.issuer] = KeylessIssuer(name)
        except ConfigInvalid as invalid:
            findings += invalid.findings
        except KeysInvalid as fault:
            findings.append(_no_keys(each.keys, fault))
    if findings:
        raise ConfigInvalid(findings)
    return found


def read_issuer(name: str, issuer: AccessIssuer, keys: str | bytes) -> Issuer:
    """The issuer as its key set makes it. `KeysInvalid`."""
    return Issuer(name, issuer.issuer, issuer.audience, _key_set(keys), issuer.groups)


def check_keys(path: str) -> None:
    """`ConfigInvalid` where the file is no key set of an issuer."""
    try:
        Issuer("", "", "", _key_set(_text(path, ON_DISK)))
    except KeysInvalid as fault:
        raise ConfigInvalid([_no_keys(path, fault)]) from None


def check_bearer(path: str) -> None:
    """`ConfigInvalid` where the file holds no token (RFC 6750, section 2.1)."""
    if not _TOKEN.fullmatch(_text(path, ON_DISK).strip()):
        how = "a token is one word of A-Z a-z 0-9 - . _ ~ + / ="
        raise ConfigInvalid([Finding(path, Mark(1, 1), (), "no token", how)])


def _key_set(text: str | bytes) -> Mapping[str, Any]:
    try:
        said: Mapping[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        raise KeysInvalid("no JSON") from None
    return said


def _no_keys(path: str, fault: KeysInvalid) -> Finding:
    return Finding(path, Mark(1, 1), (), str(fault), "it is what the issuer has at its jwks_uri")


def load_users(path: str, files: Files = ON_DISK) -> Mapping[str, str]:
    """Hashes of passwords by user. `ConfigInvalid`."""
    hashes, faults = parse_htpasswd(_text(path, files))
    if faults:
        raise ConfigInvalid([Finding(path, Mark(each.line, 1), (), each.what, each.how) for each in faults])
    return hashes


def _text(path: str, files: Files) -> str:
    try:
        return files.data(path).decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigInvalid([Finding(path, Mark(1, 1), (), "no UTF-8 text")]) from None
    except OSError as fault:
        raise unreadable(path, fault) from None
