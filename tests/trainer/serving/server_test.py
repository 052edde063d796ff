"""Addresses to serve at, and the errors of those that can't be used."""

import socket

import pytest

from storage.errors import UserError
from trainer.serving.server import allowed_hosts, bound_socket, is_loopback, listen


def test_free_port_is_taken_and_told():
    with bound_socket("127.0.0.1", 0) as listener:
        url = listen(listener, "127.0.0.1")
        assert url == f"http://127.0.0.1:{listener.getsockname()[1]}"
        socket.create_connection(listener.getsockname()).close()


def test_no_part_of_an_answer_is_held_back():
    with bound_socket("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # else asyncio leaves TCP_NODELAY off


def test_connections_are_refused_before_the_model_is_loaded():
    with bound_socket("127.0.0.1", 0) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname())


def test_address_of_version_6_is_told_in_brackets():
    try:
        with bound_socket("::1", 0) as listener:
            assert listen(listener, "::1").startswith("http://[::1]:")
    except UserError as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_port_in_use_is_told():
    with bound_socket("127.0.0.1", 0) as other:
        listen(other, "127.0.0.1")
        port = other.getsockname()[1]
        reason = (
            f"--host and --port: can't serve at 127.0.0.1, port {port} .*in use.*; give another"
        )
        with pytest.raises(UserError, match=reason), bound_socket("127.0.0.1", port):
            pass


def test_port_that_another_process_takes_meanwhile_is_told():
    with bound_socket("127.0.0.1", 0) as slow:
        port = slow.getsockname()[1]
        with bound_socket("127.0.0.1", port) as fast:
            listen(fast, "127.0.0.1")
            with pytest.raises(UserError, match="in use"):
                listen(slow, "127.0.0.1")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "a" * 70 + ".example"])
def test_address_of_another_machine_is_told(host):
    with pytest.raises(UserError, match="can't serve at"), bound_socket(host, 8501):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_accepts_names_of_this_machine_only(host):
    assert is_loopback(host)
    assert {"localhost", host} <= set(allowed_hosts(host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])  # noqa: S104
def test_other_addresses_accept_every_name(host):
    assert not is_loopback(host)
    assert not allowed_hosts(host)
