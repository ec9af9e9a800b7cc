"""Checks of `access:` that no single key can make."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from registry_mesh.access.gate import is_loopback
from registry_mesh.access.tokens import KeyInvalid, Tokens
from registry_mesh.auth.access import Action, Actions
from registry_mesh.auth.policies import EVERYBODY, USERS, Entry, Policies, readers
from registry_mesh.auth.subjects import is_issuer
from registry_mesh.auth.trials import Trial
from registry_mesh.config.access_files import check_bearer, check_keys, load_users
from registry_mesh.config.checking.client_tls import check_authorities
from registry_mesh.config.checking.host_in_name import misplaced
from registry_mesh.config.checking.named import MAKE_USERS, check_named
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark, Path, Severity
from registry_mesh.config.policy_files import load_policies, load_trials, policy_paths
from registry_mesh.config.robot_files import load_robots
from registry_mesh.config.values import is_address, listed
from registry_mesh.oci.reference import parse_registry
from registry_mesh.oci.refusals import NameUnknown

_MAKE_ROBOTS: Final = "make the directory, or have `registry-mesh robot create` make it"
_CHANGES: Final = {"push": "push images and move tags", "admin": "push and delete every image"}
"""Rights of `access.anonymous` beyond reading."""
_CHANGING: Final[Mapping[str, Actions]] = {
    "push images": frozenset({Action.CREATE}),
    "move tags": frozenset({Action.TAG_UPDATE}),
    "delete images": frozenset({Action.DELETE}),
    "do all that admins may": frozenset({Action.ADMIN}),
}
"""What a policy may give beyond reading, and how that is put."""
_SAVE_KEYS: Final = "save there what the issuer has at its jwks_uri, or name that address"
_SAVE_BEARER: Final = "save there what the address of the keys asks for"
_MAKE_POLICIES: Final = "make the directory, with a file of policies in it: see docs/access.md"


def check_access(document: Document) -> None:
    """Add what is wrong to the document's findings, with what is wrong in the files that are named."""
    access = mapping(document.find("access"))
    _check_issuers(document, access)
    _check_users(document, access)
    _check_policies(document, access)
    _check_readers(document, access)
    _check_anybody(document, access)


def _check_anybody(document: Document, access: Mapping[str, Any]) -> None:
    """What callers without credentials may change at a node that others than this machine reach."""
    may, listen = access.get("anonymous"), mapping(document.find("listen"))
    if may not in _CHANGES or is_loopback(str(listen.get("address", "127.0.0.1"))):
        return
    document.warn(
        ("access", "anonymous"),
        f"anybody who reaches {listen['address']} may {_CHANGES[may]}, without a login",
        "say anonymous: pull, add users: FILE and authenticated: push (docs/access.md), or listen on 127.0.0.1",
    )


def _check_issuers(document: Document, access: Mapping[str, Any]) -> None:
    known = dict[object, object]()
    for name, written in mapping(access.get("issuers")).items():
        path: Path = ("access", "issuers", name)
        if not is_issuer(str(name)):
            document.report(path, f"{name} can be no issuer's name", "use a-z 0-9 -", key=True)
        issuer = mapping(written)
        first = known.setdefault(issuer.get("issuer"), name)
        if first != name:
            what = f"{first} and {name} have one issuer: nothing in a token says whose it is"
            document.report((*path, "issuer"), what, "keep one")
        if not is_address(str(issuer.get("keys"))):
            check_named(document, (*path, "keys"), check_keys, _SAVE_KEYS)
        check_authorities(document, (*path, "ca"))
        check_named(document, (*path, "bearer"), check_bearer, _SAVE_BEARER)


def _check_users(document: Document, access: Mapping[str, Any]) -> None:
    if not any(access.get(key) is not None for key in ("users", "robots")) and not access.get("issuers"):
        for key in ("authenticated", "tokens"):
            if key in access:
                document.report(("access", key), f"{key} without users", "add users: FILE", key=True)
        return
    _check_key(document)
    check_named(document, ("access", "users"), load_users, MAKE_USERS)
    check_named(document, ("access", "robots"), load_robots, _MAKE_ROBOTS)
    listen = mapping(document.find("listen"))
    if "tls" not in listen and not is_loopback(str(listen.get("address", "127.0.0.1"))):
        document.warn(
            ("access", next(key for key in ("users", "robots", "issuers") if access.get(key))),
            "passwords and tokens cross the network in the clear",
            "add listen.tls, or let only a TLS proxy reach the listener",
        )


def _check_key(document: Document) -> None:
    path: Path = ("access", "tokens", "key")
    file = document.find(*path)
    if not isinstance(file, str) or not file:
        return
    try:
        Tokens(pathlib.Path(file).read_bytes(), "", "", 0)
    except OSError as fault:
        document.report(path, f"{file}: {fault.strerror}", "make it: see docs/access.md")
    except KeyInvalid as fault:
        document.report(path, f"{file}: {fault}", "make it: see docs/access.md")


