"""Pages and lines, as the server writes them."""

import json

import pytest

from kfx.kube.listwatch import decode_line, decode_page

DEEP = b'{"metadata":{"name":"deep"},"spec":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


def test_a_page_tells_version_token_and_items():
    body = {"metadata": {"resourceVersion": "7", "continue": "t"}, "items": [{"a": 1}, {"a": 2}]}
    page = decode_page(json.dumps(body).encode())
    assert (page.resource_version, page.continue_token) == ("7", "t")
    assert [json.loads(bytes(item)) for item in page.items] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("items", [b"null", b"[]"])
def test_a_page_may_be_empty(items):
    assert list(decode_page(b'{"metadata":{"resourceVersion":"7"},"items":' + items + b"}").items) == []


def test_an_item_nested_too_deeply_does_not_hide_the_others():
    body = b'{"metadata":{"resourceVersion":"7"},"items":[{"a":1},' + DEEP + b',{"a":2}]}'
    page = decode_page(body)
    assert page.resource_version == "7"
    assert [bytes(item) for item in page.items] == [b'{"a":1}', DEEP, b'{"a":2}']


def test_a_line_tells_type_and_object():
    message = decode_line(b'{"type":"ADDED","object":{"a":1}}')
    assert (message.type, bytes(message.object)) == ("ADDED", b'{"a":1}')


def test_a_line_nested_too_deeply_can_be_taken_apart():
    message = decode_line(b'{"type":"ADDED","object":' + DEEP + b"}")
    assert (message.type, bytes(message.object)) == ("ADDED", DEEP)


@pytest.mark.parametrize("line", [b"", b"<html>", b'{"type":"ADDED"}', b"\xff\xfe", b'{"type":"ADDED","obj'])
def test_what_is_no_line_is_refused(line):
    with pytest.raises(ValueError):
        decode_line(line)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"items":7}'])
def test_what_is_no_list_is_refused(body):
    with pytest.raises(ValueError):
        decode_page(body)
