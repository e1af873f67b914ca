"""Media streams: the interface sessions use, the registry of stream types, and the types the SDK brings.

The classes can be imported from here; their modules are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sipsimple.streams.interfaces import IMediaStream, InvalidStreamError, StreamError, UnknownStreamError
from sipsimple.streams.registry import MediaStreamRegistrar, MediaStreamRegistry

if TYPE_CHECKING:
    from sipsimple.streams.msrp.base import MSRPStreamBase as MSRPStreamBase
    from sipsimple.streams.msrp.chat import ChatStream as ChatStream
    from sipsimple.streams.msrp.desktopsharing import DesktopSharingStream as DesktopSharingStream
    from sipsimple.streams.msrp.fileselector import FileSelector as FileSelector
    from sipsimple.streams.msrp.filetransfer import FileTransferStream as FileTransferStream
    from sipsimple.streams.msrp.vnc import (
        ExternalVNCServerHandler as ExternalVNCServerHandler,
        ExternalVNCViewerHandler as ExternalVNCViewerHandler,
        IDesktopSharingHandler as IDesktopSharingHandler,
        InternalVNCServerHandler as InternalVNCServerHandler,
        InternalVNCViewerHandler as InternalVNCViewerHandler,
    )
    from sipsimple.streams.rtp.audio import AudioStream as AudioStream

__all__ = ['AudioStream', 'ChatStream', 'DesktopSharingStream', 'ExternalVNCServerHandler', 'ExternalVNCViewerHandler', 'FileSelector', 'FileTransferStream',
           'IDesktopSharingHandler', 'IMediaStream', 'InternalVNCServerHandler', 'InternalVNCViewerHandler', 'InvalidStreamError', 'MSRPStreamBase',
           'MediaStreamRegistrar', 'MediaStreamRegistry', 'StreamError', 'UnknownStreamError']

# Where each class is, and at the same time the modules that register the SDK's own types.
_MODULES = {
    'AudioStream': 'sipsimple.streams.rtp.audio',
    'MSRPStreamBase': 'sipsimple.streams.msrp',
    'ChatStream': 'sipsimple.streams.msrp',
    'DesktopSharingStream': 'sipsimple.streams.msrp',
    'ExternalVNCServerHandler': 'sipsimple.streams.msrp',
    'ExternalVNCViewerHandler': 'sipsimple.streams.msrp',
    'IDesktopSharingHandler': 'sipsimple.streams.msrp',
    'InternalVNCServerHandler': 'sipsimple.streams.msrp',
    'InternalVNCViewerHandler': 'sipsimple.streams.msrp',
    'FileSelector': 'sipsimple.streams.msrp',
    'FileTransferStream': 'sipsimple.streams.msrp',
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        try:
            return getattr(import_module(_MODULES[name]), name)
        except ModuleNotFoundError as error:
            if error.name != _MODULES[name]:
                raise
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _load_types() -> None:
    for module in dict.fromkeys(_MODULES.values()):
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            # A family of streams may be left out of an installation; something missing inside one is an error.
            if error.name != module:
                raise


MediaStreamRegistry.set_loader(_load_types)
