"""Unit tests reach no network: a socket other than a local one is an error."""

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def block_network():
    disable_socket(allow_unix_socket=True)  # asyncio's own wake-up pair is a unix socket
    yield
    enable_socket()
