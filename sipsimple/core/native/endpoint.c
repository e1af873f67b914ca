/* The life of the SIP endpoint. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include <pjsip_simple.h>
#include <pjsip_ua.h>
#include <pjlib-util.h>

#include "event_dialog.h"
#include "mixer.h"

#define MAX_NAMESERVERS 8

static pjsip_endpoint *endpoint;        /* atomic: read from any thread */

pjsip_endpoint *ss_endpoint(void)
{
    return __atomic_load_n(&endpoint, __ATOMIC_ACQUIRE);
}

typedef pj_status_t init_function(pjsip_endpoint *);

static pj_status_t init_ua_layer(pjsip_endpoint *endpt)
{
    const pjsip_ua_init_param parameters = { .on_dlg_forked = &ss_inv_on_forked };

    return pjsip_ua_init_module(endpt, &parameters);
}

static pj_status_t init_media(pjsip_endpoint *endpt)
{
    (void)endpt;
    return ss_media_start();
}

static pj_status_t init_ua(pjsip_endpoint *endpt)
{
    (void)endpt;
    return ss_ua_start();
}

static pj_status_t init_checks(pjsip_endpoint *endpt)
{
    pj_status_t status = ss_malformed_start();

    (void)endpt;
    return status == PJ_SUCCESS ? ss_admission_start() : status;
}

static pj_status_t init_transports(pjsip_endpoint *endpt)
{
    (void)endpt;
    ss_transports_init();
    return PJ_SUCCESS;
}

static pj_status_t init_worker(pjsip_endpoint *endpt)
{
    return ss_worker_start(endpt);
}

static const struct { const char *name; init_function *function; } steps[] = {
    { "transaction layer", &pjsip_tsx_layer_init_module },
    { "user agent layer", &init_ua_layer },
    { "event notification", &pjsip_evsub_init_module },
    { "reliable provisional responses", &pjsip_100rel_init_module },
    { "session timers", &pjsip_timer_init_module },
    { "replaces", &pjsip_replaces_init_module },
    { "invitations", &ss_invitation_init },
    { "call transfer", &pjsip_xfer_init_module },
    { "media", &init_media },
    { "request handling", &init_ua },
    { "event dialogs", &ss_event_dialog_init },
    { "checks of messages", &init_checks },
    { "transports", &init_transports },
    { "worker thread", &init_worker },
};

pj_status_t ss_engine_start(const char **failed_step)
{
    pjsip_endpoint *created;
    pj_status_t status;

    *failed_step = "PJLIB";
    status = ss_runtime_init();
    if (status != PJ_SUCCESS)
        return status;
    ss_ensure_thread();
    *failed_step = "endpoint";
    /* An answered request lives for 32 seconds; the table is sized by this, not limited. */
    pjsip_cfg()->tsx.max_count = PJSIP_MAX_TSX_COUNT;
    pjsip_cfg()->endpt.disable_tcp_switch = PJ_TRUE;
    status = pjsip_endpt_create(ss_pool_factory(), "sipsimple", &created);
    if (status != PJ_SUCCESS)
        return status;
    __atomic_store_n(&endpoint, created, __ATOMIC_RELEASE);
    ss_objects_open();
    ss_timers_open();
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(steps); i++) {
        *failed_step = steps[i].name;
        status = steps[i].function(created);
        if (status != PJ_SUCCESS) {
            ss_engine_stop();
            return status;
        }
    }
    return PJ_SUCCESS;
}

void ss_engine_stop(void)
{
    pjsip_endpoint *old = ss_endpoint();

    if (!old)
        return;
    ss_ensure_thread();
    ss_objects_close_all();
    ss_worker_stop();
    ss_nat_stop();
    ss_timers_stop();
    ss_media_stop();
    pjsip_endpt_destroy(old);           /* closes the transports */
    ss_transports_closed();
    __atomic_store_n(&endpoint, NULL, __ATOMIC_RELEASE);
    ss_memory_trim();
}

void ss_engine_set_sip_timers(unsigned t1, unsigned t2, unsigned t4, unsigned td)
{
    pjsip_cfg()->tsx.t1 = t1;
    pjsip_cfg()->tsx.t2 = t2;
    pjsip_cfg()->tsx.t4 = t4;
    pjsip_cfg()->tsx.td = td;
    pjsip_tsx_initialize_timer_values();
}

pj_status_t ss_engine_set_nameservers(const char *const *addresses, unsigned count)
{
    pj_str_t servers[MAX_NAMESERVERS];
    pj_dns_resolver *resolver = pjsip_endpt_get_resolver(ss_endpoint());
    pj_status_t status;

    if (count > MAX_NAMESERVERS)
        count = MAX_NAMESERVERS;
    if (!count)
        return PJ_SUCCESS;
    if (!resolver) {
        status = pjsip_endpt_create_resolver(ss_endpoint(), &resolver);
        if (status != PJ_SUCCESS)
            return status;
        status = pjsip_endpt_set_resolver(ss_endpoint(), resolver);
        if (status != PJ_SUCCESS) {
            pj_dns_resolver_destroy(resolver, PJ_FALSE);
            return status;
        }
    }
    for (unsigned i = 0; i < count; i++)
        servers[i] = pj_str((char *)addresses[i]);
    return pj_dns_resolver_set_ns(resolver, count, servers, NULL);
}