def _check_policies(document: Document, access: Mapping[str, Any]) -> None:
    policies = access.get("policies")
    if not isinstance(policies, str) or not policies:
        return
    for key in ("anonymous", "authenticated"):
        if key in access:
            how = "say it in a policy: subjects: everybody, or users"
            document.report(("access", key), f"{key} beside policies says nothing", how, key=True)
    lines, private = _registries(document)

    def read(folder: str) -> None:
        found = load_policies(policy_paths(folder), lines, private)
        _warn_of(document, [host for host in private if found.is_forgotten(host)])
        _warn_of_changers(document, found)
        _warn_of_groups(document, found)
        _warn_of_hosts(document, found)
        _warn_of_strangers(document, access, found)

    check_named(document, ("access", "policies"), read, _MAKE_POLICIES)


def _warn_of_changers(document: Document, policies: Policies) -> None:
    """What policies let anybody change at a node that others than this machine reach; said at the policy."""
    listen = mapping(document.find("listen"))
    if is_loopback(str(listen.get("address", "127.0.0.1"))):
        return
    for entry in policies.entries:
        words = [word for word, actions in _CHANGING.items() if actions & policies.open_to_all(entry)]
        if words:
            file, _, line = entry.where.rpartition(":")
            what = f"{entry.name}: anybody who reaches {listen['address']} may {' and '.join(words)}, without a login"
            how = "say subjects: users, or names and @groups; or listen on 127.0.0.1"
            document.findings.append(
                Finding(file, Mark(int(line), 1), ("policies",), what, how, Severity.WARNING)
            )


def _warn_of_groups(document: Document, policies: Policies) -> None:
    """Groups that nobody is in, as misspelt ones: what denies them something denies it to nobody."""
    for entry in policies.entries:
        file, _, line = entry.where.rpartition(":")
        for group in policies.without_members(entry) if file else ():
            what = f"{entry.name}: nobody is in @{group}"
            how = "add it under groups:, or mend its name"
            document.findings.append(
                Finding(file, Mark(int(line), 1), ("policies",), what, how, Severity.WARNING)
            )


def _warn_of_hosts(document: Document, policies: Policies) -> None:
    """Patterns that begin with a registry: they match nothing that is meant."""
    for entry in policies.entries:
        file, _, line = entry.where.rpartition(":")
        for what, how in misplaced(entry) if file else ():
            document.findings.append(
                Finding(file, Mark(int(line), 1), ("policies",), what, how, Severity.WARNING)
            )


def _warn_of_strangers(document: Document, access: Mapping[str, Any], policies: Policies) -> None:
    """Callers whom a policy denies something, and who do not exist, as misspelt ones and those whose name means
    something to other registries (`everyone`)."""
    try:
        users = load_users(str(access["users"])) if access.get("users") else {}
        robots = load_robots(str(access["robots"])) if access.get("robots") else {}
    except ConfigInvalid:  # is told at its key
        return
    prefixes = {"node", *map(str, mapping(access.get("issuers")))}
    known = {EVERYBODY, USERS, *users, *(kept.robot.subject for kept in robots.values())}
    for entry in policies.entries:
        file, _, line = entry.where.rpartition(":")
        for name in sorted(entry.subjects - known) if file and entry.deny else ():
            prefix, colon, _ = name.partition(":")
            if name.startswith("@") or (colon and prefix in prefixes):
                continue
            what = f"{entry.name}: nobody logs in as {name}, so that this denies nobody anything"
            how = "mend its name, or say everybody, users or a @group"
            document.findings.append(
                Finding(file, Mark(int(line), 1), ("policies",), what, how, Severity.WARNING)
            )


def trials_of(document: Document) -> tuple[Policies, list[Trial]]:
    """The policies that a configuration names and the tests of their files, which may fail; none where it names none.
    `ConfigInvalid`."""
    folder = document.find("access", "policies")
    lines, private = _registries(document)
    if not isinstance(folder, str) or not folder:
        return Policies(tuple(lines), {}, private), []
    return load_trials(policy_paths(folder), lines, private)


def _registries(document: Document) -> tuple[list[Entry], frozenset[str]]:
    """Lines about readers of registries, and the registries that need such a line, as far as the document
    says it rightly."""
    lines, private = list[Entry](), set[str]()
    for written, value in mapping(document.find("registries")).items():
        registry = mapping(value)
        try:
            host = parse_registry(str(written))
        except NameUnknown:
            continue
        named = listed(registry.get("readers"))
        if isinstance(named, tuple) and named:
            lines.append(readers(host, [str(each) for each in named]))
        if registry.get("credentials") is not None or registry.get("certificate") is not None:
            private.add(host)
    return lines, frozenset(private)


def _check_readers(document: Document, access: Mapping[str, Any]) -> None:
    """A registry that the node logs in to, and no line about who may read it."""
    for host, written in mapping(document.find("registries")).items():
        registry = mapping(written)
        own = any(registry.get(key) is not None for key in ("credentials", "certificate"))
        if own and not registry.get("readers") and not access.get("policies"):
            _warn_of(document, [str(host)])


def _warn_of(document: Document, hosts: Sequence[str]) -> None:
    """They are served to nobody."""
    for written, value in mapping(document.find("registries")).items():
        registry = mapping(value)
        if str(written).lower() not in hosts and written not in hosts:
            continue
        own = "credentials" if registry.get("credentials") is not None else "certificate"
        document.warn(
            ("registries", written, own),
            f"{written} is fetched with credentials of this node, and nothing says who may read it: "
            "it is served to nobody",
            f"add readers: everybody, users or a list of subjects to registries.{written}, or a policy with "
            f"registries: {written}",
        )
