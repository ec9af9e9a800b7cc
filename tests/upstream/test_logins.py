"""Logins from files, variables and commands: renewed, damaged, slow, failing, and never told."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry_mesh.ports.failures import LoginRefused
from registry_mesh.upstream.login.command import OUTPUT_LIMIT, CommandFailed, output_of
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.login.login_sources import CommandSource, FileSource, LoginSource, VariableSource
from registry_mesh.upstream.login.logins import Logins
from tests.environment import environment
from tests.eventually import eventually, eventually_here
from tests.simulators.guarded import DATA, USUAL, GuardedRegistry
from tests.simulators.origins import HandClock
from tests.upstream.test_authorization import World

ME = Credentials("u", "p")
URL = "https://h.example"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def world(stack: AsyncExitStack) -> World:
    return World(stack)


@pytest.fixture
async def parent(world: World) -> GuardedRegistry:
    return await world.guarded()


@pytest.fixture
def logins(stack: AsyncExitStack) -> Callable[..., Logins]:
    def make(source: LoginSource, url: str = URL, clock: HandClock | None = None) -> Logins:
        made = Logins(source, url, clock) if clock is not None else Logins(source, url)
        stack.push_async_callback(made.close)
        return made

    return make


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def replace(path: Path, text: str) -> None:
    """As careful programs write: another file in its place."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def docker(**entry: Any) -> str:
    return json.dumps({"auths": {"h.example": entry}})


# -- files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("challenge", ['Basic realm="r"', USUAL])
@pytest.mark.parametrize("refusal", [401, 403])
async def test_a_file_that_was_replaced_is_used_at_once(
    world: World, parent: GuardedRegistry, tmp_path: Path, challenge: str, refusal: int,
    logins: Callable[..., Logins],
) -> None:  # fmt: skip
    parent.challenges = [challenge]
    file = tmp_path / "login"
    file.write_text("u:p")
    reader = await world.reader(parent, logins(FileSource(file), parent.url))
    assert await reader.read() == DATA
    parent.users = {"u": "other"}
    parent.revoke()
    parent.refusal = refusal if challenge.startswith("Basic") else 401
    replace(file, "u:other")
    assert await reader.read() == DATA


async def test_a_login_that_its_token_service_refused_is_tried_again_when_the_file_changes(
    world: World, parent: GuardedRegistry, tmp_path: Path, logins: Callable[..., Logins]
) -> None:
    file = tmp_path / "login"
    file.write_text("u:wrong")
    reader = await world.reader(parent, logins(FileSource(file), parent.url))
    with pytest.raises(LoginRefused, match=f"file:{file}"):
        await reader.read()
    replace(file, "u:p")
    assert await reader.read() == DATA


async def test_a_file_that_comes_later_is_found_when_the_parent_asks(
    world: World, parent: GuardedRegistry, tmp_path: Path, logins: Callable[..., Logins]
) -> None:
    file = tmp_path / "login"
    reader = await world.reader(parent, logins(FileSource(file), parent.url))
    with pytest.raises(LoginRefused, match=f"login cannot be used: file:{file}: No such file"):
        parent.challenges = ['Basic realm="r"']
        await reader.read()
    file.write_text("u:p")
    assert await reader.read() == DATA


async def test_a_file_is_looked_at_now_and_then_and_read_when_it_changed(
    tmp_path: Path, logins: Callable[..., Logins]
) -> None:
    file, clock = tmp_path / "login", HandClock()
    file.write_text("u:p")
    login = logins(FileSource(file), URL, clock)
    assert await login.of("") == ME
    replace(file, "u:q")
    assert await login.of("") == ME
    clock.now += 6
    await eventually(
        lambda: login.of(""), "the new password", until=lambda known: known == Credentials("u", "q")
    )


