/* One INVITE dialog. */
#ifndef SS_INVITATION_H
#define SS_INVITATION_H

#include <pjsip.h>
#include <pjsip_ua.h>

#include "engine.h"

typedef struct ss_inv {
    ss_object base;
    pj_pool_t *pool;
    pj_mutex_t *lock;                   /* the pointers below; never held across a PJSIP call */
    pjsip_inv_session *inv;             /* with a reference; NULL once disconnected or killed */
    pj_grp_lock_t *dialog_lock;         /* with a reference, for as long as `inv` */
    const pjsip_transaction *initial;   /* compared only: the transaction that made the dialog */
    pjsip_evsub *transfer;              /* the call transfer under way, inside the dialog's lock */
    int transfer_incoming, transfer_told;
    int transfer_silent;                /* an incoming one without subscription */
    int ack_waits;                      /* the 2xx brought an offer; the ACK is sent with Python's answer */
    int ack_cseq;                       /* of that INVITE */
    int update_waits;                   /* our UPDATE with an offer: 1 no answer yet, 2 the description was dealt with */
    const pjsip_transaction *update;    /* compared only: the transaction of it, the last one if it was tried again */
    int reinvite_sent;                  /* our own is under way */
    pjsip_tx_data *reinvite;            /* our own, kept until the ACK for our answer to the peer's is here */
    int reinvite_offered;               /* the peer's re-INVITE brought an offer */
    pj_int32_t reliable_cseq;           /* of the INVITE that had reliable provisional responses, 0 = none yet */
    int reinvite_waits;                 /* answered with an offer of ours: over only with the ACK; 2: the ACK's answer was seen */
    int reinvite_cseq;                  /* of the one that waits */
    int ack_missing;                    /* why we hang up */
    int ending;                         /* `disconnecting` was posted: whatever PJSIP says, the session is on its way out */
    unsigned char given[PJMEDIA_MAX_SDP_MEDIA];     /* directions of the description that Python gave last */
    unsigned char wanted[PJMEDIA_MAX_SDP_MEDIA];    /* the same of the one in use, before it was narrowed to the peer's */
    int agreed;                         /* there are active descriptions; PJMEDIA asserts it when asked for them */
    int sdp_failed;                     /* the initial offer and answer do not fit: ended as soon as the ACK is done */
    ss_event *held;                     /* a state change that must follow the SDP update of the same message */
} ss_inv;

/* Remember the directions that Python wants. */
void ss_inv_keep_directions(ss_inv *self, const pjmedia_sdp_session *sdp);
/* Give a description the directions that Python wanted for the one in use. */
void ss_inv_want_directions(const ss_inv *self, pj_pool_t *pool, pjmedia_sdp_session *sdp);

/* whose doing an event is */
#define SS_INV_BY_US 1
#define SS_INV_BY_PEER 2

#define SS_INV_SDP_SIZE 16384           /* longest session description that is passed on */

/* flags of SS_EV_INV_STATE */
#define SS_INV_REQUEST 1                /* the message that caused the change is a request */
#define SS_INV_LOCAL 2                  /* ... and we sent it */
#define SS_INV_MISSING_ACK 4            /* `disconnecting`: nobody acknowledged our 2xx */

/* states of SS_EV_INV_STATE beyond pjsip_inv_state */
#define SS_INV_DISCONNECTING 100

typedef struct ss_invite_params {
    pj_str_t target, from, to, from_params, to_params, contact, route, sdp;
    const ss_field *fields;
    unsigned field_count;
    ss_credentials credentials;
} ss_invite_params;

/* Session interval that is asked for and the smallest one agreed to, in seconds (RFC 4028); for tests that cannot wait 90 s. */
void ss_inv_set_session_timer(unsigned expires, unsigned minimum);
/* Made first, so that Python knows the handle before the first event about it can come; 0 when out of memory. */
ss_handle ss_inv_create(void);
pj_status_t ss_inv_invite(ss_handle handle, const ss_invite_params *params);
pj_status_t ss_inv_answer(ss_handle handle, int code, pj_str_t reason, pj_str_t contact, pj_str_t sdp,
                          const ss_field *fields, unsigned count);
