"""How a parent takes what a node shows it: by each login, as any process saw it."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from registry_mesh.ports.standing import Standing, State
from registry_mesh.upstream.health.board import Board
from registry_mesh.upstream.health.welcome import Welcome, WelcomeCard, received

LOGINS = {("p", "one"): ["a.example"], ("p", "two"): ["b.example", "c.example"], ("q", "one"): ["a.example"]}


class Node:
    """Three processes of one node, with a clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0
        self.board = Board(["p", "q"], 3, logins=LOGINS)

    def cards(self, parent: str = "p", login: str = "one") -> list[WelcomeCard]:
        return [self.board.welcomes.card(parent, login, process, lambda: self.now) for process in range(3)]

    def denied(self) -> dict[tuple[str, str], float | None]:
        return {key: self.board.welcomes.sheet(*key).welcome().denied_since for key in LOGINS}


def test_a_login_that_is_not_taken_is_told_until_it_is() -> None:
    node = Node()
    cards = node.cards()
    assert cards[0].welcome() == Welcome()
    cards[0].deny("answered 401")
    node.now += 5
    cards[1].deny("answered 401")
    assert cards[2].welcome() == Welcome(100.0, "answered 401", 105.0)
    node.now += 5
    cards[2].let_in()
    assert cards[0].welcome().denied_since is None
    node.now += 5
    cards[0].deny("answered 401")
    assert cards[2].welcome().denied_since == 110.0, "it was taken for the last time then"


@pytest.mark.parametrize("key", LOGINS)
def test_it_is_so_of_that_parent_and_login_alone(key: tuple[str, str]) -> None:
    node = Node()
    node.cards(*key)[1].deny("answered 401")
    for other in LOGINS:
        if other != key:
            node.cards(*other)[0].let_in()
    assert node.denied() == {**dict.fromkeys(LOGINS), key: 100.0}


def test_what_is_refused_is_told_where_the_base_says_so_too() -> None:
    node = Node()
    one, two, three = node.cards()
    one.refuse("answered 403")
    assert three.welcome() == Welcome(), "one repository, as far as is known"
    node.now += 5
    two.base(403)
    two.refuse("answers /v2/ with 403")
    assert three.welcome() == Welcome(100.0, "answers /v2/ with 403", 105.0)
    node.now += 5
    assert not one.has_given
    three.gave()
    assert one.has_given
    assert one.welcome().denied_since is None
    node.now += 5
    one.refuse("answered 403")
    assert two.welcome().denied_since == 115.0
    one.base(0)
    assert two.welcome().denied_since is None


def test_who_takes_over_a_place_begins_with_an_empty_row() -> None:
    node = Node()
    for key in LOGINS:
        node.cards(*key)[1].deny("é" * 10_000)
    node.board.clear(1)
    assert node.denied() == dict.fromkeys(LOGINS)
    assert node.cards()[0].welcome() == Welcome()


def test_processes_share_it() -> None:
    node = Node()
    pid = os.fork()
    if not pid:
        node.cards()[1].deny("answered 401")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert node.cards()[0].welcome() == Welcome(100.0, "answered 401", 100.0)


def test_of_what_went_wrong_the_last_is_told() -> None:
    standing = Standing(State.UP, 1.0, "", None, 0.1, "timed out", 50.0)
    denied = Welcome(40.0, "answered 401", 60.0)
    assert received(standing, Welcome()) == standing
    assert received(standing, denied) == replace(
        standing, denied_since=40.0, error="answered 401", error_at=60.0
    )
    assert received(replace(standing, error_at=70.0), denied).error == "timed out"
    assert received(replace(standing, error="", error_at=None), denied).error == "answered 401"