async def test_a_damaged_file_is_one_line_and_its_mending_another(
    tmp_path: Path, logins: Callable[..., Logins], caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "config.json", HandClock()
    file.write_text(docker(auth="abc"))
    login = logins(FileSource(file), URL, clock)
    for _ in range(20):
        assert await login.of("") is None
        clock.now += 10
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    about = str(vars(line))
    assert f"file:{file}" in about and "h.example" in about and "log in again" in about and "abc" not in about
    replace(file, docker(auth=base64.b64encode(b"u:p").decode()))
    assert await login.renewed("", None)
    assert (await login.of(""), login.trouble) == (ME, "")


@pytest.mark.parametrize("damage", [docker(auth="!!"), "{", "", None, "u:p\nu:q"])
async def test_the_last_good_login_stays_where_the_file_is_damaged_later(
    tmp_path: Path, logins: Callable[..., Logins], damage: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.json"
    file.write_text(docker(username="u", password="p"))
    login = logins(FileSource(file))
    assert await login.of("") == ME
    if damage is None:
        file.unlink()
    else:
        replace(file, damage)
    assert not await login.renewed("", ME)
    assert await login.of("") == ME
    assert lines(caplog) == ["credentials cannot be read: those known are used on"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "large"])
async def test_what_is_no_file_of_logins(tmp_path: Path, logins: Callable[..., Logins], kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"x" * (5 << 20))
    login = logins(FileSource(path))
    async with asyncio.timeout(60):
        assert await login.of("") is None
    assert login.trouble


async def test_a_variable(logins: Callable[..., Logins]) -> None:
    login = logins(VariableSource("REGISTRY_MESH_TEST_THAT_IS_NOT_SET"))
    assert await login.of("") is None
    assert "not in the environment" in login.trouble


async def test_parts_of_a_registry_have_logins_of_their_own(
    world: World, parent: GuardedRegistry, tmp_path: Path, logins: Callable[..., Logins]
) -> None:
    parent.users = {"team": "p", "all": "p"}
    host = parent.url.removeprefix("http://")
    file = tmp_path / "auth.json"
    entries = {
        host: {"username": "all", "password": "p"},
        f"{host}/team": {"username": "team", "password": "p"},
    }
    file.write_text(json.dumps({"auths": entries}))
    reader = await world.reader(parent, logins(FileSource(file), parent.url))
    assert await reader.read("team/app") == await reader.read("other/app") == DATA
    users = [base64.b64decode(asked.authorization.removeprefix("Basic ")) for asked in parent.asked]
    assert users == [b"team:p", b"all:p"]


class HungSource:
    """A file on a server that has gone."""

    name = "file:/net/login"
    lasting = 5.0
    pause = 0.0
    reads = 0

    async def read(self) -> None:
        self.reads += 1
        await asyncio.sleep(3600)


async def test_a_source_that_hangs_holds_up_the_first_requests_and_no_other(stack: AsyncExitStack) -> None:
    clock, source = HandClock(), HungSource()
    login = Logins(source, URL, clock, patience=0.1)
    stack.push_async_callback(login.close)
    assert await asyncio.gather(*(login.of("") for _ in range(5))) == [None] * 5
    assert "cannot be read within 0.1 s" in login.trouble
    waiting = login.of("")
    with pytest.raises(StopIteration):
        waiting.send(None)  # it does not wait
    assert source.reads == 1


# -- commands -------------------------------------------------------------------------------------------------


async def test_a_command_is_run_again_before_its_login_ends(
    tmp_path: Path, logins: Callable[..., Logins]
) -> None:
    runs, clock = tmp_path / "runs", HandClock()
    hook = script(
        tmp_path / "hook",
        f"""echo >> {runs}; n=$(wc -l < {runs}); echo '{{"username": "u", "password": "p'$n'", "expires_in": 100}}'""",
    )
    login = logins(CommandSource((str(hook),), clock=clock), URL, clock)
    found = await asyncio.gather(*(login.of("") for _ in range(20)))
    assert set(found) == {Credentials("u", "p1")}
    clock.now += 79
    assert await login.of("") == Credentials("u", "p1")
    clock.now += 2
    await eventually(
        lambda: login.of(""), "the second password", until=lambda known: known == Credentials("u", "p2")
    )
    clock.now += 101
    assert await login.of("") == Credentials("u", "p3")
    assert runs.read_text() == "\n" * 3


async def test_the_last_good_login_of_a_command_is_used_until_its_end(
    tmp_path: Path, logins: Callable[..., Logins], caplog: pytest.LogCaptureFixture
) -> None:
    clock = HandClock()
    hook = script(tmp_path / "hook", """echo '{"username": "u", "password": "p", "expires_in": 100}'""")
    login = logins(CommandSource((str(hook),), clock=clock), URL, clock)
    assert await login.of("") == ME
    script(hook, "echo hunter2; echo hunter3 >&2; exit 3")
    clock.now += 90

    async def told() -> bool:
        assert await login.of("") == ME
        return bool(lines(caplog))

    await eventually(told, "the line of the failed hook")
    assert "exit code 3" in login.trouble
    clock.now += 11
    assert await login.of("") is None
    assert "hunter" not in str([vars(record) for record in caplog.records]) + login.trouble


async def test_a_refused_login_runs_the_command_again_but_not_always(
    world: World, parent: GuardedRegistry, tmp_path: Path, logins: Callable[..., Logins]
) -> None:
    parent.challenges, parent.refusal = ['Basic realm="r"'], 401
    runs, password, clock = tmp_path / "runs", tmp_path / "password", HandClock()
    password.write_text("p\n")
    hook = script(tmp_path / "hook", f"echo >> {runs}; cat {password}")
    source = CommandSource((str(hook),), username="u", lasting=43_200)
    reader = await world.reader(parent, logins(source, parent.url, clock))
    assert await reader.read() == DATA
    parent.users, parent.refusal = {"u": "q"}, 403
    password.write_text("q\n")
    clock.now += 11
    assert await reader.read() == DATA
    assert runs.read_text() == "\n" * 2
    parent.users = {}
    for _ in range(10):
        with pytest.raises(Exception, match="403"):
            await reader.read()
    assert runs.read_text() == "\n" * 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 1", "exit code 1"),
        ("kill -9 $$", "signal 9"),
        ("echo nonsense", "neither JSON nor USER:PASSWORD"),
        ("echo '{}'", "username or password is missing"),
        ("true", "neither JSON nor"),
        ("sleep 60 & sleep 60", "did not end within"),
        ("sleep 60 & exit 0", "did not end within"),
        ("yes", "printed more than"),
    ],
)
async def test_commands_that_fail(tmp_path: Path, logins: Callable[..., Logins], text: str, why: str) -> None:
    hook = script(tmp_path / "hook", f"echo $$ > {tmp_path}/pid\n{text}")
    login = logins(CommandSource((str(hook),), timeout=5.0 if why.startswith("did not end") else 60.0))
    assert await login.of("") is None
    assert why in login.trouble
    await _gone(int((tmp_path / "pid").read_text()))


