"""SIPApplication: starts and stops everything a SIP user agent needs."""

from sipsimple.application.application import SIPApplication

__all__ = ['SIPApplication']
