"""`top`: its screen from what a node says; at a terminal it comes, and goes as it came."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer

import pytest

from registry_mesh.cli.node.marks import LETTERS, SIGNS
from registry_mesh.cli.node.top_head import bars, filled
from registry_mesh.cli.node.top_screen import Lists, screen
from registry_mesh.cli.node.top_view import View
from tests.cli.node.test_of_node import Far
from tests.cli.node.test_parents import TOLD as REGISTRIES
from tests.cli.node.test_status import NOW, TOLD

STATUS = {**TOLD, "name": "ch-zurich-1", "registries": REGISTRIES}
STATUS["now"] = {
    **TOLD["now"],
    "requests_per_second": 212.3,
    "cpu": 0.31,
    "resident_bytes": 212_000_000,
    "first_byte_seconds": 0.004,
}
STATUS["findings"] = [{**each, "since": NOW - 676} for each in TOLD["findings"]]
IMAGE = {"name": "r/a:1", "held": 5 * 10**9, "size": 10**10, "whole": False, "pinned": True}

DIGEST = "sha256:9f3c41d0e7a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c"
FILL = {
    "places": ["registry.cern.example/atlas/athena"],
    "digest": DIGEST,
    "size": 4_210_000_000,
    "held": 2_570_000_000,
    "parts": "999999999994000000",
    "bytes_per_second": 212_000_000,
    "left_seconds": 7.7,
    "from": ["ch-geneva-r1"],
    "whole_readers": 38,
    "range_readers": 4,
}
LAZY = {
    **FILL,
    "places": [],
    "parts": "909009009000009000",
    "bytes_per_second": 0,
    "left_seconds": None,
    "from": [],
    "whole_readers": 0,
    "range_readers": 3,
}
READER = {
    "client": "10.1.2.3",
    "subject": "",
    "place": "registry.cern.example/atlas/athena",
    "digest": DIGEST,
    "size": 4_210_000_000,
    "sent": 421_000_000,
    "seconds": 11.0,
    "bytes_per_second": 38_000_000,
    "cache": "joined",
}
MOVING = {
    "fills": [LAZY, FILL],
    "readers": [{**READER, "subject": "robot:ci", "seconds": 2.0, "bytes_per_second": 10**9}, READER],
    "fills_in_all": 5,
    "readers_in_all": 2,
}


def shown(view: View, room: tuple[int, int] = (100, 24), marks: dict[str, str] | None = None) -> list[str]:
    images = [{**IMAGE, "name": "r/b:1", "held": 10**10, "whole": True, "pinned": False}, IMAGE]
    return screen(view, Lists(STATUS, MOVING, images), NOW, room, marks or dict(SIGNS))


def test_figures_above_and_a_list_below() -> None:
    view = View("4")
    view.note(STATUS)
    lines = shown(view)
    assert len(lines) == 24
    node = "ch-zurich-1  site 0.9.2  up 41 d 6 h  4 workers 31 %  RSS 212 MB"
    assert lines[0] == node + "24 Nov 10:42:16 UTC".rjust(100 - len(node))
    assert lines[1] == "served  " + "▁" * 29 + "█ 1.84 GB/s   312 readers   212 req/s   first byte p99 4 ms"
    assert lines[2].endswith("█ 236 MB/s   3 fills   46 joined")
    assert lines[3] == "store   " + "█" * 25 + "·" * 5 + " 41.8 TB of 50 TB   24 h: 22.2 TB saved"
    assert lines[4].startswith("▲ parent-slow: ")
    assert lines[7] == "1 Fills  2 Readers  3 Images  4 Parents"
    assert lines[8].startswith("REGISTRY / PARENT")
    assert lines[-1].startswith("q leave")


def test_fills_say_what_comes_from_where_and_for_whom() -> None:
    lines = shown(View(), (132, 24))
    assert lines[7].endswith(" sorted by readers")
    assert lines[8].split() == ["BLOB", "HELD", "OF", "RATE", "FROM", "READERS", "LEFT"]
    assert lines[9].split("  ") == [
        "registry.cern.example/atlas/athena",
        "9f3c41d0e7a2",
        "███████████·······",
        "61 %",
        "4.21 GB",
        "212 MB/s",
        "ch-geneva-r1",
        " 38 + 4",
        "8 s",
    ]
    assert lines[10].split() == [
        "-", "9f3c41d0e7a2", "█·█··█··█·····█···", "61", "%", "4.21", "GB", "-", "-", "0", "+", "3", "-",
    ]  # fmt: skip
    assert lines[11:13] == [
        "and 3 more",
        "READERS: whole + ranges. A reader that joins a fill costs no byte of the link.",
    ]
    narrow = shown(View(), (100, 24))
    assert narrow[8].endswith("LEFT")
    assert narrow[9].startswith("…mple/atlas/athena  9f3c41d0e7a2  ██████···  61 %")
    lines = screen(View(), Lists(STATUS, {"fills": [], "fills_in_all": 0}), NOW, (80, 24), dict(SIGNS))
    assert lines[8] == "No blob is on its way in."


def test_readers_are_sorted_by_time_or_by_rate() -> None:
    view = View("2")
    lines = shown(view, (130, 24))
    assert lines[9].split() == [
        "10.1.2.3", "registry.cern.example/atlas/athena", "9f3c41d0e7a2", "10", "%", "4.21", "GB",
        "38", "MB/s", "11", "s", "joined",
    ]  # fmt: skip
    view.press("s")
    lines = shown(view, (130, 24))
    assert lines[7].endswith(" sorted by rate")
    assert lines[9].startswith("robot:ci ")
    assert "#####" in "".join(shown(View(), (120, 24), dict(LETTERS)))


def test_keys_choose_what_is_listed() -> None:
    view = View()
    assert all(view.press(key) for key in "123 s4d?")
    assert not view.press("q")
    for key, words in (("3", "r/a:1  pinned"), ("d", "for 11 min. nothing: it is tried"), ("?", "joined: ")):
        view.press(key)
        assert any(words in line for line in shown(view)), key
    view.press("3")
    view.first_sort = True
    assert [line.split()[-1] for line in shown(view)[9:11]] == ["r/b:1", "pinned"]
    view.press("s")
    assert [line.split()[-1] for line in shown(view)[9:11]] == ["pinned", "r/b:1"]


def test_a_node_of_before_says_less_in_the_head() -> None:
    lines = screen(View("4"), Lists({**STATUS, "now": TOLD["now"]}, MOVING), NOW, (100, 24), dict(SIGNS))
    assert "4 workers  " in lines[0] and "RSS" not in lines[0]
    assert lines[1].endswith("312 readers")


@pytest.mark.parametrize(
    ("shown_", "letters", "there", "gone"),
    [
        ("1", "ATHENA", "/atlas/athena", None),
        ("1", "9f3c", "9f3c41d0e7a2", None),
        ("1", "nothing", "Nothing here has nothing in its name.", "9f3c41d0e7a2"),
        ("2", "robot", "robot:ci", "10.1.2.3"),
        ("2", "10.1.", "10.1.2.3", None),
        ("3", "r/a", "r/a:1", "r/b:1"),
        ("3", "zzz", "Nothing here has zzz in its name.", "r/a:1"),
        ("4", "lyon", "fr-lyon-r1", "docker.io"),
        ("4", "docker", "registry-1.docker.io", "fr-lyon-r1 "),
        ("4", "zzz", "Nothing here has zzz in its name.", "docker.io"),
    ],
)
def test_letters_choose_what_is_listed(shown_: str, letters: str, there: str, gone: str | None) -> None:
    view = View(shown_)
    assert all(view.press(key) for key in f"/{letters}")
    assert shown(view)[-1] == f"/{letters}_  enter keep  escape drop"
    below = shown(view)[7:-1]
    assert any(there in line for line in below)
    assert gone is None or not any(gone in line for line in below)
    assert view.press("\n") and f"with {letters}" in shown(view)[7]
    assert view.press("\x1b") and "with" not in shown(view)[7]


def test_keys_while_letters_are_typed_are_letters() -> None:
    view = View()
    assert all(view.press(key) for key in "/qs 1\x7f\x7fx")
    assert (view.wanted, view.still, view.shown, view.first_sort) == ("qsx", False, "1", True)
    assert view.press("\x1b") and (view.typing, view.wanted) == (False, "")
    assert view.press(" ") and shown(view)[-1].startswith("It stands still")
    assert not view.press("q")


def test_a_small_terminal_and_other_letters() -> None:
    small = shown(View(), (80, 24), dict(LETTERS))
    assert len(small) == 24 and max(map(len, small)) <= 80
    assert all(line.isascii() for line in small)
    assert bars([], SIGNS) == "▁" * 30 and filled(0, None, LETTERS) == "." * 30


def test_a_terminal_is_left_as_it_was() -> None:
    class Node(Far):
        told = STATUS

    server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "registry_mesh",
        "top",
        "--node",
        f"http://127.0.0.1:{server.server_port}",
    ]
    program = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    try:
        said = read_until(leader, b"q leave")
        assert b"\x1b[?1049h" in said and b"ch-zurich-1" in said
        os.write(leader, b"\x1b[A/4.zz\n")
        said = read_until(leader, b"with 4.zz")
        assert b"with 4.zz" in said, "an arrow means nothing, and no letter waits for the next key"
        os.write(leader, b"q")
        assert b"\x1b[?1049l" in read_until(leader, b"\x1b[?1049l")
        assert program.wait(60) == 0
    finally:
        program.kill()
        os.close(leader)
        server.shutdown()
        server.server_close()


def read_until(leader: int, words: bytes) -> bytes:
    said, deadline = b"", time.monotonic() + 60
    while words not in said and time.monotonic() < deadline:
        if select.select([leader], [], [], 1.0)[0]:
            said += os.read(leader, 65536)
    return said
