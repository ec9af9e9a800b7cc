"""Files of htpasswd."""

import pytest

from registry_mesh.auth.htpasswd import parse_htpasswd

HASH = "$2y$10$" + "a" * 53
ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$LLhiYBdWW+m78VsbSbZNgQN1KpePy7rrK8KaSFptxOg"


def test_users_and_their_hashes() -> None:
    hashes, faults = parse_htpasswd(f"# people\n\nalice:{HASH}\nbob.b@site:{HASH}  \ncarl:{ARGON2}\n")
    assert (list(hashes), faults) == (["alice", "bob.b@site", "carl"], [])


def test_what_editors_leave_in_a_file() -> None:
    """A mark before the first line, both kinds of line ends; and a name behind what looks like a comment is none."""
    text = f"\ufeffalice:{HASH}\r\n# carl went\u2028mallory:{HASH}\r\n# \x0bmallory:{HASH}\nbob:{HASH}"
    hashes, faults = parse_htpasswd(text)
    assert (list(hashes), faults) == (["alice", "bob"], [])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("alice", "the hash of alice is neither bcrypt nor argon2id"),
        ("alice:wonder", "the hash of alice is neither bcrypt nor argon2id"),
        ("alice:$apr1$x$y", "the hash of alice is neither bcrypt nor argon2id"),
        ("alice:{SHA}abc", "the hash of alice is neither bcrypt nor argon2id"),
        ("alice:$2y$31$" + "a" * 53, "the hash of alice has a cost of 31"),
        (
            f"alice:{ARGON2.replace('argon2id', 'argon2i')}",
            "the hash of alice is neither bcrypt nor argon2id",
        ),
        (f"alice:{ARGON2.replace('v=19', 'v=16')}", "the hash of alice is neither bcrypt nor argon2id"),
        (f"alice:{ARGON2[:-30]}", "the hash of alice is neither bcrypt nor argon2id"),
        (f"alice:{ARGON2.replace('65536', '4194304')}", "the hash of alice takes m=4194304, t=3, p=4"),
        (f"alice:{ARGON2.replace('t=3', 't=99')}", "the hash of alice takes m=65536, t=99, p=4"),
        (f"alice:{ARGON2.replace('p=4', 'p=99')}", "the hash of alice takes m=65536, t=3, p=99"),
        (f"alice:{ARGON2.replace('65536', '8')}", "the hash of alice takes m=8, t=3, p=4"),
        (f"robot:x:{HASH}", "the hash of robot is neither bcrypt nor argon2id"),
        (f":{HASH}", "no user name"),
        (f"@group:{HASH}", "no user name"),
        (f"anonymous:{HASH}", "no user name"),
        (f"everybody:{HASH}", "no user name"),
        (f"users:{HASH}", "no user name"),
        (f"token:{HASH}", "nobody can log in as token: who does shows a token"),
        (f"al ice:{HASH}", "no user name"),
    ],
)
def test_each_fault_has_its_line(line: str, what: str) -> None:
    hashes, (fault,) = parse_htpasswd(f"# one\n{line}\n")
    assert (hashes, fault.line, fault.what) == ({}, 2, what)


def test_a_user_stands_once() -> None:
    assert [fault.what for fault in parse_htpasswd(f"a:{HASH}\na:{HASH}\n")[1]] == ["a stands twice"]
