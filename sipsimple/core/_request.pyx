# cython: language_level=3
"""Requests outside dialogs: thin calls into native/request.c."""

from sipsimple.core._check cimport as_pj, check, no_handle
from sipsimple.core._core cimport pj_status_t, pj_str_t, ss_ensure_thread, ss_handle
from sipsimple.core._fields cimport Fields, set_credentials, to_bytes
from sipsimple.core._handles cimport Handle
from sipsimple.core._sip cimport (
    ss_flow_new, ss_incoming_request_answer, ss_request_cancel, ss_request_new, ss_request_params, ss_request_send)


def create():
    """A Handle to bind before send(); events may come as soon as that is called."""
    cdef ss_handle number
    with nogil:
        ss_ensure_thread()
        number = ss_request_new()
    if not number:
        no_handle()
    return Handle(number)


def send(Handle handle, method, target, from_, to, from_params, to_params, contact, call_id, int cseq, route, headers, content_type, body, credentials,
         unsigned int timeout_ms, from_tag=None, to_tag=None, bint report_sent=False):
    """Send a request by a new client transaction; the tags are those of a dialog. Raises PJSIPError; nothing follows then."""
    cdef ss_request_params params
    cdef ss_handle number = handle.number
    cdef pj_status_t status
    cdef Fields fields = Fields(headers)
    cdef bytes c_method = to_bytes(method), c_target = to_bytes(target), c_from = to_bytes(from_), c_to = to_bytes(to)
    cdef bytes c_contact = to_bytes(contact), c_call_id = to_bytes(call_id), c_route = to_bytes(route)
    cdef bytes c_from_params = to_bytes(from_params), c_to_params = to_bytes(to_params)
    cdef bytes c_type = to_bytes(content_type), c_body = body or b''
    cdef bytes c_from_tag = to_bytes(from_tag), c_to_tag = to_bytes(to_tag)
    cdef list keep = []
    params.method = as_pj(c_method)
    params.target = as_pj(c_target)
    params.from_ = as_pj(c_from)
    params.to = as_pj(c_to)
    params.from_params = as_pj(c_from_params)
    params.to_params = as_pj(c_to_params)
    params.contact = as_pj(c_contact)
    params.call_id = as_pj(c_call_id)
    params.route = as_pj(c_route)
    params.content_type = as_pj(c_type)
    params.body = as_pj(c_body)
    params.cseq = cseq
    params.fields = fields.fields
    params.field_count = fields.count
    params.timeout_ms = timeout_ms
    params.from_tag = as_pj(c_from_tag)
    params.to_tag = as_pj(c_to_tag)
    params.report_sent = report_sent
    set_credentials(&params.credentials, credentials, keep)
    with nogil:
        ss_ensure_thread()
        status = ss_request_send(number, &params)
    check(status, 'send the request')


def cancel(Handle handle):
    """Stop waiting: a final 408 is reported."""
    cdef ss_handle number = handle.number
    with nogil:
        ss_ensure_thread()
        ss_request_cancel(number)


def keep_alive(Handle handle, unsigned int least_ms, unsigned int most_ms, unsigned int limit_ms):
    """Ping by the way that the 2xx of a request has come, and watch for the answers; a Handle of that."""
    cdef ss_handle number = handle.number
    with nogil:
        ss_ensure_thread()
        number = ss_flow_new(number, least_ms, most_ms, limit_ms)
    if not number:
        no_handle()
    return Handle(number)


def answer(Handle handle, int code, reason, headers):
    """Answer an incoming request. Raises PJSIPError."""
    cdef ss_handle number = handle.number
    cdef Fields fields = Fields(headers)
    cdef bytes c_reason = to_bytes(reason)
    cdef pj_str_t text = as_pj(c_reason)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_incoming_request_answer(number, code, text, fields.fields, fields.count)
    check(status, 'answer the request')
