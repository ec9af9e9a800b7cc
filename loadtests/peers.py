"""What must be installed for a comparison, and its versions."""

from __future__ import annotations

import os
import shutil
import subprocess

PACKAGES = {
    "nginx": "nginx",
    "docker-registry": "docker-registry",
    "cc": "gcc",
    "openssl": "openssl",
    "ip": "iproute2",
}
HEADERS = {"/usr/include/openssl/ssl.h": "libssl-dev"}


class Missing(Exception):
    """Peers are missing and cannot be installed; the message names the packages."""


def missing() -> list[str]:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    lacking = [package for program, package in PACKAGES.items() if not shutil.which(program, path=path)]
    return lacking + [package for file, package in HEADERS.items() if not os.path.exists(file)]


def install() -> None:
    """Install what is missing by apt-get, where we may."""
    lacking = missing()
    if not lacking:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(f"please install: {' '.join(lacking)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *lacking],
    ):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "missing"
    return (done.stdout or done.stderr).strip().split("\n", 1)[0]


def versions() -> dict[str, str]:
    return {
        "nginx": _first_line(["nginx", "-v"]),
        "docker-registry": _first_line(["docker-registry", "--version"]),
        "kernel": _first_line(["uname", "-r"]),
        "openssl": _first_line(["openssl", "version"]),
    }
