"""Files of htpasswd."""

import pytest

from registry_mesh.auth.htpasswd import parse_htpasswd

HASH = "$2y$10$" + "a" * 53


def test_users_and_their_hashes() -> None:
    hashes, faults = parse_htpasswd(f"# people\n\nalice:{HASH}\nbob.b@site:{HASH}  \n")
    assert (list(hashes), faults) == (["alice", "bob.b@site"], [])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("alice", "the hash of alice is not bcrypt"),
        ("alice:wonder", "the hash of alice is not bcrypt"),
        ("alice:$apr1$x$y", "the hash of alice is not bcrypt"),
        ("alice:{SHA}abc", "the hash of alice is not bcrypt"),
        ("alice:$2y$31$" + "a" * 53, "the hash of alice has a cost of 31"),
        (f"robot:x:{HASH}", "the hash of robot is not bcrypt"),
        (f":{HASH}", "no user name"),
        (f"@group:{HASH}", "no user name"),
        (f"anonymous:{HASH}", "no user name"),
        (f"everybody:{HASH}", "no user name"),
        (f"users:{HASH}", "no user name"),
        (f"al ice:{HASH}", "no user name"),
    ],
)
def test_each_fault_has_its_line(line: str, what: str) -> None:
    hashes, (fault,) = parse_htpasswd(f"# one\n{line}\n")
    assert (hashes, fault.line, fault.what) == ({}, 2, what)


def test_a_user_stands_once() -> None:
    assert [fault.what for fault in parse_htpasswd(f"a:{HASH}\na:{HASH}\n")[1]] == ["a stands twice"]
