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

from registry_mesh.cli.node.marks import LETTERS, SIGNS
from registry_mesh.cli.node.top_screen import View, bars, filled, screen
from tests.cli.node.test_of_node import Far
from tests.cli.node.test_parents import TOLD as REGISTRIES
from tests.cli.node.test_status import NOW, TOLD

STATUS = {**TOLD, "name": "ch-zurich-1", "registries": REGISTRIES}
STATUS["findings"] = [{**each, "since": NOW - 676} for each in TOLD["findings"]]
IMAGE = {"name": "r/a:1", "held": 5 * 10**9, "size": 10**10, "whole": False, "pinned": True}


def shown(view: View, room: tuple[int, int] = (100, 24), marks: dict[str, str] | None = None) -> list[str]:
    images = [{**IMAGE, "name": "r/b:1", "held": 10**10, "whole": True, "pinned": False}, IMAGE]
    return screen(view, STATUS, images, NOW, room, marks or dict(SIGNS))


def test_figures_above_and_a_list_below() -> None:
    view = View()
    view.note(STATUS)
    lines = shown(view)
    assert len(lines) == 24
    assert lines[0] == "ch-zurich-1  site 0.9.2  up 41 d 6 h  4 workers  24 Nov 10:42:16 UTC"
    assert lines[1] == "served  " + "▁" * 29 + "█ 1.84 GB/s   312 readers"
    assert lines[2].endswith("█ 236 MB/s   3 fills   46 joined")
    assert lines[3] == "store   " + "█" * 25 + "·" * 5 + " 41.8 TB of 50 TB   24 h: 22.2 TB saved"
    assert lines[4].startswith("▲ parent-slow: ")
    assert lines[7].startswith("REGISTRY / PARENT")
    assert lines[-1].startswith("q leave")


def test_keys_choose_what_is_listed() -> None:
    view = View()
    assert all(view.press(key) for key in "3 s4d?")
    assert not view.press("q")
    for key, words in (("3", "r/a:1  pinned"), ("d", "for 11 min. nothing: it is tried"), ("?", "joined: ")):
        view.press(key)
        assert any(words in line for line in shown(view)), key
    view.press("3")
    view.by_size = True
    assert [line.split()[-1] for line in shown(view)[8:10]] == ["r/b:1", "pinned"]
    view.press("s")
    assert [line.split()[-1] for line in shown(view)[8:10]] == ["pinned", "r/b:1"]


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
        os.write(leader, b"q")
        assert b"\x1b[?1049l" in read_until(leader, b"\x1b[?1049l")
        assert program.wait(30) == 0
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
