"""Streams over MSRP: their base, chat, and desktop sharing with its handlers."""

from sipsimple.streams.msrp.base import MSRPStreamBase, MSRPStreamError
from sipsimple.streams.msrp.chat import ChatStream, ChatStreamError
from sipsimple.streams.msrp.desktopsharing import DesktopSharingStream
from sipsimple.streams.msrp.vnc import (
    DesktopSharingError,
    ExternalVNCServerHandler,
    ExternalVNCViewerHandler,
    IDesktopSharingHandler,
    InternalVNCServerHandler,
    InternalVNCViewerHandler,
)

__all__ = ['ChatStream', 'ChatStreamError', 'DesktopSharingError', 'DesktopSharingStream', 'ExternalVNCServerHandler', 'ExternalVNCViewerHandler',
           'IDesktopSharingHandler', 'InternalVNCServerHandler', 'InternalVNCViewerHandler', 'MSRPStreamBase', 'MSRPStreamError']
