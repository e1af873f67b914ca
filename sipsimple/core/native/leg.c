/*
 * Legs: what stands between a PJMEDIA stream and the RTP transport.
 *
 * Lifetime: stop() cuts the leg off, the mixer removes the stream's port, the worker destroys the stream, and the stream's group lock
 * frees the leg. ICE packets are received in the worker, and those of UDP sockets are waited for when the leg is cut off: so no
 * callback finds a leg that is gone.
 */
#include "leg.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include <pjlib.h>
#include <pjsip.h>

#include "engine.h"
#include "events.h"
#include "mixer.h"

/* bits of `rebound` */
#define RTP_REBOUND 1
#define RTCP_REBOUND 2

/* ---- the transport a stream sees ------------------------------------------------------------------------------------ */

static int begin_send(ss_leg *leg)
{
    __atomic_add_fetch(&leg->sending, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&leg->active, __ATOMIC_SEQ_CST))
        return 1;
    __atomic_sub_fetch(&leg->sending, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void end_send(ss_leg *leg)
{
    __atomic_sub_fetch(&leg->sending, 1, __ATOMIC_SEQ_CST);
}

/* 0.0.0.0 means "do not send" (RFC 3264 section 8.4), and the kernel would take it for this host. */
static int has_remote(const ss_leg *leg)
{
    return pj_sockaddr_has_addr(&leg->attached.rem_addr) && pj_sockaddr_get_port(&leg->attached.rem_addr);
}

static pj_status_t leg_get_info(pjmedia_transport *transport, pjmedia_transport_info *info)
{
    ss_leg *leg = (ss_leg *)transport;
    pj_status_t status = PJ_EINVALIDOP;

    if (begin_send(leg)) {
        status = pjmedia_transport_get_info(leg->top, info);
        end_send(leg);
    }
    return status;
}

/* The marker stands at the beginning of each (RFC 4733 section 2.5.1.1). */
static int begins_digit(const ss_leg *leg, const void *packet)
{
    uint8_t second = ((const uint8_t *)packet)[1];

    return (second & 0x7f) == leg->sent_event_pt && (second & 0x80);
}

static pj_status_t leg_send_rtp(pjmedia_transport *transport, const void *packet, pj_size_t size)
{
    ss_leg *leg = (ss_leg *)transport;
    pj_status_t status = PJ_SUCCESS;

    if (begin_send(leg)) {
        if (has_remote(leg))
            status = pjmedia_transport_send_rtp(leg->top, packet, size);
        if (status == PJ_SUCCESS && begins_digit(leg, packet))
            __atomic_add_fetch(&leg->digits_begun, 1, __ATOMIC_RELEASE);
        __atomic_add_fetch(&leg->sent, 1, __ATOMIC_RELAXED);
        end_send(leg);
    }
    return status;
}

static pj_status_t leg_send_rtcp2(pjmedia_transport *transport, const pj_sockaddr_t *address, unsigned length, const void *packet,
                                  pj_size_t size)
{
    ss_leg *leg = (ss_leg *)transport;
    pj_status_t status = PJ_SUCCESS;

    if (begin_send(leg)) {
        if (has_remote(leg))
            status = pjmedia_transport_send_rtcp2(leg->top, address, length, packet, size);
        end_send(leg);
    }
    return status;
}

static void send_rtcp_to(ss_leg *leg, const pj_sockaddr *address)
{
    pthread_mutex_lock(&leg->lock);
    leg->rtcp_to = *address;
    pthread_mutex_unlock(&leg->lock);
}

static pj_status_t leg_send_rtcp(pjmedia_transport *transport, const void *packet, pj_size_t size)
{
    ss_leg *leg = (ss_leg *)transport;
    pj_sockaddr address;

    pthread_mutex_lock(&leg->lock);
    address = leg->rtcp_to;
    pthread_mutex_unlock(&leg->lock);
    if (!address.addr.sa_family)
        return leg_send_rtcp2(transport, NULL, 0, packet, size);
    return leg_send_rtcp2(transport, &address, (unsigned)pj_sockaddr_get_len(&address), packet, size);
}

/* The stream must believe that packets come from where they should, or it would drop the first ones as those of a stranger. */
static void tell_source(ss_leg *leg, const pj_sockaddr *source)
{
    pjmedia_stream_common *stream = leg->attached.user_data;

    pj_sockaddr_cp(&stream->rem_rtp_addr, source);
    stream->rem_rtp_flag = 0;
    stream->rtp_src_cnt = 0;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/*
 * Whether the packet is the peer's. `rem_switch` is set when media must go to its source from now on. ICE tells no source: it accepts
 * packets by paths it has checked; and with SRTP the stream's own rule is enough, since a stranger's packets end before this.
 */
static int is_peers(ss_leg *leg, const pj_sockaddr *source, pj_bool_t *rem_switch)
{
    if (!source || __atomic_load_n(&leg->authenticated, __ATOMIC_RELAXED))
        return 1;
    switch (ss_rtp_guard_judge(&leg->guard, &leg->attached.rem_addr, source, now_ns(), SS_RTP_SILENCE_NS)) {
    case SS_SOURCE_STRANGER:
        SS_COUNT(stranger_rtp);
        return 0;
    case SS_SOURCE_CHANGED:
        tell_source(leg, source);
        if (pj_sockaddr_cmp(source, &leg->sent_to) != 0) {
            leg->sent_to = *source;
            *rem_switch = PJ_TRUE;
        }
        break;
    case SS_SOURCE_CURRENT:
        break;
    }
    return 1;
}

/*
 * RTP goes to another address from now on. RTCP follows, to the port beside it, when it has not been heard of or not from there; with
 * both on one port it always does.
 */
static void follow_with_rtcp(ss_leg *leg, const pj_sockaddr *source)
{
    pj_sockaddr address = *source;

    if (leg->rtcp_guard.owner.addr.sa_family && ss_is_same_host(&leg->rtcp_guard.current, source))
        return;
    memset(&leg->rtcp_guard, 0, sizeof leg->rtcp_guard);
    if (pj_sockaddr_cmp(&leg->attached.rem_addr, &leg->attached.rem_rtcp) != 0)
        pj_sockaddr_set_port(&address, (pj_uint16_t)(pj_sockaddr_get_port(source) + 1));
    send_rtcp_to(leg, &address);
}

/*
 * The source of the RTCP packet that is being received; 0 with ICE, which takes packets by checked paths only. Without SRTP's part of the
 * information, which another thread may be changing; the sockets stay for as long as the leg is active.
 */
static int source_of_rtcp(ss_leg *leg, pj_sockaddr *source)
{
    const pjmedia_ice_transport_info *ice;
    pjmedia_transport_info info;

    pjmedia_transport_info_init(&info);
    if (pjmedia_transport_get_info(leg->rtp->base, &info) != PJ_SUCCESS)
        return 0;
    ice = pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_ICE);
    *source = info.src_rtcp_name;
    return !(ice && ice->active) && (source->addr.sa_family == pj_AF_INET() || source->addr.sa_family == pj_AF_INET6());
}

/* The same as is_peers() for RTCP on a port of its own. What is not authenticated must come from a host of the peer's. */
static int is_peers_rtcp(ss_leg *leg)
{
    const pj_sockaddr *signalled = &leg->attached.rem_rtcp;
    ss_rtp_guard *guard = &leg->rtcp_guard;
    pj_sockaddr source;

    if (!source_of_rtcp(leg, &source))
        return 1;
    if (__atomic_load_n(&leg->authenticated, __ATOMIC_RELAXED)) {
        if (pj_sockaddr_cmp(&source, &guard->current) != 0) {
            guard->owner = guard->current = source;
            send_rtcp_to(leg, &source);
        }
        return 1;
    }
    if (!ss_is_same_host(&source, signalled)
        && !ss_is_same_host(&source, leg->guard.owner.addr.sa_family ? &leg->guard.current : &leg->attached.rem_addr))
        return 0;
    switch (ss_rtp_guard_judge(guard, signalled, &source, now_ns(), SS_RTCP_SILENCE_NS)) {
    case SS_SOURCE_STRANGER:
        return 0;
    case SS_SOURCE_CHANGED:
        send_rtcp_to(leg, &source);
        break;
    case SS_SOURCE_CURRENT:
        break;
    }
    return 1;
}

/*
 * Each source numbers its packets on its own (RFC 3550 section 5.1). PJMEDIA goes on with the numbers of the one before: if those of a new source begin
 * a little below them, its packets seem to be late, and until they have caught up, which takes two seconds or, while the other still sends, never ends,
 * it drops digits.
 */
static void begin_source(ss_leg *leg, uint32_t ssrc)
{
    if (leg->has_ssrc && ssrc != leg->ssrc)
        ((pjmedia_stream_common *)leg->attached.user_data)->dec->rtp.received = 0;
    leg->ssrc = ssrc;
    leg->has_ssrc = 1;
}

/* Whether the stream is to have the packet. */
static int look_at(ss_leg *leg, const uint8_t *packet)
{
    ss_pressed pressed = { .known = 1 };

    memcpy(&pressed.timestamp, packet + 4, sizeof pressed.timestamp);
    memcpy(&pressed.ssrc, packet + 8, sizeof pressed.ssrc);
    if ((packet[1] & 0x7f) == leg->event_pt) {
        if (leg->told.known && leg->told.ssrc == pressed.ssrc && leg->told.timestamp == pressed.timestamp)
            return 0;
        leg->pressed = pressed;
    }
    begin_source(leg, pressed.ssrc);
    return 1;
}

/* callback: pjmedia_transport rtp | thread: media worker or worker (ICE) | gil: no | locks: none | lifetime: see above */
static void on_rtp(pjmedia_tp_cb_param *param)
{
    ss_leg *leg = param->user_data;
    pjmedia_tp_cb_param inner = *param;
    const pj_sockaddr *source = NULL;
    pj_sockaddr copy;
    size_t size = param->size > 0 ? (size_t)param->size : 0;
    pj_bool_t rem_switch = PJ_FALSE;

    if (!leg || !__atomic_load_n(&leg->active, __ATOMIC_ACQUIRE))
        return;
    if (param->src_addr) {
        copy = *(const pj_sockaddr *)param->src_addr;       /* another thread that attaches resets the transport's own under our feet */
        if (copy.addr.sa_family == pj_AF_INET() || copy.addr.sa_family == pj_AF_INET6())
            source = &copy;
    }
    if (__atomic_fetch_and(&leg->rebound, ~RTP_REBOUND, __ATOMIC_ACQ_REL) & RTP_REBOUND) {
        tell_source(leg, &leg->attached.rem_addr);
        memset(&leg->guard, 0, sizeof leg->guard);
        leg->sent_to = leg->attached.rem_addr;
    }
    if (size) {
        if (!(ss_is_rtcp(param->pkt, size) ? ss_rtcp_is_valid : ss_rtp_is_valid)(param->pkt, size)) {
            if (!ss_is_keep_alive(param->pkt, size))
                SS_COUNT(malformed_rtp);
            return;
        }
        if (!is_peers(leg, source, &rem_switch))
            return;
        __atomic_add_fetch(&leg->packets, 1, __ATOMIC_RELAXED);
        if (!ss_is_rtcp(param->pkt, size) && !look_at(leg, param->pkt))
            return;
        if (source && pj_sockaddr_cmp(source, &leg->source) != 0) {
            leg->source = *source;
            ss_rtp_set_source(leg->rtp, source);
        }
    }
    inner.user_data = leg->attached.user_data;
    inner.src_addr = (pj_sockaddr_t *)source;
    leg->attached.rtp_cb2(&inner);
    param->rem_switch = inner.rem_switch || rem_switch;
    if (param->rem_switch && source)
        follow_with_rtcp(leg, source);
}

/* callback: pjmedia_transport rtcp | thread: media worker or worker (ICE) | gil: no | locks: none | lifetime: see above */
static void on_rtcp(void *user, void *packet, pj_ssize_t size)
{
    ss_leg *leg = user;

    if (!leg || !__atomic_load_n(&leg->active, __ATOMIC_ACQUIRE))
        return;
    if (size > 0 && !ss_rtcp_is_valid(packet, (size_t)size)) {
        if (!ss_is_keep_alive(packet, (size_t)size))
            SS_COUNT(malformed_rtcp);
        return;
    }
    if (__atomic_fetch_and(&leg->rebound, ~RTCP_REBOUND, __ATOMIC_ACQ_REL) & RTCP_REBOUND)
        memset(&leg->rtcp_guard, 0, sizeof leg->rtcp_guard);
    if (size > 0 && !is_peers_rtcp(leg)) {
        SS_COUNT(stranger_rtcp);
        return;
    }
    leg->attached.rtcp_cb(leg->attached.user_data, packet, size);
}

static pj_status_t attach_to_top(ss_leg *leg)
{
    pjmedia_transport_attach_param outer = leg->attached;

    outer.user_data = leg;
    outer.rtp_cb = NULL;
    outer.rtp_cb2 = on_rtp;
    outer.rtcp_cb = on_rtcp;
    return pjmedia_transport_attach2(leg->top, &outer);
}

/* By pjmedia_stream_create(), in start_leg(): `ops` of the RTP transport is held. */
static pj_status_t leg_attach2(pjmedia_transport *transport, pjmedia_transport_attach_param *param)
{
    ss_leg *leg = (ss_leg *)transport;
    pj_status_t status;

    leg->top = ss_rtp_top(leg->rtp);
    leg->attached = *param;
    leg->sent_to = param->rem_addr;
    ss_leg_media_changed(leg);
    leg->top_lock = leg->top->grp_lock;
    if (leg->top_lock)
        pj_grp_lock_add_ref(leg->top_lock);
    __atomic_store_n(&leg->active, 1, __ATOMIC_SEQ_CST);
    status = attach_to_top(leg);
    if (status != PJ_SUCCESS)
        __atomic_store_n(&leg->active, 0, __ATOMIC_SEQ_CST);
    return status;
}

void ss_leg_media_changed(ss_leg *leg)
{
    __atomic_store_n(&leg->authenticated, ss_srtp_is_authentic(leg->rtp), __ATOMIC_RELAXED);
}

/* ---- keep-alives --------------------------------------------------------------------------------------------------- */

static void schedule_keep_alive(ss_leg *leg)
{
    pj_time_val delay = { leg->rtp->params.keep_alive_ms / 1000, leg->rtp->params.keep_alive_ms % 1000 };
    pjmedia_port *port;

    if (!leg->rtp->params.keep_alive_ms || !ss_endpoint())
        return;
    pjmedia_stream_get_port(leg->stream, &port);
    pj_timer_heap_schedule_w_grp_lock(pjsip_endpt_get_timer_heap(ss_endpoint()), &leg->keep_alive, &delay, 1, port->grp_lock);
}

/*
 * A NAT forgets a way that nothing goes out by (RFC 6263), while we only listen, or hold. The empty datagram of its section 4.1 is what no receiver
 * takes for media, encrypted or not. ICE has keep-alives of its own.
 *
 * callback: pj_timer | thread: worker | gil: no | locks: none | lifetime: group lock of the stream, held by the timer
 */
static void on_keep_alive(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    ss_leg *leg = entry->user_data;
    unsigned sent = __atomic_load_n(&leg->sent, __ATOMIC_RELAXED);

    (void)heap;
    if (!begin_send(leg))
        return;
    if (sent == leg->sent_before && has_remote(leg))
        pjmedia_transport_send_rtp(leg->rtp->base, "", 0);
    leg->sent_before = sent;
    schedule_keep_alive(leg);
    end_send(leg);
}

static void start_keep_alive(ss_leg *leg)
{
    pj_timer_entry_init(&leg->keep_alive, 0, leg, on_keep_alive);
    if (!leg->rtp->params.use_ice)
        schedule_keep_alive(leg);
}

static void stop_keep_alive(ss_leg *leg)
{
    if (ss_endpoint() && leg->keep_alive.cb)
        pj_timer_heap_cancel_if_active(pjsip_endpt_get_timer_heap(ss_endpoint()), &leg->keep_alive, 0);
}

/* ---- cut off ------------------------------------------------------------------------------------------------------- */

void ss_leg_detach(ss_leg *leg)
{
    if (!__atomic_exchange_n(&leg->active, 0, __ATOMIC_SEQ_CST))
        return;
    while (__atomic_load_n(&leg->sending, __ATOMIC_SEQ_CST))
        sched_yield();                  /* microseconds: a packet is on its way into a socket */
    stop_keep_alive(leg);
    pjmedia_transport_detach(leg->top, leg);
}

static void leg_on_detach(pjmedia_transport *transport, void *user)
{
    (void)user;
    ss_leg_detach((ss_leg *)transport);
}

static pj_status_t leg_simulate_lost(pjmedia_transport *transport, pjmedia_dir direction, unsigned percent)
{
    return pjmedia_transport_simulate_lost(((ss_leg *)transport)->top, direction, percent);
}

/* A stream never closes its transport, nor does it negotiate. */
static pj_status_t leg_destroy(pjmedia_transport *transport)
{
    (void)transport;
    return PJ_EINVALIDOP;
}

static pjmedia_transport_op leg_op = {
    .get_info = leg_get_info,
    .detach = leg_on_detach,
    .send_rtp = leg_send_rtp,
    .send_rtcp = leg_send_rtcp,
    .send_rtcp2 = leg_send_rtcp2,
    .simulate_lost = leg_simulate_lost,
    .destroy = leg_destroy,
    .attach2 = leg_attach2,
};

void ss_leg_rebind(ss_leg *leg, const pj_sockaddr *rtp, const pj_sockaddr *rtcp)
{
    if (pj_sockaddr_cmp(rtp, &leg->attached.rem_addr) == 0 && pj_sockaddr_cmp(rtcp, &leg->attached.rem_rtcp) == 0)
        return;
    leg->attached.rem_addr = *rtp;
    leg->attached.rem_rtcp = *rtcp;
    leg->attached.addr_len = pj_sockaddr_get_len(rtp);
    if (__atomic_load_n(&leg->active, __ATOMIC_SEQ_CST)) {
        static const pj_sockaddr none;

        attach_to_top(leg);
        send_rtcp_to(leg, &none);
        __atomic_store_n(&leg->rebound, RTP_REBOUND | RTCP_REBOUND, __ATOMIC_RELEASE);
    }
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static void free_leg(void *user)
{
    ss_leg *leg = user;

    if (leg->top_lock)
        pj_grp_lock_dec_ref(leg->top_lock);
    ss_object_release(leg->rtp);
    pthread_mutex_destroy(&leg->lock);
    pj_pool_release(leg->pool);
    ss_media_release();
}

/* callback: ss_worker_call | thread: worker | gil: no | locks: none | lifetime: the leg's own */
static void destroy_stream(void *user)
{
    pjmedia_stream_destroy(((ss_leg *)user)->stream);       /* free_leg() follows from its group lock */
}

/* callback: ss_mixer removed | thread: clock | gil: no | locks: none | lifetime: the leg's own */
static void on_removed(void *user)
{
    ss_worker_call(destroy_stream, user);
}

void ss_leg_cut(ss_leg *leg)
{
    pjmedia_stream_send_rtcp_bye(leg->stream);
    if (leg->rtp->leg == leg)
        leg->rtp->leg = NULL;
    ss_leg_detach(leg);
}

void ss_leg_succeed(const ss_leg *old, ss_leg *fresh)
{
    fresh->told = old->pressed.known ? old->pressed : old->told;
}

void ss_leg_leave_bridge(ss_leg *leg)
{
    ss_mixer_remove_port(leg->mixer, leg->slot, on_removed, leg);
}

/* callback: pjmedia_stream dtmf | thread: media worker or worker (ICE) | gil: no | locks: none | lifetime: handle */
static void on_dtmf(pjmedia_stream *stream, void *user, int digit)
{
    (void)stream;
    ss_post_num(SS_EV_AUDIO_DTMF, (ss_handle)(uintptr_t)user, digit, 0);
}

pj_status_t ss_leg_start(ss_rtp *rtp, ss_handle mixer, const pjmedia_stream_info *info, ss_handle owner, ss_leg **result)
{
    pj_pool_t *pool = ss_pool_create("leg", 1200, 500);
    pjmedia_endpt *endpoint;
    ss_leg *leg;
    pjmedia_port *port;
    pj_status_t status;

    if (!pool)
        return PJ_ENOMEM;
    ss_media_hold();
    endpoint = ss_media_endpoint();
    if (!endpoint || !ss_object_acquire(rtp->object.handle, SS_T_RTP_TRANSPORT)) {
        ss_media_release();
        pj_pool_release(pool);
        return PJ_EGONE;
    }
    leg = PJ_POOL_ZALLOC_T(pool, ss_leg);
    leg->pool = pool;
    pthread_mutex_init(&leg->lock, NULL);
    leg->mixer = mixer;
    leg->event_pt = info->rx_event_pt;
    leg->sent_event_pt = info->tx_event_pt;
    leg->base.op = &leg_op;
    leg->base.type = PJMEDIA_TRANSPORT_TYPE_USER;
    pj_ansi_strxcpy(leg->base.name, "leg", sizeof leg->base.name);
    leg->rtp = rtp;
    status = pjmedia_stream_create(endpoint, NULL, info, &leg->base, NULL, &leg->stream);
    if (status != PJ_SUCCESS) {
        free_leg(leg);
        return status;
    }
    pjmedia_stream_get_port(leg->stream, &port);
    pj_grp_lock_add_handler(port->grp_lock, NULL, leg, free_leg);
    pjmedia_stream_set_dtmf_callback(leg->stream, on_dtmf, (void *)(uintptr_t)owner);
    start_keep_alive(leg);
    rtp->leg = leg;
    *result = leg;
    return PJ_SUCCESS;
}

/* What came while nobody listened is old, and what comes would be late by as much: up to the whole jitter buffer. */
static void forget_unheard(void *user)
{
    pjmedia_stream_common *stream = (pjmedia_stream_common *)((ss_leg *)user)->stream;

    pj_mutex_lock(stream->jb_mutex);
    pjmedia_jbuf_reset(stream->jb);
    pj_mutex_unlock(stream->jb_mutex);
}

pj_status_t ss_leg_enter_bridge(ss_leg *leg, unsigned volume_percent)
{
    ss_rtp *rtp = leg->rtp;
    pjmedia_port *port;
    pj_status_t status;

    pjmedia_stream_get_port(leg->stream, &port);
    status = ss_mixer_add_port(leg->mixer, leg->pool, port, "audio", &leg->slot);
    if (status == PJ_SUCCESS) {
        ss_mixer_adjust_slot(leg->mixer, leg->slot, -1, (int)volume_percent);
        ss_mixer_on_heard(leg->mixer, leg->slot, forget_unheard, leg);
        return PJ_SUCCESS;
    }
    pthread_mutex_lock(&rtp->ops);
    ss_leg_cut(leg);
    pthread_mutex_unlock(&rtp->ops);
    destroy_stream(leg);
    return status;
}

/* ---- another remote address --------------------------------------------------------------------------------------- */

pj_status_t ss_leg_rebind_sdp(ss_leg *leg, const pjmedia_sdp_session *remote, unsigned index)
{
    int mux = pj_sockaddr_cmp(&leg->attached.rem_addr, &leg->attached.rem_rtcp) == 0;
    pj_sockaddr rtp, rtcp;
    pj_status_t status;

    if (!remote->media[index]->desc.port)
        return PJMEDIA_SDP_EMISSINGCONN;
    status = ss_sdp_remote_addresses(remote, index, mux && pjmedia_sdp_media_find_attr2(remote->media[index], "rtcp-mux", NULL), &rtp, &rtcp);
    if (status != PJ_SUCCESS)
        return status;
    ss_leg_rebind(leg, &rtp, &rtcp);
    return PJ_SUCCESS;
}