pj_status_t ss_inv_reinvite(ss_handle handle, pj_str_t contact, pj_str_t sdp, const ss_field *fields, unsigned count);
pj_status_t ss_inv_update(ss_handle handle, pj_str_t contact, pj_str_t sdp, const ss_field *fields, unsigned count);
pj_status_t ss_inv_cancel_reinvite(ss_handle handle);
/* The ACK to a 2xx that brought an offer, with the answer. */
pj_status_t ss_inv_ack(ss_handle handle, pj_str_t sdp, const ss_field *fields, unsigned count);
/* CANCEL, BYE or, for an unanswered incoming one, a final answer `code`. */
pj_status_t ss_inv_end(ss_handle handle, int code, const ss_field *fields, unsigned count);
/* Report `disconnected` with this code now and let the dialog end on its own. */
void ss_inv_abort(ss_handle handle, int code, const char *reason);
pj_status_t ss_inv_message(ss_handle handle, pj_str_t content_type, pj_str_t content, const ss_field *fields, unsigned count);
/* tags and Call-ID of the dialog, each copied to a buffer of `size`. */
pj_status_t ss_inv_dialog_id(ss_handle handle, char *call_id, char *local_tag, char *remote_tag, size_t size);

pj_status_t ss_inv_transfer(ss_handle handle, pj_str_t refer_to, const ss_field *fields, unsigned count);
/* Forget the transfer under way; NOTIFYs about it are answered with 481 from now on. */
void ss_inv_transfer_end(ss_handle handle);
pj_status_t ss_inv_transfer_notify(ss_handle handle, int code, pj_str_t reason);

/* ---- between the files of the invitation --------------------------------------------------------------------- */

ss_inv *ss_inv_new(void);
pj_status_t ss_inv_start_session_timer(pjsip_inv_session *inv);
/* Tie object and session; the object then owns a reference of each. */
void ss_inv_attach(ss_inv *self, pjsip_inv_session *inv);
/* Object and session of a handle, the dialog locked; NULL when gone. Undo with ss_inv_unlock. */
ss_inv *ss_inv_lock(ss_handle handle, pjsip_inv_session **inv);
void ss_inv_unlock(ss_inv *self, pjsip_inv_session *inv);
/* Drop session and dialog lock references. */
void ss_inv_detach(ss_inv *self);
ss_handle ss_inv_handle(pjsip_inv_session *inv);
void ss_inv_post_sdp(ss_handle handle, pjsip_inv_session *inv, pj_status_t status);
void ss_inv_post_state(ss_handle handle, int state, int code, int originator, int flags, ss_blob raw,
                       const pj_str_t *reason, const pjsip_rx_data *rdata);
/* Post `disconnecting`, once. code and reason: why, when it is not the application that ends. */
void ss_inv_post_disconnecting(ss_inv *self, int code, const pj_str_t *reason);
/* Send a BYE soon, from the worker and outside PJSIP's callbacks, also when Python has given the object up. */
void ss_inv_hang_up(pjsip_inv_session *inv, int code, const char *reason);
/* Parse a description of Python's, if there is one. */
pj_status_t ss_inv_parse_sdp(ss_inv *self, pj_pool_t *pool, pj_str_t text, pjmedia_sdp_session **sdp);
/* The peer's re-INVITE is over: send the one of ours that was kept because of it. */
void ss_inv_reinvite_may_go(ss_inv *self, pjsip_inv_session *inv);
void ss_inv_drop_reinvite(ss_inv *self);
/* Make the negotiator ready for the next offer. */
void ss_inv_forget_offer(pjmedia_sdp_neg *negotiator);
ss_blob ss_inv_print_sdp(const pjmedia_sdp_session *sdp, char *buffer, size_t size);
void ss_inv_received_refer(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata);
void ss_inv_end_transfer(ss_inv *self);
void ss_inv_sent_refer(ss_inv *self, ss_blob raw);
void ss_invitation_events_init(pjsip_inv_callback *callbacks);
void ss_invitation_incoming_init(void);
extern pjsip_module ss_inv_ack_module;  /* dialog usage behind those of PJSIP: the ACK to a 2xx, and what nobody else takes */
extern pjsip_module ss_inv_fork_module; /* dialog usage of the branches that answered too late */

#endif
