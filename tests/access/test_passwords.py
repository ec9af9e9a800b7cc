"""Passwords against hashes of either kind."""

from __future__ import annotations

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from registry_mesh.access.passwords import Passwords
from registry_mesh.auth.basic import Login
from registry_mesh.auth.htpasswd import parse_htpasswd


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


class Compared:
    """Compares nothing, and knows which hashes were asked about."""

    def __init__(self) -> None:
        self.hashes: list[str] = []

    async def fits(self, password: str, hashed: str) -> bool:
        self.hashes.append(hashed)
        return password == "wonder"


@pytest.mark.parametrize("user", ["alice", "bob", "nobody", "", "root", "alice\0", "ALICE", "robot$ci"])
async def test_every_login_costs_one_comparison(user: str) -> None:
    """Of a kind that real users have: whether a name is known cannot be told by the time."""
    compared = Compared()
    hashes = {"alice": plain("wonder"), "bob": argon2("wonder")}
    assert not await Passwords(compared.fits).fit(Login(user, "wrong"), hashes)
    assert len(compared.hashes) == 1 and compared.hashes[0] in hashes.values()


async def test_a_name_that_nobody_has_always_costs_the_same() -> None:
    """Asked twice, one that moved from hash to hash would be found out."""
    compared = Compared()
    hashes = {f"user{n}": f"hash {n}" for n in range(8)}
    for _ in range(3):
        assert not await Passwords(compared.fits).fit(Login("nobody", "wonder"), hashes)
    assert len(compared.hashes) == 3 and len(set(compared.hashes)) == 1
