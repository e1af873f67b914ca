# cython: language_level=3
"""Offer and answer by themselves (RFC 3264), without a dialog."""

from libc.stdlib cimport free

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread

from sipsimple.core.sdp import FrozenSDPSession

cdef extern from "native/negotiator.h" nogil:
    ctypedef struct ss_negotiator:
        pass

    enum:
        SS_NEG_LOCAL_OFFER, SS_NEG_LOCAL_ANSWER, SS_NEG_REMOTE_OFFER, SS_NEG_REMOTE_ANSWER
        SS_NEG_ACTIVE_LOCAL, SS_NEG_ACTIVE_REMOTE, SS_NEG_CURRENT_LOCAL, SS_NEG_CURRENT_REMOTE

    pj_status_t ss_negotiator_create(int input, const char *text, size_t length, ss_negotiator **negotiator)
    void ss_negotiator_destroy(ss_negotiator *negotiator)
    pj_status_t ss_negotiator_set(ss_negotiator *negotiator, int input, const char *text, size_t length)
    pj_status_t ss_negotiator_cancel_offer(ss_negotiator *negotiator)
    pj_status_t ss_negotiator_negotiate(ss_negotiator *negotiator)
    const char *ss_negotiator_state(ss_negotiator *negotiator)
    pj_status_t ss_negotiator_get(ss_negotiator *negotiator, int which, char **text, size_t *length)


cdef class SDPNegotiator:
    """Offer and answer without a dialog: what the two sides agree on. Made by `create_with_local_offer` or `create_with_remote_offer`.

    An offer is followed by an answer of the other side, and that by `negotiate()`; then either side may offer anew. Descriptions are SDPSession or
    FrozenSDPSession objects; methods copy them.

    Raises:
        PJSIPError: a method that is out of turn, a description that cannot be used.
        RuntimeError: the object was made by its class.
    Thread: any; the Engine need not run. The GIL is held: nothing here waits.
    """

    cdef ss_negotiator *native

    def __dealloc__(self):
        if self.native is not NULL:
            ss_ensure_thread()
            ss_negotiator_destroy(self.native)

    @classmethod
    def create_with_local_offer(cls, sdp):
        """Begin with an offer of ours."""
        return _create(cls, SS_NEG_LOCAL_OFFER, sdp)

    @classmethod
    def create_with_remote_offer(cls, sdp):
        """Begin with an offer of the peer."""
        return _create(cls, SS_NEG_REMOTE_OFFER, sdp)

    cdef ss_negotiator *alive(self) except NULL:
        if self.native is NULL:
            raise RuntimeError('an SDPNegotiator is made by create_with_local_offer() or create_with_remote_offer()')
        ss_ensure_thread()
        return self.native

    cdef int _set(self, int number, sdp, str what) except -1:
        cdef bytes text = str(sdp).encode()
        return check(ss_negotiator_set(self.alive(), number, text, len(text)), what)

    def set_local_offer(self, sdp):
        """Offer anew; after a negotiation that succeeded."""
        self._set(SS_NEG_LOCAL_OFFER, sdp, 'set the local offer')

    def set_local_answer(self, sdp):
        """Answer the peer's offer."""
        self._set(SS_NEG_LOCAL_ANSWER, sdp, 'set the local answer')

    def set_remote_offer(self, sdp):
        """Take a new offer of the peer."""
        self._set(SS_NEG_REMOTE_OFFER, sdp, 'set the remote offer')

    def set_remote_answer(self, sdp):
        """Take the peer's answer to our offer."""
        self._set(SS_NEG_REMOTE_ANSWER, sdp, 'set the remote answer')

    def cancel_offer(self):
        """Forget the offer that waits for its answer; what was active stays so."""
        check(ss_negotiator_cancel_offer(self.alive()), 'cancel the offer')

    def negotiate(self):
        """Bring offer and answer together. A failure leaves what was active, and the state is STATE_DONE too."""
        check(ss_negotiator_negotiate(self.alive()), 'negotiate')

    @property
    def state(self):
        """'STATE_LOCAL_OFFER', 'STATE_REMOTE_OFFER', 'STATE_WAIT_NEGO' or 'STATE_DONE', as PJMEDIA says it."""
        return (<bytes>ss_negotiator_state(self.alive())).decode()

    cdef object _get(self, int which):
        cdef char *text = NULL
        cdef size_t length = 0
        check(ss_negotiator_get(self.alive(), which, &text, &length), 'read the session description')
        if text is NULL:
            return None
        try:
            return FrozenSDPSession.parse(text[:length])
        finally:
            free(text)

    @property
    def active_local(self):
        """Our description (a FrozenSDPSession) as negotiated last; None before."""
        return self._get(SS_NEG_ACTIVE_LOCAL)

    @property
    def active_remote(self):
        """The peer's description (a FrozenSDPSession) as negotiated last; None before."""
        return self._get(SS_NEG_ACTIVE_REMOTE)

    @property
    def current_local(self):
        """Our offer or answer (a FrozenSDPSession) that is not negotiated yet; None without one."""
        return self._get(SS_NEG_CURRENT_LOCAL)

    @property
    def current_remote(self):
        """The peer's offer or answer (a FrozenSDPSession) that is not negotiated yet; None without one."""
        return self._get(SS_NEG_CURRENT_REMOTE)


cdef object _create(cls, int number, sdp):
    cdef SDPNegotiator self = cls.__new__(cls)
    cdef bytes text = str(sdp).encode()
    check(ss_negotiator_create(number, text, len(text), &self.native), 'begin the negotiation')
    return self
