"""Why a bucket did not answer, in words that say where to look."""

from __future__ import annotations

import socket

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores.bucket.errors import translated, why


def asked(port: int) -> None:
    """One request to 127.0.0.1, tried once."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=30, read_timeout=0.2)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="eu",
        config=config,
    )
    with translated("HEAD of the bucket"):
        client.head_bucket(Bucket="b")


def test_a_port_that_nobody_listens_at() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(StoreBroken) as fault:
            asked(taken.getsockname()[1])
    assert str(fault.value) == "the bucket did not answer to HEAD of the bucket: connection refused"


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(StoreBroken) as fault:
        asked(server.getsockname()[1])
    assert str(fault.value) == "the bucket did not answer to HEAD of the bucket: timed out"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "timed out"),
        (aiohttp.ServerTimeoutError(), "timed out"),
        (ConnectionResetError(104, "?"), "connection reset by peer"),
        (socket.gaierror(-2, "?"), "its name cannot be resolved by DNS"),
        (ConnectionClosedError(endpoint_url="http://b"), "ConnectionClosedError"),
    ],
)
def test_what_an_exception_stands_for(error: Exception, words: str) -> None:
    assert why(error) == words
