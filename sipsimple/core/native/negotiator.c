/* Offer and answer by themselves. PJMEDIA asserts what is a mistake of the caller here, so states and descriptions are checked before. */
#include "negotiator.h"

#include <string.h>

#include "rtp_transport.h"

#define POOL_SIZE 2000

struct ss_negotiator {
    pj_pool_t *pool;
    pjmedia_sdp_neg *neg;
    pj_bool_t active;                   /* a negotiation has succeeded */
    pj_bool_t local, remote;            /* there is an offer or answer of that side which is not negotiated yet */
};

static pj_status_t parse(pj_pool_t *pool, const char *text, size_t length, pj_bool_t local, pjmedia_sdp_session **sdp)
{
    char *copy = pj_pool_alloc(pool, length + 1);
    pj_status_t status;

    memcpy(copy, text, length);
    copy[length] = '\0';
    status = pjmedia_sdp_parse(pool, copy, length, sdp);
    /* The peer's may have disabled lines without a connection address. */
    return status == PJ_SUCCESS ? pjmedia_sdp_validate2(*sdp, local) : status;
}

pj_status_t ss_negotiator_create(int input, const char *text, size_t length, ss_negotiator **negotiator)
{
    pj_status_t status = ss_runtime_init();
    pjmedia_sdp_session *sdp;
    ss_negotiator *self;
    pj_pool_t *pool;

    if (status != PJ_SUCCESS)
        return status;
    pool = ss_pool_create("negotiator", POOL_SIZE, POOL_SIZE);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, ss_negotiator);
    self->pool = pool;
    status = parse(pool, text, length, input == SS_NEG_LOCAL_OFFER, &sdp);
    if (status == PJ_SUCCESS && input == SS_NEG_LOCAL_OFFER)
        status = pjmedia_sdp_neg_create_w_local_offer(pool, sdp, &self->neg);
    else if (status == PJ_SUCCESS)
        status = pjmedia_sdp_neg_create_w_remote_offer(pool, NULL, sdp, &self->neg);
    if (status != PJ_SUCCESS) {
        pj_pool_release(pool);
        return status;
    }
    self->local = input == SS_NEG_LOCAL_OFFER;
    self->remote = !self->local;
    *negotiator = self;
    return PJ_SUCCESS;
}

void ss_negotiator_destroy(ss_negotiator *negotiator)
{
    pj_pool_release(negotiator->pool);
}

pj_status_t ss_negotiator_set(ss_negotiator *self, int input, const char *text, size_t length)
{
    static const pjmedia_sdp_neg_state wanted[] = { PJMEDIA_SDP_NEG_STATE_DONE, PJMEDIA_SDP_NEG_STATE_REMOTE_OFFER, PJMEDIA_SDP_NEG_STATE_DONE,
                                                    PJMEDIA_SDP_NEG_STATE_LOCAL_OFFER };
    pj_bool_t local = input == SS_NEG_LOCAL_OFFER || input == SS_NEG_LOCAL_ANSWER;
    pjmedia_sdp_session *sdp;
    pj_status_t status;

    if (pjmedia_sdp_neg_get_state(self->neg) != wanted[input])
        return PJMEDIA_SDPNEG_EINSTATE;
    if (input == SS_NEG_LOCAL_OFFER && !self->active)
        return PJMEDIA_SDPNEG_ENOACTIVE;        /* there is nothing to modify: begin anew */
    status = parse(self->pool, text, length, local, &sdp);
    if (status != PJ_SUCCESS)
        return status;
    switch (input) {
    case SS_NEG_LOCAL_OFFER:
        status = pjmedia_sdp_neg_modify_local_offer(self->pool, self->neg, sdp);
        break;
    case SS_NEG_LOCAL_ANSWER:
        status = pjmedia_sdp_neg_set_local_answer(self->pool, self->neg, sdp);
        break;
    case SS_NEG_REMOTE_OFFER:
        status = pjmedia_sdp_neg_set_remote_offer(self->pool, self->neg, sdp);
        break;
    default:
        status = pjmedia_sdp_neg_set_remote_answer(self->pool, self->neg, sdp);
    }
    if (status == PJ_SUCCESS && local)
        self->local = PJ_TRUE;
    else if (status == PJ_SUCCESS)
        self->remote = PJ_TRUE;
    return status;
}

pj_status_t ss_negotiator_cancel_offer(ss_negotiator *self)
{
    pjmedia_sdp_neg_state state = pjmedia_sdp_neg_get_state(self->neg);

    if (state != PJMEDIA_SDP_NEG_STATE_LOCAL_OFFER && state != PJMEDIA_SDP_NEG_STATE_REMOTE_OFFER)
        return PJMEDIA_SDPNEG_EINSTATE;
    self->local = self->remote = PJ_FALSE;
    return pjmedia_sdp_neg_cancel_offer(self->neg);
}

pj_status_t ss_negotiator_negotiate(ss_negotiator *self)
{
    pj_status_t status;

    if (pjmedia_sdp_neg_get_state(self->neg) != PJMEDIA_SDP_NEG_STATE_WAIT_NEGO)
        return PJMEDIA_SDPNEG_EINSTATE;
    self->local = self->remote = PJ_FALSE;
    status = pjmedia_sdp_neg_negotiate(self->pool, self->neg, PJ_FALSE);
    if (status == PJ_SUCCESS)
        self->active = PJ_TRUE;
    return status;
}

const char *ss_negotiator_state(ss_negotiator *self)
{
    return pjmedia_sdp_neg_state_str(pjmedia_sdp_neg_get_state(self->neg));
}

pj_status_t ss_negotiator_get(ss_negotiator *self, int which, char **text, size_t *length)
{
    const pjmedia_sdp_session *sdp = NULL;
    pj_status_t status = PJ_SUCCESS;

    *text = NULL;
    if (which == SS_NEG_ACTIVE_LOCAL && self->active)
        status = pjmedia_sdp_neg_get_active_local(self->neg, &sdp);
    else if (which == SS_NEG_ACTIVE_REMOTE && self->active)
        status = pjmedia_sdp_neg_get_active_remote(self->neg, &sdp);
    else if (which == SS_NEG_CURRENT_LOCAL && self->local)
        status = pjmedia_sdp_neg_get_neg_local(self->neg, &sdp);
    else if (which == SS_NEG_CURRENT_REMOTE && self->remote)
        status = pjmedia_sdp_neg_get_neg_remote(self->neg, &sdp);
    return status == PJ_SUCCESS && sdp ? ss_sdp_print(sdp, text, length) : status;
}
