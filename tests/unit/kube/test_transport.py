"""Lines out of chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.kube.transport import LineSplitter

STREAM = b'{"a":1}\n{"b":"\xc3\xa4"}\r\n\n{"c":3}\n'
LINES = [b'{"a":1}', b'{"b":"\xc3\xa4"}\r', b'{"c":3}']


def lines_of(*chunks: bytes) -> list[bytes]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)]


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_cut_anywhere_gives_the_same_lines(cut):
    assert lines_of(STREAM[:cut], STREAM[cut:]) == LINES


def test_a_stream_of_single_bytes_gives_the_same_lines():
    assert lines_of(*(bytes([byte]) for byte in STREAM)) == LINES


@given(st.lists(st.binary(max_size=8)))
def test_chunks_do_not_matter(chunks):
    whole = b"".join(chunks)
    assert lines_of(*chunks) == lines_of(whole)


def test_an_unfinished_line_is_not_given_out():
    assert lines_of(b'{"a":1}\n{"b"') == [b'{"a":1}']


def test_a_line_of_many_chunks_is_joined_once():
    assert lines_of(*[b"x" * 1000] * 20_000, b"\n") == [b"x" * 20_000_000]


def test_a_line_without_end_is_refused():
    splitter = LineSplitter(limit=10)
    splitter.feed(b"12345")
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        splitter.feed(b"678901")
