"""Facts about this distribution, readable without importing anything else."""

__project__ = 'sipsimple'
__summary__ = 'SIP client SDK: calls, chat, files, desktops, presence and address books over SIP'
__version__ = '0.1.0'
__license__ = 'GPL-3.0-or-later'
