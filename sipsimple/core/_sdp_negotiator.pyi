from typing import Self

from sipsimple.core.sdp import FrozenSDPSession, SDPSession

class SDPNegotiator:
    """Offer and answer without a dialog: what the two sides agree on. Made by `create_with_local_offer` or `create_with_remote_offer`.

    An offer is followed by an answer of the other side, and that by `negotiate()`; then either side may offer anew. Descriptions are SDPSession or
    FrozenSDPSession objects; methods copy them.

    Raises:
        PJSIPError: a method that is out of turn, a description that cannot be used.
        RuntimeError: the object was made by its class.
    Thread: any; the Engine need not run. The GIL is held: nothing here waits.
    """
    @classmethod
    def create_with_local_offer(cls, sdp: SDPSession | FrozenSDPSession) -> Self:
        """Begin with an offer of ours."""
    @classmethod
    def create_with_remote_offer(cls, sdp: SDPSession | FrozenSDPSession) -> Self:
        """Begin with an offer of the peer."""
    @property
    def state(self) -> str:
        """'STATE_LOCAL_OFFER', 'STATE_REMOTE_OFFER', 'STATE_WAIT_NEGO' or 'STATE_DONE', as PJMEDIA says it."""
    @property
    def active_local(self) -> FrozenSDPSession | None:
        """Our description (a FrozenSDPSession) as negotiated last; None before."""
    @property
    def active_remote(self) -> FrozenSDPSession | None:
        """The peer's description (a FrozenSDPSession) as negotiated last; None before."""
    @property
    def current_local(self) -> FrozenSDPSession | None:
        """Our offer or answer (a FrozenSDPSession) that is not negotiated yet; None without one."""
    @property
    def current_remote(self) -> FrozenSDPSession | None:
        """The peer's offer or answer (a FrozenSDPSession) that is not negotiated yet; None without one."""
    def set_local_offer(self, sdp: SDPSession | FrozenSDPSession) -> None:
        """Offer anew; after a negotiation that succeeded."""
    def set_local_answer(self, sdp: SDPSession | FrozenSDPSession) -> None:
        """Answer the peer's offer."""
    def set_remote_offer(self, sdp: SDPSession | FrozenSDPSession) -> None:
        """Take a new offer of the peer."""
    def set_remote_answer(self, sdp: SDPSession | FrozenSDPSession) -> None:
        """Take the peer's answer to our offer."""
    def cancel_offer(self) -> None:
        """Forget the offer that waits for its answer; what was active stays so."""
    def negotiate(self) -> None:
        """Bring offer and answer together. A failure leaves what was active, and the state is STATE_DONE too."""
