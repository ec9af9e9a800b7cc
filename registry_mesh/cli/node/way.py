"""The way to a node's operator address: where it is, whom to believe there, and what to show."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from registry_mesh.config.schema import Config
from registry_mesh.config.values import host_and_port

_END: Final = "-----END CERTIFICATE-----"


class WayInvalid(click.UsageError):
    """The options about the way do not go together, or name files that are none."""


@dataclass(frozen=True, slots=True)
class Options:
    """Those of the program itself, before the command."""

    admin: str | None = None
    cert: str | None = None
    key: str | None = None
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """`address` is a scheme, host and port. `tls` is None where the node speaks plain HTTP."""

    address: str
    tls: ssl.SSLContext | None


def given() -> Options:
    """The options of the command that runs."""
    context = click.get_current_context(silent=True)
    told = context.find_root().params if context is not None else {}
    return Options(*(told.get(name) for name in Options.__slots__))


def way_to(config: Config | None, options: Options) -> Way:
    """The way to the node that `config` describes; None: to that of `options`. `WayInvalid`."""
    address = (options.admin or _address(config)).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise WayInvalid(f"--admin {address}: write https://HOST:PORT")
    if address.startswith("http://"):
        if options.cert or options.ca:
            raise WayInvalid(f"--cert and --ca are for https, and {address} is not: write --admin https://…")
        return Way(address, None)
    try:
        return Way(address, _context(config, options))
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        files = ", ".join(filter(None, (options.cert, options.key, options.ca)))
        raise WayInvalid(f"cannot be used for TLS: {files or address}: {fault}") from None


def _address(config: Config | None) -> str:
    assert config is not None, "else the options name it"
    scheme = "https" if config.admin.tls is not None else "http"
    return f"{scheme}://{host_and_port(config.admin.address, config.admin.port)}"


def _context(config: Config | None, options: Options) -> ssl.SSLContext:
    own = config.admin.tls.certificate if config is not None and config.admin.tls is not None else None
    if options.ca is not None:
        context = ssl.create_default_context(cafile=options.ca)
    elif options.admin is None and own is not None:
        context = _pinned(Path(own).read_text())
    else:
        context = ssl.create_default_context()
    if options.cert is not None:
        context.load_cert_chain(options.cert, options.key)
    return context


def _pinned(chain: str) -> ssl.SSLContext:
    """Believes the one certificate that a file begins with, whatever name the node is asked by."""
    leaf = chain.partition(_END)[0] + _END + "\n"
    context = ssl.create_default_context(cadata=leaf)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