async def _gone(group: int) -> None:
    await eventually(lambda: not _lives(group), f"the end of group {group}")


def _lives(group: int) -> bool:
    """Whether a process of the group is left that is no zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


async def test_a_command_that_is_not_there(logins: Callable[..., Logins]) -> None:
    login = logins(CommandSource(("/no/such/program",)))
    assert await login.of("") is None
    assert login.trouble == "it cannot be run: No such file or directory"


async def test_a_command_is_given_its_line_and_no_shell(tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", 'read line; echo "$line|$1|$#"')
    assert await output_of([str(hook), "$(id); x"], "https://index.docker.io/v1/", 5.0) == (
        "https://index.docker.io/v1/|$(id); x|1\n"
    )
    assert await output_of(["/bin/echo", "x"], "y" * OUTPUT_LIMIT, 5.0) == "x\n"
    with pytest.raises(CommandFailed):
        await output_of(["nul\0byte"], "", 5.0)


async def test_a_command_ends_with_who_waits_for_it(tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", f"echo $$ > {tmp_path}/pid; sleep 60")
    task = asyncio.ensure_future(output_of([str(hook)], "", 60.0))
    await eventually(partial(_written, tmp_path / "pid"), "the pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(int((tmp_path / "pid").read_text()))


async def test_a_command_ends_with_its_caller_while_it_is_started(tmp_path: Path) -> None:
    """It runs already, with children, and the loop has not connected its pipes yet."""
    hook = script(tmp_path / "hook", f"sleep 60 & echo $$ > {tmp_path}/pid; wait")
    task = asyncio.ensure_future(output_of([str(hook)], "", 60.0))
    for _ in range(2):
        await asyncio.sleep(0)
    eventually_here(partial(_written, tmp_path / "pid"), "the pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(int((tmp_path / "pid").read_text()))


def _written(file: Path) -> bool:
    return file.exists() and file.read_text() != ""


# -- credential helpers ---------------------------------------------------------------------------------------


@pytest.fixture
def helpers(tmp_path: Path) -> Iterator[Path]:
    """A folder of programs that is searched first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    with environment(PATH=f"{folder}:{os.environ['PATH']}"):
        yield folder


async def test_a_helper_of_a_docker_configuration(
    tmp_path: Path, helpers: Path, logins: Callable[..., Logins]
) -> None:
    said = """read host; test "$1" = get || exit 9; echo '{"ServerURL":"'$host'","Username":"%s","Secret":"'$host'"}'"""
    script(helpers / "docker-credential-one", said % "one")
    script(helpers / "docker-credential-all", said % "<token>")
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps({"credHelpers": {"h.example": "one"}, "credsStore": "all", "auths": {"h.example": {}}})
    )
    assert await logins(FileSource(file)).of("a/b") == Credentials("one", "h.example")
    hub = logins(FileSource(file), "https://registry-1.docker.io")
    assert await hub.of("") == Credentials(identity_token="https://index.docker.io/v1/")


async def test_what_a_helper_does_not_know_is_looked_for_in_the_file(
    tmp_path: Path, helpers: Path, logins: Callable[..., Logins]
) -> None:
    script(helpers / "docker-credential-one", "echo credentials not found in native keychain; exit 1")
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps({"credsStore": "one", "auths": {"h.example": {"username": "u", "password": "p"}}})
    )
    login = logins(FileSource(file))
    assert await login.of("") == ME


@pytest.mark.parametrize("name", ["../evil", "a/b", "-x", "", "a b"])
async def test_a_helper_is_a_name_and_no_path(
    tmp_path: Path, helpers: Path, logins: Callable[..., Logins], name: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credHelpers": {"h.example": name}}))
    login = logins(FileSource(file))
    assert await login.of("") is None
    assert login.trouble
