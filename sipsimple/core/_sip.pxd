# C declarations of native/engine.h and native/invitation.h. No logic.
from libc.stdint cimport uint64_t

from sipsimple.core._core cimport pj_status_t, pj_str_t, ss_handle

cdef extern from "native/engine.h" nogil:
    ctypedef struct ss_tls_options:
        const char *ca_file
        const char *cert_file
        const char *privkey_file
        int verify_server
        unsigned timeout_ms

    void *ss_endpoint()
    pj_status_t ss_engine_start(const char **failed_step)
    void ss_engine_stop()
    void ss_engine_set_sip_timers(unsigned t1, unsigned t2, unsigned t4, unsigned td)
    pj_status_t ss_engine_set_nameservers(const char *const *addresses, unsigned count)
    pj_status_t ss_udp_start(const char *host, unsigned port, int ipv6, unsigned *bound)
    pj_status_t ss_tcp_start(const char *host, unsigned port, int ipv6, unsigned *bound)
    pj_status_t ss_tls_start(const char *host, unsigned port, int ipv6, const ss_tls_options *options, unsigned *bound)
    void ss_udp_publish()
    unsigned ss_connections_close(int every)
    void ss_udp_stop()
    void ss_tcp_stop()
    void ss_tls_stop()
    void ss_ua_set_user_agent(const char *text)
    void ss_ua_set_loop_detection(int on)
    void ss_ua_set_incoming_requests(const char *methods)
    void ss_trace_enable(int on)
    void ss_log_start(int level)
    void ss_log_set_level(int level)
    pj_status_t ss_timer_start(uint64_t id, unsigned milliseconds)
    void ss_timer_cancel(uint64_t id)
    pj_status_t ss_detect_nat_type(const char *address, unsigned port, uint64_t id)

    ctypedef struct ss_field:
        pj_str_t name
        pj_str_t body

    ctypedef struct ss_credentials:
        pj_str_t username
        pj_str_t password
        pj_str_t realm
        int is_digest

    ctypedef struct ss_request_params:
        pj_str_t method, target, to, from_params, to_params, contact, call_id, route, content_type, body
        pj_str_t from_ "from"
        int cseq
        const ss_field *fields
        unsigned field_count
        ss_credentials credentials
        unsigned timeout_ms
        pj_str_t from_tag, to_tag
        int report_sent

    ss_handle ss_request_new()
    pj_status_t ss_request_send(ss_handle handle, const ss_request_params *params)
    void ss_request_cancel(ss_handle handle)
    ss_handle ss_flow_new(ss_handle registration, unsigned least_ms, unsigned most_ms, unsigned limit_ms)
    pj_status_t ss_incoming_request_answer(ss_handle handle, int code, pj_str_t reason, const ss_field *fields, unsigned count)

cdef extern from "native/event_dialog.h" nogil:
    ctypedef int ss_type
    ss_type SS_T_SUBSCRIPTION, SS_T_INCOMING_SUBSCRIPTION, SS_T_REFERRAL, SS_T_INCOMING_REFERRAL

    void ss_event_dialog_set_packages(const char *packages)
    ss_handle ss_event_dialog_new(ss_type type, pj_str_t call_id, pj_str_t local_tag)
    pj_status_t ss_event_dialog_answer(ss_handle handle, ss_type type, unsigned number, int code, const ss_field *fields, unsigned count)
    void ss_event_dialog_call(ss_handle handle)

cdef extern from "native/invitation.h" nogil:
    ctypedef struct ss_invite_params:
        pj_str_t target, to, from_params, to_params, contact, route, sdp
        pj_str_t from_ "from"
        const ss_field *fields
        unsigned field_count
        ss_credentials credentials

    int SS_INV_REQUEST
    int SS_INV_LOCAL
    int SS_INV_MISSING_ACK
    int SS_INV_DISCONNECTING

    void ss_inv_set_session_timer(unsigned expires, unsigned minimum)
    ss_handle ss_inv_create()
    pj_status_t ss_inv_invite(ss_handle handle, const ss_invite_params *params)
    pj_status_t ss_inv_answer(ss_handle handle, int code, pj_str_t reason, pj_str_t contact, pj_str_t sdp,
                              const ss_field *fields, unsigned count)
    pj_status_t ss_inv_reinvite(ss_handle handle, pj_str_t contact, pj_str_t sdp, const ss_field *fields, unsigned count)
    pj_status_t ss_inv_update(ss_handle handle, pj_str_t contact, pj_str_t sdp, const ss_field *fields, unsigned count)
    pj_status_t ss_inv_cancel_reinvite(ss_handle handle)
    pj_status_t ss_inv_ack(ss_handle handle, pj_str_t sdp, const ss_field *fields, unsigned count)
    pj_status_t ss_inv_end(ss_handle handle, int code, const ss_field *fields, unsigned count)
    void ss_inv_abort(ss_handle handle, int code, const char *reason)
    pj_status_t ss_inv_message(ss_handle handle, pj_str_t content_type, pj_str_t content, const ss_field *fields, unsigned count)
    pj_status_t ss_inv_dialog_id(ss_handle handle, char *call_id, char *local_tag, char *remote_tag, size_t size)
    pj_status_t ss_inv_transfer(ss_handle handle, pj_str_t refer_to, const ss_field *fields, unsigned count)
    void ss_inv_transfer_end(ss_handle handle)
    pj_status_t ss_inv_transfer_notify(ss_handle handle, int code, pj_str_t reason)
