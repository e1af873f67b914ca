"""MSRP: the Message Session Relay Protocol (RFC 4975), through relays (RFC 4976), as a library of its own.

The protocol itself does no input or output: `parser` turns bytes into chunks, `framing` chunks into bytes, `chunking` messages into chunks, `reassembly`
chunks into messages, `transactions` remembers what waits for an answer, and `endpoint` puts them together for one session. It never reads a clock and
starts no timer: it is told the time, and says when it wants to be told again. Above that, `transport`, `session` and `connect` are a thin shell for Twisted.

    errors <- uri <- headers <- message <- parser, framing, reassembly, transactions <- chunking <- events <- endpoint <- transport <- session
    transport <- connector <- server, relay <- connect
"""

from msrplib.errors import MSRPError

__all__ = ['MSRPError']
