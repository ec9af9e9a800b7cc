"""containerd: `hosts.toml`, one directory a registry (containerd docs/hosts.md). Read anew at every pull."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Final

from registry_mesh.cli.clients.edit import BEGIN, END, Edit, EditRefused, without_block
from registry_mesh.cli.clients.mirror import Mirror

DIRECTORY: Final = "/etc/containerd/certs.d"
NOTE: Final = """\
containerd reads these files if its config.toml names their directory (then restart it once):
  version 2.x:  [plugins."io.containerd.cri.v1.images".registry]       config_path = "{directory}"
  version 1.x:  [plugins."io.containerd.grpc.v1.cri".registry]         config_path = "{directory}"
Try it:  ctr images pull --hosts-dir {directory} IMAGE"""

_OFF: Final = "# registry-mesh, switched off: "
_SERVERS: Final = {"docker.io": "https://registry-1.docker.io"}
DIAL_TIMEOUT: Final = "3s"
"""containerd waits 30 s for a dead machine otherwise, at every request."""


def edits(mirror: Mirror) -> list[Edit]:
    """A file for each registry, and `_default` for all others where asked."""
    hosts = [*mirror.registries, *(["_default"] if mirror.every else [])]
    return [_edit(mirror, host) for host in hosts]


def directory_name(host: str) -> str:
    """`registry.example:5000` lies in `registry.example_5000_`: a colon is not for file names."""
    name, colon, port = host.rpartition(":")
    return f"{name}_{port}_" if colon and port.isdigit() else host


def _edit(mirror: Mirror, host: str) -> Edit:
    def apply(before: str) -> str:
        keys, tables = _split(_revert(before))
        if mirror.fallback == "none":
            keys = re.sub(r"(?m)^(?=\s*server\s*=)", _OFF, keys)
        named = re.search(r"(?m)^\s*server\s*=", keys) is not None
        block = "\n".join([BEGIN, *_block(mirror, None if named else host), END, ""])
        return _checked(keys + block + tables, mirror)

    return Edit(f"{directory_name(host)}/hosts.toml", apply, _revert)


def _block(mirror: Mirror, host: str | None) -> list[str]:
    lines = []
    if host is not None and mirror.fallback == "none":
        lines = [
            "# Only through the site: a pull fails where it does not answer.",
            f"server = {_quoted(mirror.url)}",
            "",
        ]
    elif host is not None and host != "_default":
        server = _SERVERS.get(host, f"https://{host}")
        lines = ["# Asked where the site does not answer.", f"server = {_quoted(server)}", ""]
    lines += [
        f"[host.{_quoted(mirror.url)}]",
        '  capabilities = ["pull", "resolve"]',
        f'  dial_timeout = "{DIAL_TIMEOUT}"',
    ]
    return lines + ([f"  ca = {_quoted(mirror.ca)}"] if mirror.ca else [])


def _revert(text: str) -> str:
    return re.sub(rf"(?m)^{re.escape(_OFF)}", "", without_block(text))


def _split(text: str) -> tuple[str, str]:
    """Keys of the file itself, and its tables: keys must come first, and hosts are tried in the file's order."""
    found = re.search(r"(?m)^\s*\[", text)
    keys, tables = (text[: found.start()], text[found.start() :]) if found else (text, "")
    return keys + ("\n" if keys and not keys.endswith("\n") else ""), tables


def _checked(text: str, mirror: Mirror) -> str:
    try:
        hosts = tomllib.loads(text).get("host", {})
    except tomllib.TOMLDecodeError as fault:
        raise EditRefused(f"the hosts.toml that is there cannot be added to: {fault}") from None
    if next(iter(hosts)) != mirror.url:
        raise EditRefused("the hosts.toml that is there names hosts before its first table")
    return text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
