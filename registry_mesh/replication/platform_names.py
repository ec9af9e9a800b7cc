"""Which platforms there are: what Go builds for, whose names images use (image-spec image-index.md, "platform")."""

from __future__ import annotations

import difflib
from typing import Final

from registry_mesh.replication.rules import Platform

_KNOWN: Final = {
    "aix": "ppc64",
    "android": "386 amd64 arm arm64",
    "darwin": "amd64 arm64",
    "dragonfly": "amd64",
    "freebsd": "386 amd64 arm arm64 riscv64",
    "illumos": "amd64",
    "ios": "amd64 arm64",
    "js": "wasm",
    "linux": "386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x",
    "netbsd": "386 amd64 arm arm64",
    "openbsd": "386 amd64 arm arm64 ppc64 riscv64",
    "plan9": "386 amd64 arm",
    "solaris": "amd64",
    "wasip1": "wasm",
    "wasi": "wasm",
    "windows": "386 amd64 arm arm64",
}
_VARIANTS: Final = {
    "amd64": ("v1", "v2", "v3", "v4"),
    "arm": ("v5", "v6", "v7", "v8"),
    "arm64": ("v8", "v9"),
}
_OTHERWISE: Final = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "x64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm/v7",
    "armv7": "arm/v7",
    "armv7l": "arm/v7",
    "armv6": "arm/v6",
    "armel": "arm/v6",
    "i386": "386",
    "i686": "386",
    "x86": "386",
    "loongarch64": "loong64",
    "ppc64el": "ppc64le",
    "macos": "darwin",
}
"""How others call them."""


def doubt(platform: Platform) -> str | None:
    """What is odd about the name, and what may be meant; None where there is such a platform."""
    known = [f"{os}/{architecture}" for os, listed in _KNOWN.items() for architecture in listed.split()]
    name = f"{platform.os}/{platform.architecture}"
    if name not in known:
        near = _meant(platform) or next(iter(difflib.get_close_matches(name, known, 1, 0.7)), None)
        return (
            f"did you mean {near}?" if near else "there are linux/amd64, linux/arm64, linux/arm/v7 and others"
        )
    variants = _VARIANTS.get(platform.architecture, ())
    if platform.variant and platform.variant not in variants:
        return f"variants of {platform.architecture} are {', '.join(variants) or 'none'}"
    return None


def _meant(platform: Platform) -> str | None:
    """The platform in the names that images use, where it is called otherwise."""
    if platform.architecture not in _OTHERWISE and platform.os not in _OTHERWISE:
        return None
    os = _OTHERWISE.get(platform.os, platform.os)
    return f"{os}/{_OTHERWISE.get(platform.architecture, platform.architecture)}"
