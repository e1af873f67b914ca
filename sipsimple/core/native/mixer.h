/* What other native modules may ask of a mixer (conference bridge). All functions: any registered thread. */
#ifndef SS_MIXER_H
#define SS_MIXER_H

#include <pjmedia/port.h>
#include <pjmedia/conference.h>

#include "core.h"

/*
 * Add a port to the bridge of a live mixer. On success the bridge holds a group-lock reference of the port until its removal is
 * complete (bridge operations are asynchronous), so the caller may drop its own after ss_mixer_remove_port().
 * `pool` lives at least as long as the port.
 */
pj_status_t ss_mixer_add_port(ss_handle mixer, pj_pool_t *pool, pjmedia_port *port, const char *name, unsigned *slot);
/*
 * Remove a slot. `done(user)` is called exactly once, from whichever thread completes the removal (it may be this one, before the
 * call returns, also when the mixer is gone already): only then may the port's memory be freed.
 */
void ss_mixer_remove_port(ss_handle mixer, unsigned slot, void (*done)(void *user), void *user);
pj_status_t ss_mixer_adjust_slot(ss_handle mixer, unsigned slot, int tx_level, int rx_level);
/* Clock rate, samples per frame of the bridge; PJ_EGONE when the mixer is dead. */
pj_status_t ss_mixer_format(ss_handle mixer, unsigned *clock_rate, unsigned *samples_per_frame);

/* native/media_endpoint.c: one per engine run; NULL when the engine is off. */
pjmedia_endpt *ss_media_endpoint(void);
pj_status_t ss_media_start(void);       /* called by the engine: endpoint, event manager, codecs, sound subsystem */
void ss_media_stop(void);               /* after every object is closed */

#endif
