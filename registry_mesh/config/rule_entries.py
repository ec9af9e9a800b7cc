"""The keys of rule files, as they are written. What stands here is the whole of both editions; the JSON Schema is made
from the second."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from registry_mesh.config.schema import write_schema
from registry_mesh.config.values import Lines, RegistryHost, Section, Text

FIRST: Final = "registry-mesh/rules/1"
SECOND: Final = "registry-mesh/rules/2"


def listed(value: object) -> object:
    """One text stands for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _short(wanted: str, keys: tuple[str, ...], *kinds: type) -> BeforeValidator:
    """A value of one of `kinds` stands for the mapping with it at each of `keys`; `wanted` says what may stand."""

    def read(value: object) -> object:
        if isinstance(value, kinds):
            return dict.fromkeys(keys, value)
        if value is not None and not isinstance(value, dict):
            raise ValueError(wanted)
        return value

    return BeforeValidator(read)


_KEEP: Final = "wants a whole number such as 14, or a mapping such as {newest: 14, by: seen}"
_DELETE: Final = "wants never, a duration such as 7d, or a mapping such as {gone: 7d, unselected: 30d}"
_VERIFY: Final = "wants the name of a key, a list of them, or a mapping such as {by: KEY, having: sboms}"


def _targets(value: object) -> object:
    several = value if isinstance(value, list) else [value]
    return tuple({"name": each} if isinstance(each, str) else each for each in several)


def _either(*schemas: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(schemas)})


_STRING: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
_STRINGS: Final[dict[str, Any]] = {"type": "array", "items": _STRING, "minItems": 1}


