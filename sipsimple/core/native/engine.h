/* The SIP endpoint: its life, its transports, what it answers by itself. */
#ifndef SS_ENGINE_H
#define SS_ENGINE_H

#include <pjsip.h>

#include "core.h"

/* ---- endpoint.c: life ---------------------------------------------------------------------------------------- */

/* Endpoint, transaction layer, UA, INVITE usage and the worker. Transports are opened afterwards, one by one. */
pj_status_t ss_engine_start(const char **failed_step);
/* Closes every object, the transports, the worker and the endpoint. Posts nothing. */
void ss_engine_stop(void);
pjsip_endpoint *ss_endpoint(void);      /* NULL while the engine is off */
/* Timers of RFC 3261 table 4 in milliseconds: T1, T2, T4, and 64*T1 as timers B, D, F, H. For tests that cannot wait 32 s. */
void ss_engine_set_sip_timers(unsigned t1, unsigned t2, unsigned t4, unsigned td);
pj_status_t ss_engine_set_nameservers(const char *const *addresses, unsigned count);

/* ---- transports.c -------------------------------------------------------------------------------------------- */

typedef struct ss_tls_options {
    const char *ca_file, *cert_file, *privkey_file;
    int verify_server;
    unsigned timeout_ms;
} ss_tls_options;

/* host NULL = every address. port 0 = any. `ipv6` opens the twin on the same port as well, if the system has IPv6. */
pj_status_t ss_udp_start(const char *host, unsigned port, int ipv6, unsigned *bound);
pj_status_t ss_tcp_start(const char *host, unsigned port, int ipv6, unsigned *bound);
pj_status_t ss_tls_start(const char *host, unsigned port, int ipv6, const ss_tls_options *options, unsigned *bound);
void ss_udp_stop(void);
void ss_tcp_stop(void);
void ss_tls_stop(void);
/* Tell in Via and contacts the address that this host has now; not at the same time as the functions above. */
void ss_udp_publish(void);
void ss_transports_init(void);          /* state callback; called by ss_engine_start */
/* Close a connection whose other end is not there any more, and tell everybody. The caller has a reference. Worker only. */
void ss_connection_dead(pjsip_transport *transport);
/* Tell that what is sent by UDP to that address, or comes from there, is lost. */
void ss_datagrams_lost(const pj_sockaddr *remote, const char *reason);
void ss_transports_closed(void);        /* forget what the endpoint destroyed */

/* ---- network.c ------------------------------------------------------------------------------------------------ */

/* Fill in the address of this host when `address` has none: of the default route, of an interface, or loopback; 0 for this one. Asks no resolver. */
int ss_own_address(int family, pj_sockaddr *address);
/* Whether it is no name. Unlike pj_sockaddr_parse() and pj_sockaddr_init(), which have a name looked up, and wait for it. */
int ss_is_address(const pj_str_t *host);
/* From the callback that tells of the states of connections. */
void ss_connection_made(pjsip_transport *transport);
void ss_connection_ended(const pjsip_transport *transport);
void ss_connections_forget(void);
/* Close connections whose address this host does not have any more, or all of them; not those over loopback. Returns how many. */
unsigned ss_connections_close(int every);

/* tls_events.c. connection: the three blobs that events of connections begin with. */
void ss_post_tls(const pjsip_transport *transport, const pjsip_transport_state_info *info, const ss_blob *connection);

/* ---- ua.c ---------------------------------------------------------------------------------------------------- */

extern pjsip_module ss_ua_module;       /* transaction user of everything outside dialogs */
pj_status_t ss_ua_start(void);
void ss_ua_set_user_agent(const char *text);
void ss_ua_set_loop_detection(int on);
/* Methods handed to the application as IncomingRequest; `methods` is a space separated list. */
void ss_ua_set_incoming_requests(const char *methods);
/* Handler of an out-of-dialog request; runs in the worker, inside PJSIP's receive callback. */
typedef void ss_request_handler(pjsip_rx_data *rdata);
void ss_ua_set_handler(const char *method, ss_request_handler *handler);
/* Answer statelessly with the standard phrase. */
void ss_ua_respond(pjsip_rx_data *rdata, int code, const pjsip_hdr *headers);
/* Append what we can: methods; and with `all` body types, extensions and the event packages that can be subscribed to (RFC 3261 section 11.2). */
void ss_ua_add_capabilities(pj_pool_t *pool, pjsip_hdr *list, int all);

void ss_trace_enable(int on);
pj_status_t ss_trace_start(void);
void ss_log_start(int level);
void ss_log_set_level(int level);

/* ---- admission.c: is a request outside dialogs one that we can take? 0: it was answered ----------------------- */
pj_status_t ss_admission_start(void);   /* checks those inside dialogs */
int ss_admit(pjsip_rx_data *rdata, int detect_loops);
int ss_admit_invite(pjsip_rx_data *rdata);

/* ---- malformed.c: counts and refuses messages that are not whole ---------------------------------------------- */
pj_status_t ss_malformed_start(void);

/* ---- unparsed.c: answers requests that PJSIP's parser gives up on ----------------------------------------------- */
void ss_unparsed_answer(pjsip_rx_data *rdata, const char *text, size_t size);

/* ---- message.c: small helpers on messages -------------------------------------------------------------------- */

