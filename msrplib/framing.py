"""Chunks to bytes: the answers and reports that belong to a chunk, and the frame around a piece of a message."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from msrplib.errors import ChunkParseError, status_comment
from msrplib.headers import ByteRange, MSRPHeader
from msrplib.message import COMPLETE, MSRPData

__all__ = ['encode_report', 'encode_request', 'encode_response', 'header_lines', 'make_report', 'make_response', 'new_message_id',
           'new_transaction_id', 'one_line', 'wants_report', 'wants_response']


def new_transaction_id() -> str:
    """An id for a request: 64 random bits, so that nobody can put the line that ends the chunk into a body beforehand."""
    return secrets.token_hex(8)


new_message_id = new_transaction_id


def header_lines(headers: Iterable[MSRPHeader]) -> str:
    """Headers as they are written.

    Raises:
        ValueError: one has more than one line.
    """
    lines = [f'{header.name}: {header.encoded}' for header in headers]
    for line in lines:
        one_line(line)
    return ''.join(f'{line}\r\n' for line in lines)


def one_line(text: str) -> str:
    """The text.

    Raises:
        ValueError: it has more than one line.
    """
    if '\r' in text or '\n' in text:
        raise ValueError(f'more than one line: {text[:80]!r}')
    return text


def _paths(chunk: MSRPData) -> tuple[str, str]:
    to_path, from_path = chunk.header_text('To-Path'), chunk.header_text('From-Path')
    if not to_path or not from_path:
        raise ChunkParseError(f'{chunk.first_line}: no {"From" if to_path else "To"}-Path')
    return to_path, from_path


def _first(path: str) -> str:
    return path.split(None, 1)[0]


def wants_response(chunk: MSRPData, code: int) -> bool:
    """Whether a request is to be answered with that code (RFC 4975 sections 7.1.1 and 7.2)."""
    if chunk.method is None or chunk.method == 'REPORT':
        return False
    wanted = chunk.failure_report
    return wanted not in ('no', 'partial') or (wanted == 'partial' and code != 200)


def wants_report(chunk: MSRPData, code: int) -> bool:
    """Whether a SEND is to be reported with that code."""
    if chunk.method != 'SEND':
        return False
    return chunk.success_report == 'yes' if code == 200 else chunk.failure_report in ('yes', 'partial')


def encode_response(chunk: MSRPData, code: int, comment: str | None = None, headers: Iterable[MSRPHeader] = ()) -> bytes | None:
    """The answer to a request, None if the request wants none.

    To the last hop only, for SEND; an answer to anything else goes back all the way (RFC 4976 section 4.2).

    Raises:
        ChunkParseError: the request has no paths.
    """
    if not wants_response(chunk, code):
        return None
    to_path, from_path = _paths(chunk)
    comment = status_comment(code) if comment is None else one_line(comment)
    lines = header_lines(headers)
    identity = chunk.transaction_id
    return (f'MSRP {identity} {code:03}{" " if comment else ""}{comment}\r\nTo-Path: {_first(from_path) if chunk.method == "SEND" else from_path}\r\n'
            f'From-Path: {_first(to_path)}\r\n{lines}-------{identity}$\r\n').encode('utf-8', 'replace')


def make_response(chunk: MSRPData, code: int, comment: str | None = None) -> MSRPData | None:
    """The same as an object.

    Raises:
        ChunkParseError: the request has no paths.
    """
    if not wants_response(chunk, code):
        return None
    to_path, from_path = _paths(chunk)
    texts = {'To-Path': _first(from_path) if chunk.method == 'SEND' else from_path, 'From-Path': _first(to_path)}
    return MSRPData.parsed(chunk.transaction_id, None, code, status_comment(code) if comment is None else one_line(comment), texts)


def encode_report(chunk: MSRPData, code: int, comment: str | None, byte_range: ByteRange) -> bytes:
    """A REPORT about bytes of the message of that chunk, whether it is wanted or not.

    Raises:
        ChunkParseError: the chunk has no paths or no Message-ID.
    """
    to_path, from_path = _paths(chunk)
    message_id = chunk.message_id
    if not message_id:
        raise ChunkParseError(f'{chunk.first_line}: no Message-ID')
    identity = new_transaction_id()
    comment = status_comment(code) if comment is None else one_line(comment)
    return (f'MSRP {identity} REPORT\r\nTo-Path: {from_path}\r\nFrom-Path: {_first(to_path)}\r\nStatus: 000 {code:03}{" " if comment else ""}{comment}\r\n'
            f'Message-ID: {message_id}\r\nByte-Range: {byte_range}\r\n-------{identity}$\r\n').encode('utf-8', 'replace')


def make_report(chunk: MSRPData, code: int, comment: str | None = None) -> MSRPData | None:
    """The REPORT about the bytes of one chunk, None if it is not wanted.

    Raises:
        ChunkParseError: the chunk has no paths or no Message-ID.
        HeaderParsingError: its Byte-Range is malformed.
    """
    if not wants_report(chunk, code):
        return None
    to_path, from_path = _paths(chunk)
    if not chunk.message_id:
        raise ChunkParseError(f'{chunk.first_line}: no Message-ID')
    declared = chunk.byte_range or ByteRange()
    comment = status_comment(code) if comment is None else one_line(comment)
    return MSRPData.parsed(new_transaction_id(), 'REPORT', None, None, {
        'To-Path': from_path, 'From-Path': _first(to_path), 'Status': f'000 {code:03}{" " if comment else ""}{comment}', 'Message-ID': chunk.message_id,
        'Byte-Range': str(ByteRange(declared.start, declared.start + len(chunk.data) - 1, declared.total))})


def encode_request(method: str, to_path: str, from_path: str, headers: Iterable[MSRPHeader] = (), transaction_id: str | None = None) -> tuple[str, bytes]:
    """A request without a body: (transaction id, bytes)."""
    identity = transaction_id or new_transaction_id()
    lines = header_lines(headers)
    return identity, f'MSRP {identity} {method}\r\nTo-Path: {to_path}\r\nFrom-Path: {from_path}\r\n{lines}-------{identity}{COMPLETE}\r\n'.encode()
