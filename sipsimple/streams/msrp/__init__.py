"""Streams over MSRP: their base, and chat."""

from sipsimple.streams.msrp.base import MSRPStreamBase, MSRPStreamError
from sipsimple.streams.msrp.chat import ChatStream, ChatStreamError

__all__ = ['ChatStream', 'ChatStreamError', 'MSRPStreamBase', 'MSRPStreamError']
