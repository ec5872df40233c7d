"""Addresses and the errors of binding them."""

import socket

import pytest

from kfx.runtime.address import (
    Address,
    AddressInUse,
    InvalidAddress,
    ListenError,
    bind,
    is_loopback,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8080", Address("", 8080)),
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:8443", Address("::1", 8443)),
        ("0", None),
        ("", None),
    ],
)
def test_the_forms_of_an_address(text: str, expected: Address | None) -> None:
    assert parse_address(text, flag="--metrics-addr") == expected


@pytest.mark.parametrize("text", ["8080", "host", "::1:80", ":", ":http", ":-1", ":65536", ":８０", "a:b:1"])
def test_what_is_no_address_is_refused_with_the_flag_and_the_form(text: str) -> None:
    with pytest.raises(InvalidAddress, match=r"--metrics-addr: .*write host:port or :port"):
        parse_address(text, flag="--metrics-addr")


def test_an_address_is_written_as_it_is_read() -> None:
    for text in (":8080", "127.0.0.1:1", "[::1]:2"):
        assert str(parse_address(text, flag="-")) == text


@pytest.mark.real_time
async def test_a_taken_port_names_the_flag_and_the_remedy() -> None:
    with await bind(Address("", 0), flag="--webhook-port") as first:
        port = first.getsockname()[1]
        with pytest.raises(AddressInUse) as caught:
            await bind(Address("", port), flag="--webhook-port")
    assert str(caught.value) == (
        f"cannot listen on :{port} (--webhook-port): address already in use. Stop what listens there "
        f"(ss -ltnp 'sport = :{port}') or choose another port with --webhook-port"
    )


@pytest.mark.real_time
async def test_a_port_taken_on_ipv4_alone_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        with pytest.raises(AddressInUse):
            await bind(Address("", other.getsockname()[1]), flag="--metrics-addr")


@pytest.mark.real_time
async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0 \(--healthz-addr\): no interface here"):
        await bind(Address("192.0.2.1", 0), flag="--healthz-addr")


@pytest.mark.real_time
async def test_every_interface_means_both_families() -> None:
    with await bind(Address("", 0), flag="-") as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        if listener.family == socket.AF_INET6:
            socket.create_connection(("::1", port), timeout=5).close()


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("LOCALHOST", True),
        ("", False), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.example.org", False),
        ("127.0.0.1.example.org", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_only_a_loopback_host_is_this_machine_alone(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside
