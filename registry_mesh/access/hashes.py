"""Compares passwords with hashes: a program of its own, run by its path, which imports nothing of this package.

It reads lines of JSON, `[number, password, hash]`, and answers each by a line `number fits`, in any order: `fits` is 1
or 0, or ? where the comparison itself failed. It ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

AT_ONCE: Final = 2
"""Hashes of bcrypt that are made at the same time."""
_ALONE: Final = threading.Lock()
"""Held for a hash of argon2id. OpenSSL has threads for its lanes, in all as many as there are cores: two such hashes at
once wait for each other's threads for ever, or fail. It also bounds what they take of memory."""
_NICE: Final = 10


def main() -> None:
    """Answer until the input ends."""
    os.nice(_NICE)
    threads = ThreadPoolExecutor(AT_ONCE)
    for line in sys.stdin.buffer:
        threads.submit(_answer, *json.loads(line))
    os._exit(0)  # nobody is left to hear of what still waits


def _answer(number: int, password: str, hashed: str) -> None:
    try:
        said = str(int(fits(password, hashed)))
    except BaseException:  # a panic of bcrypt's is no Exception; whatever failed, one is waiting
        said = "?"
    os.write(1, f"{number} {said}\n".encode())


def fits(password: str, hashed: str) -> bool:
    """Whether the hash, of bcrypt or argon2id, is that of the password."""
    is_argon2 = hashed.startswith("$argon2id$")
    return _fits_argon2(password, hashed) if is_argon2 else _fits_bcrypt(password, hashed)


def _fits_bcrypt(password: str, hashed: str) -> bool:
    import bcrypt

    given = password.encode()
    fits: bool = bcrypt.checkpw(given[:72], hashed.encode())
    return fits and len(given) <= 72  # more is no part of a bcrypt hash


def _fits_argon2(password: str, hashed: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        with _ALONE:
            Argon2id.verify_phc_encoded(password.encode(), hashed)
    except (InvalidKey, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
