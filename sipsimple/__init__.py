"""SIP client SDK: calls, chat, files, desktops, presence and address books over SIP."""

from sipsimple.__info__ import __version__

__all__ = ['__version__']
