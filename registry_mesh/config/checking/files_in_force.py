"""Files that a configuration in force names, which cannot be used as they are now."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from registry_mesh.config.access_files import load_users
from registry_mesh.config.admin import AdminTls
from registry_mesh.config.checking.certificates import authorities_fault, check_pair, ends_at
from registry_mesh.config.checking.pulls import KEY_BYTES
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.listen import Tls
from registry_mesh.config.registries import Registry, Siblings
from registry_mesh.config.scalars import SecretReference
from registry_mesh.config.schema import Config
from registry_mesh.upstream.login.credentials import CredentialsInvalid, parse_document


@dataclass(frozen=True, slots=True)
class UnusableFile:
    """`key`: what names it in the configuration, as `listen.tls`. `why` names the file, too."""

    key: str
    why: str


def unusable_files(config: Config) -> list[UnusableFile]:
    """In a thread. Certificates that have ended are not among them: they can be shown. Nor are the files of `access`
    and of rules, which are watched where they are read."""
    return [UnusableFile(key, why) for key, why in _faults(config)]


def named_files(config: Config) -> list[str]:
    """Every file that `unusable_files` looks at."""
    shown = [config.siblings, *config.registries.values()]
    own = (config.listen.tls, config.admin.tls)
    pairs = [each for tls in own if tls is not None for each in (tls, *getattr(tls, "more", ()))]
    files = [file for each in (*pairs, *shown) if each is not None for file in (each.certificate, each.key)]
    files += [tls.clients for tls in own if tls is not None]
    files += [each.ca for each in shown if each is not None]
    files += [_login_file(each) for each in shown if each is not None]
    files += [config.admin.users, config.pulls.pseudonyms, *config.store.authorities.values()]
    return list(dict.fromkeys(file for file in files if file))


Fault = tuple[str, str]


def _faults(config: Config) -> Iterator[Fault]:
    yield from _of_listener("listen.tls", config.listen.tls)
    yield from _of_listener("admin.tls", config.admin.tls)
    if config.admin.users is not None:
        yield from _of_users(config.admin.users)
    if config.pulls.pseudonyms is not None:
        yield from _of_pseudonyms(config.pulls.pseudonyms)
    for key, file in config.store.authorities.items():
        yield from _of_authorities(key, file)
    for host, registry in config.registries.items():
        urls = [url for group in registry.parents for url in group]
        yield from _of_client(f"registries.{host}", registry, urls)
    if config.siblings is not None:
        yield from _of_client("siblings", config.siblings, list(config.siblings.nodes.values()))


def _of_listener(key: str, tls: Tls | AdminTls | None) -> Iterator[Fault]:
    if tls is None:
        return
    more = tls.more if isinstance(tls, Tls) else ()
    for pair in (tls, *more):
        yield from _of_pair(key, pair.certificate, pair.key)
    if tls.clients is not None and (why := authorities_fault(tls.clients)):
        yield key, why


def _of_client(key: str, shown: Registry | Siblings, urls: Sequence[str]) -> Iterator[Fault]:
    if shown.ca is not None:
        yield from _of_authorities(f"{key}.ca", shown.ca)
    if shown.certificate is not None and shown.key is not None:
        yield from _of_pair(f"{key}.certificate", shown.certificate, shown.key)
    if (file := _login_file(shown)) is not None:
        yield from _of_login(f"{key}.credentials", file, urls)


def _login_file(shown: Registry | Siblings) -> str | None:
    login = shown.credentials
    return login.target if isinstance(login, SecretReference) and login.kind == "file" else None


def _of_pair(key: str, certificate: str, private: str) -> Iterator[Fault]:
    for _, why, _ in check_pair(certificate, private, _while_valid(certificate)):
        yield key, why


def _while_valid(certificate: str) -> datetime | None:
    try:
        return ends_at(Path(certificate)) - timedelta(seconds=1)
    except (OSError, ValueError, IndexError):
        return None


def _of_authorities(key: str, file: str) -> Iterator[Fault]:
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        yield key, f"{file} holds no PEM certificate"
    except OSError as fault:
        yield key, f"{file}: {fault.strerror}"


def _of_users(file: str) -> Iterator[Fault]:
    try:
        load_users(file)
    except ConfigInvalid as invalid:
        for each in invalid.findings:
            yield "admin.users", str(each)


def _of_pseudonyms(file: str) -> Iterator[Fault]:
    try:
        if len(Path(file).read_bytes().strip()) < KEY_BYTES:
            yield "pulls.pseudonyms", f"{file}: fewer than {KEY_BYTES} bytes"
    except OSError as fault:
        yield "pulls.pseudonyms", f"{file}: {fault.strerror}"


def _of_login(key: str, file: str, urls: Sequence[str]) -> Iterator[Fault]:
    try:
        document = parse_document(Path(file).read_text("utf-8", "surrogateescape"))
    except OSError as fault:
        yield key, f"{file}: {fault.strerror}"
    except CredentialsInvalid as fault:
        yield key, f"{file}: {fault}"
    else:
        for damage in dict.fromkeys(damage for url in urls for damage in document.docker.faults(url)):
            yield key, f"{file}: {damage}"
