"""podman, skopeo, buildah, CRI-O: a drop-in of `registries.conf` (containers-registries.conf(5)).

These clients send no `ns=`: the registry's name stands in front of the path, `SITE/docker.io/library/debian`, and
`SITE/registry.example_5443/app` for one with a port: they take no colon there.
"""

from __future__ import annotations

import json
from typing import Final

from registry_mesh.cli.clients.edit import BEGIN, END, Edit, EditRefused
from registry_mesh.cli.clients.mirror import Mirror
from registry_mesh.oci.reference import path_component

DIRECTORY: Final = "/etc/containers/registries.conf.d"
NOTE: Final = "podman, skopeo and buildah read it at every start; CRI-O: systemctl reload crio"
FILE: Final = "50-registry-mesh.conf"


def edits(mirror: Mirror) -> list[Edit]:
    """One file, all ours."""
    text = "\n\n".join([BEGIN, *(_registry(mirror, host) for host in mirror.registries), END]) + "\n"

    def apply(before: str) -> str:
        if before.strip() and BEGIN not in before:
            raise EditRefused(f"{FILE} is there and was not written by us")
        return text

    return [Edit(FILE, apply, lambda before: "" if BEGIN in before else before)]


def _registry(mirror: Mirror, host: str) -> str:
    through = [f"location = {json.dumps(f'{mirror.address}/{path_component(host)}')}"]
    if mirror.plain:
        through.append("insecure = true")
    if mirror.fallback == "none":
        return "\n".join(["[[registry]]", f"prefix = {json.dumps(host)}", *through])
    direct = ["[[registry]]", f"prefix = {json.dumps(host)}", f"location = {json.dumps(host)}"]
    return "\n".join([*direct, "", "[[registry.mirror]]", *through])
