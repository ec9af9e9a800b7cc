"""Files of robots: one a robot, made by `registry-mesh robot create`, removed by `revoke`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError

from registry_mesh.auth.policies import ALLOWS, Entry
from registry_mesh.auth.robots import Robot
from registry_mesh.auth.subjects import is_robot
from registry_mesh.config.document import read_document
from registry_mesh.config.files import unreadable
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.model_errors import report_model_errors
from registry_mesh.config.policy_files import Texts, Words, actions_of, selection
from registry_mesh.config.values import RegistryHost, Section, Text, listed
from registry_mesh.tasks.files import ON_DISK, Files

SCHEMA: Final = "registry-mesh/robot/1"
SUFFIX: Final = ".json"


class RobotFile(Section):
    """A robot as it is written down. Its secret is not in it."""

    schema_: Literal["registry-mesh/robot/1"] = Field(alias="schema")
    name: Text
    secret: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    """Digest of the secret."""
    created: Text
    expires: Text
    """A time, as 2027-01-31T00:00:00Z."""
    allow: Words
    repos: Texts
    registries: Annotated[tuple[RegistryHost, ...] | None, BeforeValidator(listed)] = None


@dataclass(frozen=True, slots=True)
class KeptRobot:
    """A robot, what it may do, and how that is written down."""

    robot: Robot
    entry: Entry
    file: RobotFile


def load_robots(directory: str | Path, files: Files = ON_DISK) -> dict[str, KeptRobot]:
    """The robots of a directory by name. `ConfigInvalid` lists every fault of every file."""
    found: dict[str, KeptRobot] = {}
    findings: list[Finding] = []
    for path in robot_paths(directory, files):
        try:
            kept = _read(path, files)
        except ConfigInvalid as invalid:
            findings += invalid.findings
        else:
            found[kept.robot.name] = kept
    if findings:
        raise ConfigInvalid(findings)
    return found


def robot_paths(directory: str | Path, files: Files = ON_DISK) -> list[Path]:
    """The files of robots of a directory, sorted. `ConfigInvalid` where it cannot be read."""
    try:
        return sorted(
            p for p in map(Path, files.within(str(directory))) if p.suffix == SUFFIX and p.name[0] != "."
        )
    except OSError as fault:
        raise unreadable(Path(directory), fault) from None


def _read(path: Path, files: Files = ON_DISK) -> KeptRobot:
    try:
        document = read_document(files.data(str(path)), str(path))
    except OSError as fault:
        raise unreadable(path, fault) from None
    if not isinstance(document.value, dict):
        raise ConfigInvalid([Finding(str(path), Mark(1, 1), (), "a robot is a mapping", "make it anew")])
    try:
        file = RobotFile.model_validate(document.value)
    except ValidationError as invalid:
        report_model_errors(document, RobotFile, invalid)
        raise ConfigInvalid(document.findings) from None
    if file.name != path.stem or not is_robot(f"robot:{file.name}"):
        document.report(("name",), f"{file.name} is not the robot of this file", f"the file is NAME{SUFFIX}")
    until = _time(file.expires)
    if until is None:
        document.report(("expires",), f"{file.expires} is no time", "write 2027-01-31T00:00:00Z")
    repositories = selection(document, ("repos",), file.repos, None)
    if document.findings:
        raise ConfigInvalid(document.findings)
    robot = Robot(file.name, file.secret, until or 0.0)
    registries = frozenset(file.registries) if file.registries is not None else None
    allow = actions_of(file.allow, ALLOWS)
    entry = Entry(robot.subject, frozenset({robot.subject}), repositories, registries, allow, where=str(path))
    return KeptRobot(robot, entry, file)


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text.endswith("Z") else None
    except ValueError:
        return None


def write_robot(
    directory: str | Path,
    name: str,
    secret: str,
    times: tuple[datetime, datetime],
    allow: Sequence[str],
    repos: Sequence[str],
    registries: Sequence[str],
) -> KeptRobot:
    """Write down a new robot; `secret` is the digest of its secret, `times` are now and its end. FileExistsError where
    there is one of that name, `ConfigInvalid` where it says what no robot can."""
    document: Mapping[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "secret": secret,
        "created": _written(times[0]),
        "expires": _written(times[1]),
        "allow": list(allow),
        "repos": list(repos),
        **({"registries": list(registries)} if registries else {}),
    }
    path = Path(directory) / f"{name}{SUFFIX}"
    draft = path.with_name(f".{name}{SUFFIX}")
    try:
        draft.write_text(json.dumps(document, indent=2) + "\n")
        _check(draft, name)
        _share(draft)
        os.link(draft, path)  # whole, and never over another
    finally:
        draft.unlink(missing_ok=True)
    return _read(path)


def make_directory(path: str | Path) -> None:
    """Make the directory of robots where it is not there: whoever may enter the one above may read it, whatever the
    caller's umask is. No secret is in it. OSError."""
    directory = Path(path)
    with suppress(FileExistsError):
        directory.mkdir()
        directory.chmod(0o755 & directory.parent.stat().st_mode | 0o700)


def _share(file: Path) -> None:
    """Let those read it who read the directory, the node's user among them: root makes it, often with a strict umask.
    One file that cannot be read would hold up all changes of access."""
    there = file.parent.stat()
    file.chmod(0o600 | there.st_mode & 0o044)
    if os.geteuid() == 0:
        os.chown(file, there.st_uid, there.st_gid)


def _check(draft: Path, name: str) -> None:
    try:
        _read(draft)
    except ConfigInvalid as invalid:
        findings = [each for each in invalid.findings if each.path != ("name",)]
        if findings or not is_robot(f"robot:{name}"):
            raise ConfigInvalid(findings or invalid.findings) from None


def _written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