/* Header fields that come down from Python: name, body, name, body ... */
typedef struct ss_field {
    pj_str_t name, body;
} ss_field;
/* Append them to a message; values are copied to the pool. Typed headers PJSIP needs typed (Route, Require...) are parsed. */
pj_status_t ss_add_fields(pj_pool_t *pool, pjsip_msg *msg, const ss_field *fields, unsigned count);
pj_status_t ss_add_fields_to_list(pj_pool_t *pool, pjsip_hdr *list, const ss_field *fields, unsigned count);
/* True unless the message has a body that no header tells the type of. */
int ss_has_content_type(const pjsip_rx_data *rdata);
/* Bytes of a received message. */
ss_blob ss_raw(const pjsip_rx_data *rdata);
/* Bytes of a message that was sent; empty when it was not printed. */
ss_blob ss_raw_sent(const pjsip_tx_data *tdata);
/*
 * Append a Route header for the URI; none when it is empty. Its parameter `tls_name`, which is for us and not for the wire, is taken out into
 * `server_name` (empty without it): the name that the certificate of the next hop must carry, where PJSIP would take the host of the URI.
 */
/* Append `;name=value...` to a From or To header. */
pj_status_t ss_add_parameters(pj_pool_t *pool, pjsip_fromto_hdr *header, pj_str_t parameters);
pj_status_t ss_set_route(pj_pool_t *pool, pjsip_hdr *list, pj_str_t uri, pj_str_t *server_name);
pjsip_msg_body *ss_body(pj_pool_t *pool, pj_str_t content_type, pj_str_t content);

typedef struct ss_credentials {
    pj_str_t username, password, realm;     /* password: or the HA1 when is_digest */
    int is_digest;
} ss_credentials;
/* Give an authentication session the credentials; none when the username is empty. */
pj_status_t ss_set_credentials(pjsip_auth_clt_sess *session, const ss_credentials *credentials);

/* ---- timers.c: one-shot timers for the Python part, reported as SS_EV_TIMER ----------------------------------- */

#define SS_EV_TIMER 50                  /* id */
pj_status_t ss_timer_start(uint64_t id, unsigned milliseconds);
void ss_timer_cancel(uint64_t id);
void ss_timers_open(void);
void ss_timers_stop(void);

/* ---- nat.c ---------------------------------------------------------------------------------------------------- */
pj_status_t ss_detect_nat_type(const char *address, unsigned port, uint64_t id);
void ss_nat_stop(void);                 /* the worker has ended: give up what is under way, silently */

/* ---- request.c ------------------------------------------------------------------------------------------------ */

typedef struct ss_request_params {
    pj_str_t method, target, from, to, from_params, to_params, contact, call_id, route, content_type, body;
    int cseq;                           /* -1: random */
    const ss_field *fields;
    unsigned field_count;
    ss_credentials credentials;
    unsigned timeout_ms;                /* 0: none but the transaction's own */
    pj_str_t from_tag, to_tag;          /* in a dialog; else empty: From gets a new one */
    int report_sent;                    /* post SS_EV_REQUEST_SENT */
} ss_request_params;
/* Made first, so that Python knows the handle before the first event about it can come; 0 when out of memory. */
ss_handle ss_request_new(void);
/* Later: SS_EV_REQUEST_RESPONSE until a final one. When it fails nothing follows; close the handle. */
pj_status_t ss_request_send(ss_handle handle, const ss_request_params *params);
/* Give up waiting: a final 408 is reported. */
void ss_request_cancel(ss_handle handle);
/* Of a request that has left (or that the transport has at least taken): report it, if that was asked for. */
void ss_request_was_sent(pjsip_tx_data *tdata);
/* The way that a request with a 2xx has gone: its connection with a reference to it, NULL over UDP; and where to. 0: there was no 2xx. */
int ss_request_way(ss_handle handle, pjsip_transport **connection, pjsip_transport_type_e *type, pj_sockaddr *remote);
void ss_request_received(pjsip_rx_data *rdata);     /* an incoming request of ss_ua_set_incoming_requests */
pj_status_t ss_incoming_request_answer(ss_handle handle, int code, pj_str_t reason, const ss_field *fields, unsigned count);

/* ---- flow.c: the way of a registration, kept open and watched -------------------------------------------------------- */

/* Ping by the way of that request, which has a 2xx, until the handle is closed; 0: it has none, or out of memory. */
ss_handle ss_flow_new(ss_handle registration, unsigned least_ms, unsigned most_ms, unsigned limit_ms);
/* Worker only: a datagram that is no SIP. True: it is an answer of STUN. */
int ss_flow_heard(const void *data, size_t size, const pj_sockaddr *source);
void ss_flow_ponged(const pjsip_transport *transport);      /* worker only: the answer to a ping over a connection */

/* ---- invitation.c ---------------------------------------------------------------------------------------------- */
pj_status_t ss_invitation_init(pjsip_endpoint *endpoint);
/* The contact of a dialog that this request begins, in `buffer`; empty when it does not fit. */
pj_str_t ss_default_contact(pjsip_rx_data *rdata, char *buffer, size_t size);
pjsip_dialog *ss_inv_on_forked(pjsip_dialog *first, pjsip_rx_data *rdata);     /* for the user agent layer */

#endif
