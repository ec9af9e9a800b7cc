"""Pull-through caches of ECR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried, WrongFile
from registry_mesh.config.imports.source import documents
from registry_mesh.config.imports.terraform import (
    COMPUTED,
    META,
    Resource,
    is_terraform,
    literal,
    resources,
    shown,
)
from registry_mesh.config.rule_values import host_of

_EXPIRY: Final = "expiry: the cache evicts by use and quota"
_LOGIN: Final = "is not carried: logins stand in the node's configuration, registries.HOST.credentials"
_OF_AWS: Final = "is not carried: encryption and rights are the node's store and access policies"
_SPELLINGS: Final = {
    "prefix": ("ecr_repository_prefix", "ecrRepositoryPrefix", "EcrRepositoryPrefix"),
    "url": ("upstream_registry_url", "upstreamRegistryUrl", "UpstreamRegistryUrl"),
    "below": ("upstream_repository_prefix", "upstreamRepositoryPrefix", "UpstreamRepositoryPrefix"),
}
_LOGINS: Final = (
    "credential_arn",
    "credentialArn",
    "CredentialArn",
    "custom_role_arn",
    "customRoleArn",
    "CustomRoleArn",
)
_STATE: Final = (
    "createdAt",
    "updatedAt",
    "registryId",
    "registry_id",
    "upstreamRegistry",
    "upstream_registry",
    "UpstreamRegistry",
)
_TEMPLATE: Final = (
    "applied_for", "description", "encryption_configuration", "repository_policy", "resource_tags", "custom_role_arn",
)  # fmt: skip


def ecr(text: str) -> Iterator[Entry]:
    """Pull-through cache rules of ECR: Terraform, CloudFormation, or JSON of its command line."""
    found = list(_entries(text))
    fixed = {each.where for each in found if each.keys == {"fixed": "*"}}
    for each in (entry for entry in found if entry.keys != {"fixed": "*"}):
        prefix = str(each.keys.get("to", "ROOT")).partition("/{")[0]
        near = max(
            (one for one in fixed if prefix == one or prefix.startswith(f"{one}/")), default="", key=len
        )
        yield replace(each, keys={**each.keys, "fixed": "*"}) if near and each.keys else each


def _entries(text: str) -> Iterator[Entry]:
    if is_terraform(text):
        yield from _terraform(resources(text))
        return
    for document in documents(text, computed=True):
        if not isinstance(document, Fields):
            raise WrongFile("no file of ecr: it is one mapping")
        known = shown(document)
        if known is not None:
            yield from _terraform(known)
        elif "Resources" in document:
            yield from _cloud_formation(document.fields("Resources"))
        elif "pullThroughCacheRules" in document:
            document.drop("nextToken")
            for rule in document.mappings("pullThroughCacheRules"):
                yield from each_entry(rule, "pullThroughCacheRules", partial(_cached, rule))
            yield from each_entry(document, "the file", list)
        else:
            raise WrongFile(
                "no file of ecr: neither resources nor pullThroughCacheRules stand in it", document.mark
            )


def _terraform(found: list[Resource]) -> Iterator[Entry]:
    for each in found:
        fields = each.fields
        fields.drop(*META)
        if each.kind == "aws_ecr_pull_through_cache_rule":
            yield from each_entry(fields, each.address, partial(_cached, fields))
        elif each.kind == "aws_ecr_repository_creation_template":
            yield from each_entry(fields, each.address, partial(_template, fields))
        elif each.kind == "aws_ecr_lifecycle_policy":
            yield Entry(each.address, refused=_EXPIRY, mark=fields.mark)
        elif each.kind == "aws_ecr_replication_configuration":
            said = "copies of ECR's own registry to its regions: write a rule with to: {registry: …} for each"
            yield Entry(each.address, refused=said, mark=fields.mark)


def _cloud_formation(found: Fields) -> Iterator[Entry]:
    for name in found.values:
        resource = found.fields(name)
        kind = resource.text("Type")
        if kind == "AWS::ECR::PullThroughCacheRule":
            resource.drop("DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata")
            yield from each_entry(resource, name, partial(_cached, resource.fields("Properties")))
        elif kind.startswith("AWS::ECR::"):
            yield Entry(
                name,
                refused=f"{kind}: only AWS::ECR::PullThroughCacheRule is a rule here",
                mark=resource.mark,
            )


def _cached(fields: Fields) -> list[Entry]:
    if fields.get("for_each") or fields.get("count"):
        fields.spare()
        raise NotCarried(f"for_each: {COMPUTED}", fields.place("for_each"))
    fields.leave(_LOGIN, *_LOGINS)
    fields.drop(*_STATE)
    prefix, url, below = (_one(fields, names) for names in _SPELLINGS.values())
    if not prefix or not url:
        raise NotCarried("its prefix or the address of the upstream registry is missing", fields.mark)
    below = "" if below == "ROOT" else below.strip("/")
    keys: dict[str, Any] = {"from": host_of(url), "repos": f"{below}/**" if below else "**", "tags": "*"}
    keys["data"] = "on-demand"
    rest = f"{{repo[{below.count('/') + 1}:]}}" if below else "{repo}"
    if prefix != "ROOT":
        keys["to"] = f"{prefix}/{rest}"
    elif below:
        keys["to"] = rest
    return [Entry(f"{prefix} = {url}", keys)]


def _one(fields: Fields, names: tuple[str, ...]) -> str:
    return next((found for name in names if (found := literal(fields, name))), "")


def _template(fields: Fields) -> list[Entry]:
    """What it says of repositories below its prefix: `fixed`, which `ecr` gives their rules."""
    if fields.get("lifecycle_policy"):
        fields.spare()
        raise NotCarried(_EXPIRY, fields.place("lifecycle_policy"))
    fields.leave(_OF_AWS, *_TEMPLATE)
    prefix = literal(fields, "prefix")
    fields.refuse(
        "image_tag_mutability_exclusion_filter",
        "tags that may move: write fixed with the patterns that may not",
    )
    if fields.text("image_tag_mutability", "MUTABLE") != "IMMUTABLE":
        return []
    return [Entry(prefix, {"fixed": "*"})]
