"""Addresses and names of files in a configuration: what each kind may be, and what people write in its place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from registry_mesh.auth.hosts import place, split

WRITABLE: Final = re.compile(r"[!-~]*")
"""What may stand in a URL (RFC 3986 section 2): whatever is printable, as far as we look."""
_HOST: Final = re.compile(r"(?!.*\.[0-9]+$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
"""A name of a host. One that ends in a number would be an address (RFC 1123 section 2.1)."""
_PAGES: Final = frozenset({"docker.io", "www.docker.io", "hub.docker.com", "www.docker.com", "docker.com"})
"""Hosts that people take for Docker Hub's registry, and that serve web pages."""
_QUOTES: Final = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"
_PATH_BYTES: Final = 4095
_NAME_BYTES: Final = 255


def node_or_registry(noun: str) -> Callable[[object], object]:
    """Reads `http(s)://HOST[:PORT][/PATH]`, the address of `noun`. What stands before `/v2` in a parent's path is where
    the registry begins, what stands after it the folder of its repositories."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = split(value)
        if parts is not None and not (parts.hostname or "").isascii():
            raise ValueError(f"a host's name is of ASCII letters: write {_ascii(parts.hostname or '')}")
        if not WRITABLE.fullmatch(value):
            raise ValueError(
                "an address has no spaces and no letters but ASCII: write others as %20 and the like"
            )
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(f"{noun} is http://HOST:PORT or https://HOST:PORT, with a port of 1 to 65535")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"{noun}'s address carries no user or password: use credentials")
        if parts.query or parts.fragment:
            raise ValueError(f"{noun}'s address is http(s)://HOST[:PORT][/PATH], with nothing after its path")
        if parts.hostname in _PAGES:
            raise ValueError(
                "a web page answers there; Docker Hub's registry is https://registry-1.docker.io"
            )
        return value.rstrip("/")

    return read


def _ascii(host: str) -> str:
    """The name as the DNS has it; its own letters where it has none."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def server(noun: str) -> Callable[[object], object]:
    """Reads `http(s)://HOST[:PORT]`, the address of `noun`; a path after it is left out."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        found = place(value)
        if found is None or urlsplit(value).username is not None:
            raise ValueError(f"{noun} is http://HOST:PORT or https://HOST:PORT")
        return f"{found[0]}://{urlsplit(value).netloc}"

    return read


def proxy(value: object) -> object:
    """`http://[USER:PASSWORD@]HOST[:PORT]` or `none`."""
    if not isinstance(value, str) or value == "none":
        return value
    found = place(value)
    if found is None or found[0] != "http":
        raise ValueError("a proxy is http://HOST:PORT, or none")
    return value.rstrip("/")


def redirect_host(text: str) -> str:
    """`HOST` or `HOST:PORT`."""
    if "/" in text:
        host = (urlsplit(text).netloc or text.split("/")[0]) if "://" in text else text.split("/")[0]
        raise ValueError(f"HOST or HOST:PORT is wanted, and no address: write {host.rpartition('@')[2]}")
    return text


def listening(text: str) -> str:
    """An address to listen on, or a host's name. Brackets belong to URLs, and are left out."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if text.startswith(("unix:", "/")):
        raise ValueError("unix sockets are not offered: name an address and a port")
    if is_ip(bare) or (_HOST.fullmatch(bare) and not bare.isdigit()):
        return bare
    raise ValueError(_no_address(text))


def is_ip(text: str) -> bool:
    """Whether it is an address of IP, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _no_address(text: str) -> str:
    """What to write in the place of something that is no address to listen on."""
    host, colon, port = text.rpartition(":")
    if text == "*":
        return "0.0.0.0 means all addresses, :: those of IPv6 too"
    if "://" in text:
        return "an address has no scheme: write the host alone, and the port under port"
    if colon and port.isdigit() and ":" not in host.strip("[]").replace("::", ""):
        return f"the port has a key of its own: write {host.strip('[]')}, and port: {port}"
    if "/" in text:
        return "that is a network: name one address of this machine"
    return "that is neither an address nor a host's name"


def bucket(text: str) -> str:
    """The name of a bucket, without an address and without what keys begin with."""
    name = text.removeprefix("s3://").split("/")[0]
    if "://" in text or "/" in text or " " in text:
        raise ValueError(f"a bucket is named alone: write {name or 'NAME'}; what follows is prefix")
    return text


def file_name(text: str) -> str:
    """The name of a file or folder."""
    if text.startswith("~"):
        raise ValueError("only a shell knows what ~ is; write the whole path")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("a line break or another control character stands in it")
    if text != text.strip():
        raise ValueError("a space stands at its end or its beginning; take it out")
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        raise ValueError('quotes of a word processor are letters here; write "')
    if text.startswith("file:") or "://" in text:
        raise ValueError(_no_file(text))
    if len(text.encode()) > _PATH_BYTES or any(len(each.encode()) > _NAME_BYTES for each in text.split("/")):
        raise ValueError(f"a path has at most {_PATH_BYTES} bytes, {_NAME_BYTES} between two /")
    return text


def _no_file(text: str) -> str:
    if text.startswith("s3://"):
        return "that is a bucket: write store: {s3: {bucket: NAME}}"
    return "that is an address, and a path is wanted, such as /var/lib/registry-mesh/site"
