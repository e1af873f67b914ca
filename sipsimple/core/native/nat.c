/* NAT type detection by STUN (RFC 3489 section 10.1 as PJNATH does it). */
#include "engine.h"

#include <pthread.h>
#include <pjnath.h>

#include "events.h"

static void on_detected(void *user_data, const pj_stun_nat_detect_result *result)
{
    int64_t nums[2] = { result->status, (int64_t)(uintptr_t)user_data };
    const char *name = result->nat_type_name ? result->nat_type_name : "";
    const char *error = result->status_text ? result->status_text : "";
    ss_blob blobs[2] = { { name, strlen(name) }, { error, strlen(error) } };

    ss_post(SS_EV_NAT_TYPE, 0, nums, 2, blobs, 2);
}

/* PJNATH's sessions keep the pointer for as long as they live, so what it points to must outlive them. */
static pj_stun_config config;

static pj_stun_config *stun_config(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pj_ioqueue_t *ioqueue = pjsip_endpt_get_ioqueue(ss_endpoint());
    pj_timer_heap_t *timers = pjsip_endpt_get_timer_heap(ss_endpoint());

    pthread_mutex_lock(&lock);
    if (config.ioqueue != ioqueue || config.timer_heap != timers)       /* first use in this run of the engine */
        pj_stun_config_init(&config, ss_pool_factory(), 0, ioqueue, timers);
    pthread_mutex_unlock(&lock);
    return &config;
}

void ss_nat_stop(void)
{
    if (config.timer_heap)
        pj_stun_detect_nat_type_cancel(&config);
}

pj_status_t ss_detect_nat_type(const char *address, unsigned port, uint64_t id)
{
    pj_sockaddr_in server;
    pj_str_t text = pj_str((char *)address);
    pj_status_t status;

    status = pj_sockaddr_in_init(&server, &text, (pj_uint16_t)port);
    if (status != PJ_SUCCESS)
        return status;
    return pj_stun_detect_nat_type(&server, stun_config(), (void *)(uintptr_t)id, &on_detected);
}
