"""Streams over MSRP: their base, chat, files, and desktop sharing with its handlers."""

from sipsimple.streams.msrp.base import MSRPStreamBase, MSRPStreamError
from sipsimple.streams.msrp.chat import ChatStream, ChatStreamError
from sipsimple.streams.msrp.desktopsharing import DesktopSharingStream
from sipsimple.streams.msrp.fileselector import FileSelector
from sipsimple.streams.msrp.filetransfer import FileTransferStream
from sipsimple.streams.msrp.vnc import (
    DesktopSharingError,
    ExternalVNCServerHandler,
    ExternalVNCViewerHandler,
    IDesktopSharingHandler,
    InternalVNCServerHandler,
    InternalVNCViewerHandler,
)

__all__ = ['ChatStream', 'ChatStreamError', 'DesktopSharingError', 'DesktopSharingStream', 'ExternalVNCServerHandler', 'ExternalVNCViewerHandler',
           'FileSelector', 'FileTransferStream', 'IDesktopSharingHandler', 'InternalVNCServerHandler', 'InternalVNCViewerHandler', 'MSRPStreamBase',
           'MSRPStreamError']
