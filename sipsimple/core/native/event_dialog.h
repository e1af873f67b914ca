/*
 * Dialogs of SUBSCRIBE and REFER (RFC 6665, 3515): which requests belong to them, and the answers to these.
 *
 * PJSIP's own event subscriptions are not used: they wedge or assert on messages that peers do send (2xx without Contact, NOTIFY without
 * Event, a forked SUBSCRIBE), and their state cannot be had from outside. The protocol is in Python, in event_dialog.py and what is built
 * on it; requests go out through request.c. What Python does not know any more is answered here: 481.
 */
#ifndef SS_EVENT_DIALOG_H
#define SS_EVENT_DIALOG_H

#include "engine.h"

pj_status_t ss_event_dialog_init(pjsip_endpoint *endpoint);
/* Event packages whose SUBSCRIBEs are handed to Python; a space separated list. */
void ss_event_dialog_set_packages(const char *packages);
/* They, as the value of Allow-Events, in the pool; empty when there is none. */
pj_str_t ss_event_dialog_packages(pj_pool_t *pool);
/* A dialog that we begin: requests with this Call-ID and To tag are handed to Python from now on. 0 when out of memory. */
ss_handle ss_event_dialog_new(ss_type type, pj_str_t call_id, pj_str_t local_tag);
/* Answer the request of that number; SS_EV_DIALOG_ANSWERED follows. 500 instead of `code` when the fields are no headers. */
pj_status_t ss_event_dialog_answer(ss_handle handle, ss_type type, unsigned number, int code, const ss_field *fields, unsigned count);
/* Post SS_EV_DIALOG_CALL. */
void ss_event_dialog_call(ss_handle handle);

#endif
