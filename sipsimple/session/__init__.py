"""SIP sessions.

`Session` is what applications use and `SessionManager` what runs beside it. The modules, each importing only those before it: `states` (the
transition table), `inputs` (events), `base` (state and engine of procedures), `streamset`, `description`, `ending`, the procedures `incoming`,
`outgoing`, `reinvite`, `hold` and `proposals`, `participants` and `focus` for conferences, then `session` and `manager`.
"""

from __future__ import annotations

from sipsimple.session.focus import ConferenceHandler
from sipsimple.session.manager import SessionManager
from sipsimple.session.session import Session
from sipsimple.session.states import IllegalDirectionError, IllegalStateError, SessionState
from sipsimple.session.transfer import TransferHandler, TransferInfo

__all__ = ['ConferenceHandler', 'IllegalDirectionError', 'IllegalStateError', 'Session', 'SessionManager', 'SessionState', 'TransferHandler', 'TransferInfo']