def _object(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_TARGET: Final = _object(registry=_STRING, name=_STRING, tag=_STRING)
_ONE_OR_MORE: Final[dict[str, Any]] = {"anyOf": [_STRING, _STRINGS]}

FirstTexts = Annotated[tuple[Text, ...], BeforeValidator(listed), Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(listed), Field(min_length=1), _either(_STRING, _STRINGS)]


class FirstRule(Section):
    """One rule of the first edition."""

    name: Text
    """Unique among all files; shown by `rules explain`."""
    from_: RegistryHost = Field(alias="from")
    """The registry to take from."""
    repos: FirstTexts
    """Patterns of repository names, or `@set`."""
    tags: FirstTexts
    """Patterns of tags, or `@set`."""
    platforms: FirstTexts | None = None
    """`os/architecture[/variant]` wanted of an index; all where absent."""


class FirstFile(Section):
    """A rule file of the first edition."""

    schema_: Literal["registry-mesh/rules/1"] = Field(alias="schema")
    sets: dict[Text, FirstTexts] = Field(default_factory=dict)
    rules: Annotated[tuple[FirstRule, ...], BeforeValidator(listed)]


class KeepEntry(Section):
    newest: Annotated[int, Field(ge=1)]
    by: Literal["version", "seen"] = "version"
    or_younger: Text | None = None


class DeleteEntry(Section):
    gone: Text | None = None
    unselected: Text | None = None


class VerifyEntry(Section):
    by: Texts
    having: Texts | None = None


class TargetEntry(Section):
    registry: RegistryHost | None = None
    name: Text | None = None
    tag: Text | None = None


class RuleKeys(Section):
    """What a rule may say besides what it is about; `defaults` may say it for all rules of a file."""

    note: Lines | None = None
    """Why the rule exists."""
    types: Texts | None = None
    """`image`, `chart`, `sif`, or a glob over artifactType; `!` excludes."""
    labels: dict[Text, Text] | None = None
    """Annotation or label -> pattern of its value."""
    platforms: Texts | None = None
    """`os/architecture[/variant]` wanted of an index; all where absent."""
    max: Text | None = None
    """Size of the largest image that is taken."""
    with_: Texts | None = Field(None, alias="with")
    """Companions: `all`, `none`, or a list of signatures, sboms, attestations and artifact types."""
    verify: (
        Annotated[
            VerifyEntry,
            _short(_VERIFY, ("by",), str, list),
            _either(_STRING, _STRINGS, _object(("by",), by=_ONE_OR_MORE, having=_ONE_OR_MORE)),
        ]
        | None
    ) = None
    """Keys of the configuration, one of which must have signed."""
    age: Text | None = None
    """How long a tag must have shown a value before it is taken."""
    fixed: Texts | None = None
    """Tags that never move once they are here."""
    to: (
        Annotated[
            tuple[TargetEntry, ...],
            BeforeValidator(_targets),
            Field(min_length=1),
            _either(
                _STRING, _TARGET, {"type": "array", "items": {"anyOf": [_STRING, _TARGET]}, "minItems": 1}
            ),
        ]
        | None
    ) = None
    """Another name, `NAME[:TAG]`, or one in another registry."""
    nodes: Texts | None = None
    """Names of nodes, or `group:NAME`."""
    data: Literal["full", "on-demand", "metadata"] = "full"
    """Everything; manifests now and blobs when they are read; manifests only."""
    variants: Annotated[
        tuple[Literal["estargz", "sif"], ...], BeforeValidator(listed), _either(_STRING, _STRINGS)
    ] = ()
    """Forms that the origin makes."""
    keep: (
        Annotated[
            KeepEntry,
            _short(_KEEP, ("newest",), int),
            _either(
                {"type": "integer", "minimum": 1},
                _object(
                    ("newest",),
                    newest={"type": "integer", "minimum": 1},
                    by={"enum": ["version", "seen"]},
                    or_younger=_STRING,
                ),
            ),
        ]
        | None
    ) = None
    """The newest n of each repository and pattern."""
    delete: (
        Annotated[
            DeleteEntry,
            _short(_DELETE, ("gone", "unselected"), str),
            _either(_STRING, _object(gone=_STRING, unselected=_STRING)),
        ]
        | None
    ) = None
    """`never`, or how long after a tag is gone or unselected."""
    hold: Text | None = None
    """`forever`, a duration, or a date."""
    every: Text | None = None
    """A duration, `cron M H D M W ZONE`, or `manual`."""
    when: Texts | None = None
    """Windows: `mon-fri 20:00-06:00 Europe/Zurich`."""
    budget: Texts | None = None
    """`40%`, `100MiB/s`, `500GiB/d`."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Order of copies, and who writes a target that two rules write."""


class RuleEntry(RuleKeys):
    """One rule."""

    name: Text | None = None
    """Unique in the folder; the text of `repos` where absent."""
    from_: RegistryHost = Field(alias="from")
    """The registry to take from."""
    repos: Texts
    """Patterns of repository names, or `@set`."""
    tags: Texts
    """Patterns of tags, or `@set`."""


class DenyEntry(Section):
    from_: RegistryHost = Field(alias="from")
    repos: Texts | None = None
    tags: Texts | None = None
    digest: Text | None = None
    note: Lines | None = None


class GivenEntry(Section):
    """Facts of a test."""

    ref: Text
    seen: Text | None = None
    tags: tuple[Text, ...] | None = None
    type: Text | None = None
    labels: dict[Text, Text] | None = None
    signed_by: tuple[Text, ...] | None = None
    size: Text | None = None
    platforms: tuple[Text, ...] | None = None


class ExpectEntry(Section):
    """What must come of it; only what is written is compared."""

    rules: tuple[Text, ...] | None = None
    to: tuple[Text, ...] | None = None
    platforms: tuple[Text, ...] | None = None
    wait: Text | None = None
    kept: bool | None = None
    refused: Text | None = None


def _tuples(value: object) -> object:
    return (
        {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        if isinstance(value, dict)
        else value
    )


def _given(value: object) -> object:
    return _tuples({"ref": value} if isinstance(value, str) else value)


def _expect(value: object) -> object:
    return _tuples({"rules": (value,)} if isinstance(value, str) else value)


class TrialEntry(Section):
    given: Annotated[
        GivenEntry, BeforeValidator(_given), _either(_STRING, {"type": "object", "required": ["ref"]})
    ]
    expect: Annotated[ExpectEntry, BeforeValidator(_expect), _either(_STRING, {"type": "object"})]


class RuleFile(Section):
    """A rule file."""

    schema_: Literal["registry-mesh/rules/1", "registry-mesh/rules/2"] = Field(alias="schema")
    sets: dict[Text, Texts] = Field(default_factory=dict)
    """Named lists of patterns, used as `@name` in any file of the folder."""
    defaults: RuleKeys | None = None
    """For the rules of this file."""
    rules: Annotated[tuple[RuleEntry, ...], BeforeValidator(listed)] = ()
    deny: Annotated[tuple[DenyEntry, ...], BeforeValidator(listed)] = ()
    """What no rule takes and nobody serves."""
    guard: Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$")] | None = None
    """The share of a registry's tags that a node deletes in 24 h at most."""
    tests: Annotated[tuple[TrialEntry, ...], BeforeValidator(listed)] = ()


SCHEMA_ID: Final = "registry-mesh-rules.json"


def json_schema() -> dict[str, Any]:
    """For editors: `# yaml-language-server: $schema=config/schema/registry-mesh-rules.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **RuleFile.model_json_schema(mode="validation"),
        "title": "registry-mesh rules",
    }


if __name__ == "__main__":
    write_schema(Path(sys.argv[1]) / SCHEMA_ID, json_schema())
