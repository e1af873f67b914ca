# cython: language_level=3
"""INVITE dialogs: thin calls into native/invitation.c."""

from sipsimple.core._check cimport as_pj, check, no_handle
from sipsimple.core._core cimport pj_status_t, pj_str_t, ss_ensure_thread, ss_handle
from sipsimple.core._fields cimport Fields, set_credentials, to_bytes
from sipsimple.core._handles cimport Handle
from sipsimple.core._sip cimport (
    SS_INV_DISCONNECTING, SS_INV_LOCAL, SS_INV_MISSING_ACK, SS_INV_REQUEST, ss_inv_abort, ss_inv_ack,
    ss_inv_answer, ss_inv_cancel_reinvite, ss_inv_create, ss_inv_dialog_id, ss_inv_end, ss_inv_invite, ss_inv_message,
    ss_inv_reinvite, ss_inv_set_session_timer, ss_inv_transfer, ss_inv_transfer_end,
    ss_inv_transfer_notify, ss_inv_update, ss_invite_params)

FLAG_REQUEST = SS_INV_REQUEST
FLAG_LOCAL = SS_INV_LOCAL
FLAG_MISSING_ACK = SS_INV_MISSING_ACK
STATE_DISCONNECTING = SS_INV_DISCONNECTING


cdef bytes _text(object sdp):
    return b'' if sdp is None else str(sdp).encode()


def set_session_timer(unsigned int expires=1800, unsigned int minimum=90):
    """Session interval to ask for and the smallest one to agree to, in seconds (RFC 4028). For tests."""
    ss_inv_set_session_timer(expires, minimum)


def create():
    """A Handle to bind before invite(); events may come as soon as that is called."""
    cdef ss_handle number
    with nogil:
        ss_ensure_thread()
        number = ss_inv_create()
    if not number:
        no_handle()
    return Handle(number)


def invite(Handle handle, target, from_, to, from_params, to_params, contact, route, sdp, headers, credentials):
    """Send an INVITE. Raises PJSIPError; nothing follows then."""
    cdef ss_invite_params params
    cdef ss_handle number = handle.number
    cdef pj_status_t status
    cdef Fields fields = Fields(headers)
    cdef bytes c_target = to_bytes(target), c_from = to_bytes(from_), c_to = to_bytes(to)
    cdef bytes c_contact = to_bytes(contact), c_route = to_bytes(route), c_sdp = _text(sdp)
    cdef bytes c_from_params = to_bytes(from_params), c_to_params = to_bytes(to_params)
    cdef list keep = []
    params.target = as_pj(c_target)
    params.from_ = as_pj(c_from)
    params.to = as_pj(c_to)
    params.from_params = as_pj(c_from_params)
    params.to_params = as_pj(c_to_params)
    params.contact = as_pj(c_contact)
    params.route = as_pj(c_route)
    params.sdp = as_pj(c_sdp)
    params.fields = fields.fields
    params.field_count = fields.count
    set_credentials(&params.credentials, credentials, keep)
    with nogil:
        ss_ensure_thread()
        status = ss_inv_invite(number, &params)
    check(status, 'send the INVITE')


def answer(Handle handle, int code, reason, contact, sdp, headers):
    """Answer the INVITE or re-INVITE that waits. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef Fields fields = Fields(headers)
    cdef bytes c_reason = to_bytes(reason), c_contact = to_bytes(contact), c_sdp = _text(sdp)
    cdef pj_str_t v_reason = as_pj(c_reason), v_contact = as_pj(c_contact), v_sdp = as_pj(c_sdp)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_answer(number, code, v_reason, v_contact, v_sdp, fields.fields, fields.count)
    check(status, f'answer with {code}')


def offer(Handle handle, bint update, contact, sdp, headers):
    """Send a re-INVITE, or an UPDATE. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef Fields fields = Fields(headers)
    cdef bytes c_contact = to_bytes(contact), c_sdp = _text(sdp)
    cdef pj_str_t v_contact = as_pj(c_contact), v_sdp = as_pj(c_sdp)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        if update:
            status = ss_inv_update(number, v_contact, v_sdp, fields.fields, fields.count)
        else:
            status = ss_inv_reinvite(number, v_contact, v_sdp, fields.fields, fields.count)
    check(status, 'send the UPDATE' if update else 'send the re-INVITE')


def ack(Handle handle, sdp, headers):
    """Send the ACK to a 2xx that brought an offer, with the answer. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef Fields fields = Fields(headers)
    cdef bytes c_sdp = _text(sdp)
    cdef pj_str_t v_sdp = as_pj(c_sdp)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_ack(number, v_sdp, fields.fields, fields.count)
    check(status, 'send the ACK')


def cancel_reinvite(Handle handle):
    """CANCEL our re-INVITE. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_cancel_reinvite(number)
    check(status, 'cancel the re-INVITE')


def end(Handle handle, int code, headers):
    """CANCEL or BYE, as the state asks; a final answer `code` for an unanswered incoming one. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef Fields fields = Fields(headers)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_end(number, code, fields.fields, fields.count)
    check(status, 'end the session')


def abort(Handle handle, int code, str reason):
    """Report `disconnected` with this code now; the dialog ends on its own."""
    cdef ss_handle number = handle.number
    cdef bytes text = reason.encode()
    cdef const char *c_reason = text
    with nogil:
        ss_ensure_thread()
        ss_inv_abort(number, code, c_reason)


def message(Handle handle, content_type, bytes content, headers):
    """Send a MESSAGE in the dialog. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef Fields fields = Fields(headers)
    cdef bytes c_type = to_bytes(content_type)
    cdef pj_str_t v_type = as_pj(c_type), v_content = as_pj(content)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_message(number, v_type, v_content, fields.fields, fields.count)
    check(status, 'send the MESSAGE')


def dialog_id(Handle handle):
    """(call_id, local_tag, remote_tag), or None when the dialog is gone."""
    cdef ss_handle number = handle.number
    cdef char call_id[256]
    cdef char local_tag[256]
    cdef char remote_tag[256]
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_dialog_id(number, call_id, local_tag, remote_tag, 256)
    if status != 0:
        return None
    return tuple([(<bytes>part).decode('utf-8', 'replace') for part in (call_id, local_tag, remote_tag)])


def transfer(Handle handle, refer_to, headers):
    """Send a REFER in the dialog. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef Fields fields = Fields(headers)
    cdef bytes c_target = to_bytes(refer_to)
    cdef pj_str_t v_target = as_pj(c_target)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_transfer(number, v_target, fields.fields, fields.count)
    check(status, 'send the REFER')


def transfer_end(Handle handle):
    """Forget the transfer under way; harmless without one."""
    cdef ss_handle number = handle.number
    with nogil:
        ss_ensure_thread()
        ss_inv_transfer_end(number)


def transfer_notify(Handle handle, int code, reason):
    """Tell the peer how the transfer it asked for goes. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef bytes c_reason = to_bytes(reason)
    cdef pj_str_t v_reason = as_pj(c_reason)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_inv_transfer_notify(number, code, v_reason)
    check(status, 'notify the transfer')
