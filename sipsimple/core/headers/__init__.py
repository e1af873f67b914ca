"""SIP header fields as values: a mutable XHeader and a FrozenXHeader for each, grown from one field list.

`parse(body)` reads the field value text, `.body` prints it. Unknown fields are plain Header/FrozenHeader.
"""

from sipsimple.core.headers import address, general
from sipsimple.core.headers.address import *  # noqa: F403
from sipsimple.core.headers.base import BaseHeader, FrozenHeader, Header
from sipsimple.core.headers.general import *  # noqa: F403

__all__ = ['BaseHeader', 'Header', 'FrozenHeader']
__all__ += address.__all__
__all__ += general.__all__
