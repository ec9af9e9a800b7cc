"""What a site sends to those who help it: one file, without a secret in it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import resource
import time
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from registry_mesh import __version__
from registry_mesh.cli.node.asked import NodeAddress, NodeRefuses, NodeSilent, Told, ask
from registry_mesh.config.redacted import redacted, secrets_in, without, written
from registry_mesh.config.schema import Config

SCHEMA: Final = "registry-mesh/report/1"
_ASKED: Final = {
    "findings": "/api/1/findings",
    "status": "/status",
    "events": "/api/1/events",
    "moving": "/api/1/fills",
}
"""What the node is asked for, by the names that the report has it under."""
_MEMORY: Final = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")

CONTAINS: Final = (
    "It has the configuration, findings, status, refusals, running fills, and this machine's system, disk and memory:\n"
    "names of hosts, registries and repositories, and no login, key, token or address of a client.\n"
    "Read it before you send it."
)


def report(path: str, where: Config | NodeAddress | None, network: Callable[[], object] | None) -> Told:
    """All that is known of the node that the configuration at `path` describes, or that answers at an address; None:
    the configuration is wrong. `network` tries its parents and prints what comes of it."""
    known: list[str] = []
    said: dict[str, Any] = {  # Any: JSON
        "schema": SCHEMA,
        "time": _moment(time.time()),
        "version": __version__,
        "machine": machine(where.store.folder if isinstance(where, Config) else None),
    }
    if not isinstance(where, NodeAddress):
        document = written(path)
        known = secrets_in(document)
        said["configuration"] = redacted(document)
    said["node"] = {} if where is None else {key: _told(where, asked) for key, asked in _ASKED.items()}
    if network is not None:
        with contextlib.redirect_stdout(io.StringIO()) as tried:
            network()
        said["network"] = tried.getvalue().splitlines()
    cleaned = without(said, known)
    assert isinstance(cleaned, dict)
    return cleaned


def _told(where: Config | NodeAddress, path: str) -> object:
    try:
        told = ask(where, path)
    except (NodeSilent, NodeRefuses) as fault:
        return {"error": str(fault)}
    return {key: value for key, value in told.items() if key != "readers"}  # those are clients


def machine(folder: str | None) -> Told:
    """This machine, as far as it matters to a node whose store is in `folder`."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "memory_kib": _memory(),
        "open_files_limit": files,
        "uid": os.getuid(),
        "store": _disk(folder) if folder is not None else None,
        "proxies": redacted(dict(urllib.request.getproxies())),
    }


def _memory() -> dict[str, int]:
    with contextlib.suppress(OSError, ValueError):
        rows = (line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return {key: int(rest.split()[0]) for key, rest in rows if key in _MEMORY}
    return {}


def _disk(folder: str) -> dict[str, object]:
    try:
        room = os.statvfs(folder)
    except OSError as fault:
        return {"folder": folder, "error": fault.strerror}
    return {
        "folder": folder,
        "bytes": room.f_blocks * room.f_frsize,
        "free_bytes": room.f_bavail * room.f_frsize,
        "free_files": room.f_favail,
        "writable": os.access(folder, os.W_OK),
    }


def write(told: Told, folder: Path = Path()) -> Path:
    """Write the report to a new file of `folder` that its owner alone may read. `OSError`."""
    node = told["node"].get("findings", {}).get("node") or "node"
    file = folder / f"registry-mesh-report-{node}-{told['time'].replace(':', '')}.json"
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as out:
        json.dump(told, out, indent=2, ensure_ascii=False)
        out.write("\n")
    return file


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lines(file: Path) -> Sequence[str]:
    """What a person is told of it."""
    return (f"{file}: {file.stat().st_size / 1000:.1f} kB", *CONTAINS.splitlines())
