/*
 * The passthrough port: hands out in one frame what it was given in the frame before. It makes a slot that many can speak into and
 * many can listen to. References and lifetime as in wave.c.
 */
#include <string.h>

#include <pjlib.h>
#include <pjmedia.h>

#include "mixer.h"

#define SIGNATURE PJMEDIA_SIG_CLASS_PORT_AUD('S', 'M')

typedef struct mixer_port {
    ss_object object;
    pjmedia_port port;
    pj_pool_t *pool;
    ss_handle mixer;
    unsigned slot;
    int in_bridge;                      /* atomic: its removal is claimed by who clears it */
    /* The clock thread alone reads and writes the frame: the bridge has no worker threads. */
    int filled;
    size_t size;
    int16_t *samples;
} mixer_port;

/* callback: pjmedia_port put_frame | thread: clock | gil: no | locks: none | lifetime: the bridge's reference */
static pj_status_t put_frame(pjmedia_port *port, pjmedia_frame *frame)
{
    mixer_port *self = port->port_data.pdata;

    self->filled = frame->type == PJMEDIA_FRAME_TYPE_AUDIO && frame->size == self->size;
    if (self->filled)
        memcpy(self->samples, frame->buf, self->size);
    return PJ_SUCCESS;
}

/* callback: pjmedia_port get_frame | thread: clock | gil: no | locks: none | lifetime: the bridge's reference */
static pj_status_t get_frame(pjmedia_port *port, pjmedia_frame *frame)
{
    mixer_port *self = port->port_data.pdata;

    frame->type = PJMEDIA_FRAME_TYPE_NONE;
    if (self->filled && frame->size >= self->size) {
        memcpy(frame->buf, self->samples, self->size);
        frame->type = PJMEDIA_FRAME_TYPE_AUDIO;
        frame->size = self->size;
        self->filled = 0;
    }
    return PJ_SUCCESS;
}

static pj_status_t on_destroy(pjmedia_port *port)
{
    mixer_port *self = port->port_data.pdata;

    pj_pool_release(self->pool);
    return PJ_SUCCESS;
}

static void destroy_object(ss_object *object)
{
    pjmedia_port_destroy(&((mixer_port *)object)->port);
}

static void kill_object(ss_object *object)
{
    mixer_port *self = (mixer_port *)object;

    if (__atomic_exchange_n(&self->in_bridge, 0, __ATOMIC_ACQ_REL))
        ss_mixer_remove_port(self->mixer, self->slot, ss_object_release, self);
}

pj_status_t ss_mixer_port_start(ss_handle mixer, ss_handle *handle, unsigned *slot)
{
    pj_str_t name = { "port", 4 };
    unsigned clock_rate, samples_per_frame;
    pj_pool_t *pool;
    mixer_port *self;
    void *alive;
    pj_status_t status = ss_mixer_format(mixer, &clock_rate, &samples_per_frame);

    if (status != PJ_SUCCESS)
        return status;
    pool = ss_pool_create("mixerport", 2000, 2000);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, mixer_port);
    self->pool = pool;
    self->mixer = mixer;
    self->size = samples_per_frame * sizeof *self->samples;
    self->samples = pj_pool_calloc(pool, samples_per_frame, sizeof *self->samples);
    self->port.port_data.pdata = self;
    self->port.put_frame = put_frame;
    self->port.get_frame = get_frame;
    self->port.on_destroy = on_destroy;
    self->object.kill = kill_object;
    self->object.destroy = destroy_object;
    status = pjmedia_port_info_init(&self->port.info, &name, SIGNATURE, clock_rate, 1, 16, samples_per_frame);
    if (status == PJ_SUCCESS) {
        *handle = ss_object_register(&self->object, SS_T_MIXER_PORT);
        if (!*handle)
            status = PJ_ETOOMANY;
    }
    if (status != PJ_SUCCESS) {
        pj_pool_release(pool);
        return status;
    }
    ss_object_acquire(*handle, SS_T_MIXER_PORT);        /* the bridge's */
    status = ss_mixer_add_port(mixer, pool, &self->port, "port", &self->slot);
    if (status != PJ_SUCCESS) {
        ss_object_release(self);
        ss_object_close(*handle);
        *handle = 0;
        return status;
    }
    *slot = self->slot;
    __atomic_store_n(&self->in_bridge, 1, __ATOMIC_SEQ_CST);
    /* The Engine may have stopped while the port was on its way into the bridge. */
    alive = ss_object_acquire(*handle, SS_T_MIXER_PORT);
    if (alive)
        ss_object_release(alive);
    else
        kill_object(&self->object);
    return PJ_SUCCESS;
}
