"""Parsers of an operator's files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.imports import tools
from registry_mesh.config.load import parse as parse_config
from registry_mesh.config.policy_files import load_policies
from registry_mesh.config.robot_files import load_robots
from registry_mesh.config.rule_files import parse_rules
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.subject import Subject
from tests.fuzz.parser import DIGEST, Parser, json_of, text

_RULES: Final = (
    b'schema: registry-mesh/rules/2\nsets: {a: [x/**, "!x/y"]}\nguard: 10%\ndefaults: {delete: 7d}\nrules:\n'
    b"  - {name: n, from: r.example, repos: '@a', tags: ['semver: >=1 <2', 're: v[0-9]{1,3}', '*-alpine'],\n"
    b"     keep: {newest: 3, by: seen, or_younger: 1d}, when: 'mon-fri 20:00-06:00 UTC', budget: 40%, every: 1h}\n"
    b"deny: [{from: r.example, tags: bad}]\ntests: [{given: r.example/x/z:1.0, expect: n}]\n"
)

_POLICIES: Final = (
    b"schema: registry-mesh/access/1\ngroups: {a: [alice, robot:ci]}\npolicies:\n"
    b"  - {name: a, subjects: '@a', repos: ['atlas/**'], allow: [pull, push]}\n"
    b"  - {name: b, subjects: everybody, repos: '**', deny: delete}\n"
)

_CONFIG: Final = (
    b"role: site\nstore: {disk: {path: x, quota: 10GiB}}\nlisten: {address: 127.0.0.1, port: 5000}\n"
    b"registries: {docker.io: {parents: [['https://a.example']], tags: {ttl: 1m}, credentials: 'file:/x'}}\n"
    b"limits: {exempt: [10.0.0.0/8], client_bytes: 10MiB/s}\n"
)

_ROBOT: Final = json_of(
    {
        "schema": "registry-mesh/robot/1",
        "name": "r",
        "secret": f"sha256:{DIGEST.hex}",
        "created": "2026-01-01T00:00:00Z",
        "expires": "2027-01-31T00:00:00Z",
        "allow": ["pull"],
        "repos": ["a/**"],
    }
)


def _in_folder(name: str, load: Callable[[Path], object]) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            return load(path)

    return parse


def _pattern(written: str) -> None:
    for subject in Subject:
        for edition in (1, 2):
            try:
                Pattern.parse(written, subject, edition).matches("atlas/athena")
            except PatternFault:
                continue


def _imports(data: bytes) -> None:
    for tool in tools.NAMES:
        try:
            tools.imported(tool, data, "f", {})
        except ConfigInvalid:
            continue


FILES: Final[Sequence[Parser]] = (
    Parser(
        "pattern",
        text(_pattern),
        (),
        [b"atlas/**", b"re: a{1,3}[b-d]", b"semver: >=1.2 <2 & *-x", b"!{a,b}/*"],
    ),
    Parser("rules", lambda data: parse_rules([("f.yaml", data)]), (ConfigInvalid,), [_RULES]),
    Parser(
        "policies", _in_folder("f.yaml", lambda path: load_policies([path])), (ConfigInvalid,), [_POLICIES]
    ),
    Parser("robots", _in_folder("r.json", lambda path: load_robots(path.parent)), (ConfigInvalid,), [_ROBOT]),
    Parser("configuration", lambda data: parse_config(data, "f.yaml"), (ConfigInvalid,), [_CONFIG]),
    Parser(
        "imports",
        _imports,
        (),
        [b'[registry]\nlocation = "x"\n', json_of({"images": ["a:b"]}), b"a: {b: [c:d]}"],
        examples=15,
    ),
)
