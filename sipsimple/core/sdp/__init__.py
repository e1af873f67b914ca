"""SDP as values (RFC 8866): mutable and frozen sessions, streams, connections, attributes, bandwidth; parser and printer.

What offer/answer does not need (i=, u=, e=, p=, k=, z=, r=, further t= lines) is read over. The limits are those PJSIP is
built with; more than that raises SIPCoreError instead of being cut.
"""

from sipsimple.core.sdp import lines, session
from sipsimple.core.sdp.lines import *  # noqa: F403
from sipsimple.core.sdp.session import *  # noqa: F403

__all__: list[str] = []
__all__ += lines.__all__
__all__ += session.__all__
