"""hauler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mappings_of
from registry_mesh.config.imports.spelling import reference

_FILE: Final = "a file from the web or a disk: rules ask registries only"
_OLD_CHART: Final = "a chart repository of the old kind (index.yaml): only charts in registries are taken"
_INSIDE: Final = "images are not looked for inside a chart; name them"
_SIGNER: Final = (
    "certificate-identity",
    "certificate-identity-regexp",
    "certificate-oidc-issuer",
    "certificate-oidc-issuer-regexp",
    "certificate-github-workflow-repository",
)
_ANNOTATIONS: Final = (
    "registry",
    "platform",
    "key",
    "use-tlog-verify",
    "rewrite",
    "exclude-extras",
    *_SIGNER,
)


def hauler(text: str) -> Iterator[Entry]:
    """Manifests of hauler: images, charts, files."""
    for document in mappings_of(text, "hauler", "kind"):
        document.drop("apiVersion", "status")
        kind = document.text("kind")
        defaults = _defaults(document.fields("metadata"))
        spec = document.fields("spec")
        makers = {"Images": ("images", _image), "Charts": ("charts", _chart), "Files": ("files", _file)}
        if kind not in makers:
            spec.spare()
            yield Entry(
                kind or "the file", refused="neither images nor charts nor files", mark=document.place("kind")
            )
            continue
        key, make = makers[kind]
        for each in spec.mappings(key):
            named = str(each.values.get("name") or each.values.get("path")).partition("?")[
                0
            ]  # may hold a secret
            yield from each_entry(
                each, f"{'chart ' if kind == 'Charts' else ''}{named}", partial(make, each, defaults)
            )
        yield from each_entry(document, kind, list)


def _defaults(metadata: Fields) -> Fields:
    """What `hauler.dev/KEY` annotations say for all entries of a document."""
    metadata.drop("name", "namespace", "labels", "creationTimestamp")
    annotations = metadata.fields("annotations")
    found = Fields({}, {}, annotations.mark)
    for key in _ANNOTATIONS:
        for name in (f"hauler.dev/{key}",):
            if annotations.text(name):
                found.values[key] = annotations.text(name)
    annotations.drop(*(key for key in annotations.values if not key.startswith("hauler.dev/")))
    return found


def _image(image: Fields, defaults: Fields) -> list[Entry]:
    name = image.text("name")
    registry = defaults.text("registry")
    first = name.partition("/")[0]
    if registry and not ("/" in name and ("." in first or ":" in first or first == "localhost")):
        name = f"{registry}/{name}"
    ref = reference(name)
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "tags": ref.one}
    platform = image.text("platform") or defaults.text("platform")
    if platform not in ("", "all"):
        keys["platforms"] = platform
    if (image if "exclude-extras" in image else defaults).flag("exclude-extras"):
        keys["with"] = "none"
    if rewrite := image.text("rewrite") or defaults.text("rewrite"):
        to, _, tag = rewrite.strip("/").partition(":")
        keys["to"] = {"name": to, **({"tag": tag} if tag else {})} if to else {"tag": tag}
    image.leave(
        "is not carried: a signer of the configuration says which logs it believes", "use-tlog-verify"
    )
    signer = {key: found for key in ("key", *_SIGNER) if (found := image.text(key) or defaults.text(key))}
    if signer:
        keys["verify"] = "hauler-" + re.sub(r"[^a-z0-9]+", "-", ref.repository)
        told = ", ".join(f"{key} {value}" for key, value in signer.items())
        image.notes.append(f"{keys['verify']} is to be configured as a key: {told}")
    return [Entry(name, keys)]


def _chart(chart: Fields, defaults: Fields) -> list[Entry]:
    name, url = chart.text("name"), chart.text("repoURL")
    if not url.startswith("oci://"):
        chart.spare()
        place = chart.place("repoURL")
        raise NotCarried(_OLD_CHART if url else "no repoURL: a chart on a disk; push it to a registry", place)
    chart.refuse("add-images", _INSIDE)
    chart.refuse("add-dependencies", "charts that it depends on are not looked for; name them")
    ref = reference(f"{url.rstrip('/')}/{name}")
    version = chart.text("version")
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "types": "chart"}
    if rewrite := chart.text("rewrite"):
        keys["to"] = rewrite.strip("/")
    if re.search(r"[\^~<>=*|,\s]|\bx\b", version):
        raise NotCarried(
            f"version: {version}: the newest of a range is meant; write the version, or tags: 'semver: {version}' for "
            "all of it",
            chart.place("version"),
        )
    if version and version != "latest":
        return [Entry(f"chart {name}", {**keys, "tags": version.replace("+", "_")})]
    chart.notes.append("no version: the newest at that moment is meant")
    return [Entry(f"chart {name}", {**keys, "tags": "semver: *", "keep": 1})]


def _file(file: Fields, defaults: Fields) -> list[Entry]:
    file.drop("name", "path")
    raise NotCarried(_FILE, file.mark)
