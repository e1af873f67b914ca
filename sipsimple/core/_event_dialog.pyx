# cython: language_level=3
"""Dialogs of SUBSCRIBE and REFER: thin calls into native/event_dialog.c."""

from sipsimple.core._check cimport as_pj, check, no_handle
from sipsimple.core._core cimport pj_status_t, pj_str_t, ss_ensure_thread, ss_handle
from sipsimple.core._fields cimport Fields, to_bytes
from sipsimple.core._handles cimport Handle
from sipsimple.core._sip cimport (
    SS_T_INCOMING_REFERRAL, SS_T_INCOMING_SUBSCRIPTION, SS_T_REFERRAL, SS_T_SUBSCRIPTION, ss_event_dialog_answer, ss_event_dialog_call,
    ss_event_dialog_new, ss_event_dialog_set_packages, ss_type)

cdef extern from "pjsip.h":
    ctypedef struct pjsip_tsx_config:
        unsigned td
    ctypedef struct pjsip_cfg_t:
        pjsip_tsx_config tsx
    pjsip_cfg_t *pjsip_cfg()

SUBSCRIPTION = SS_T_SUBSCRIPTION
INCOMING_SUBSCRIPTION = SS_T_INCOMING_SUBSCRIPTION
REFERRAL = SS_T_REFERRAL
INCOMING_REFERRAL = SS_T_INCOMING_REFERRAL


def set_packages(packages):
    """Event packages whose SUBSCRIBEs are handed to the application."""
    cdef bytes text = ' '.join(sorted(packages)).encode()
    cdef const char *c_text = text
    with nogil:
        ss_event_dialog_set_packages(c_text)


def create(int kind, call_id, local_tag):
    """A Handle of a dialog that we begin, to bind before anything is sent."""
    cdef bytes c_call_id = to_bytes(call_id), c_tag = to_bytes(local_tag)
    cdef pj_str_t v_call_id = as_pj(c_call_id), v_tag = as_pj(c_tag)
    cdef ss_handle number
    with nogil:
        ss_ensure_thread()
        number = ss_event_dialog_new(<ss_type>kind, v_call_id, v_tag)
    if not number:
        no_handle()
    return Handle(number)


def answer(Handle handle, int kind, unsigned int number, int code, headers):
    """Answer the request of that number. Raises PJSIPError: it is answered already, or with 500 because of a bad header."""
    cdef ss_handle dialog = handle.number
    cdef Fields fields = Fields(headers)
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_event_dialog_answer(dialog, <ss_type>kind, number, code, fields.fields, fields.count)
    check(status, f'answer with {code}')


def call(Handle handle):
    """Have DIALOG_CALL come in the order of events; no-op for a closed handle, for another thread may close it at any time."""
    cdef ss_handle number = handle.number
    if number:
        with nogil:
            ss_ensure_thread()
            ss_event_dialog_call(number)


def timer_n():
    """Seconds within which the first NOTIFY has to come (RFC 6665 section 4.1.2.4)."""
    return pjsip_cfg().tsx.td / 1000
