"""Passwords against hashes of either kind."""

from __future__ import annotations

import asyncio
from typing import Any

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from registry_mesh.access.passwords import WAITING, Passwords
from registry_mesh.auth.basic import Login
from registry_mesh.auth.htpasswd import parse_htpasswd
from registry_mesh.oci.refusals import TooManyRequests


def argon2(password: str, memory: int = 64) -> str:
    made = Argon2id(salt=b"0123456789abcdef", length=32, iterations=1, lanes=1, memory_cost=memory)
    return made.derive_phc_encoded(password.encode())


def plain(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize("hashed", [argon2, plain])
async def test_only_the_password_itself_fits(hashed: object) -> None:
    assert callable(hashed)
    hashes, faults = parse_htpasswd(f"alice:{hashed('wönder')}\nbob:{hashed('other')}\n")
    assert not faults
    passwords = Passwords()
    assert await passwords.fit(Login("alice", "wönder"), hashes)
    for user, password in (("alice", "other"), ("alice", ""), ("alice", "wönder" * 30), ("bob", "wönder")):
        assert not await passwords.fit(Login(user, password), hashes), (user, password)


async def test_another_s_password_is_nobody_s() -> None:
    for hashes in ({"alice": argon2("wonder")}, {"alice": plain("wonder")}, {}):
        assert not await Passwords().fit(Login("nobody", "wonder"), hashes)


class Counted(str):
    """A hash that knows how often it was compared with."""

    compared = 0

    def startswith(self, *args: Any) -> bool:  # Any: as the class above has it
        self.compared += 1
        return super().startswith(*args)


@pytest.mark.parametrize("user", ["alice", "bob", "nobody", "", "root", "alice\0", "ALICE", "robot$ci"])
async def test_every_login_costs_one_comparison(user: str) -> None:
    """Of a kind that real users have: whether a name is known cannot be told by the time."""
    hashes = {name: Counted(made("wonder")) for name, made in (("alice", plain), ("bob", argon2))}
    assert not await Passwords().fit(Login(user, "wrong"), hashes)
    assert sum(each.compared for each in hashes.values()) == 1


async def test_a_name_that_nobody_has_always_costs_the_same() -> None:
    """Asked twice, one that moved from hash to hash would be found out."""
    hashes = {f"user{n}": Counted(plain("wonder")) for n in range(8)}
    for _ in range(3):
        assert not await Passwords().fit(Login("nobody", "wrong"), hashes)
    assert sorted(each.compared for each in hashes.values()) == [0] * 7 + [3]


async def test_the_loop_goes_on_and_the_queue_is_bounded() -> None:
    hashes = {"alice": argon2("wonder", memory=1 << 10)}
    passwords = Passwords()
    tasks = [asyncio.create_task(passwords.fit(Login("alice", "no"), hashes)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await passwords.fit(Login("alice", "wonder"), hashes)
    turns = 0
    while not all(task.done() for task in tasks):
        turns += 1
        await asyncio.sleep(0.0005)
    assert turns > 1, "the loop turned while passwords were hashed"
    assert not any([await task for task in tasks])
