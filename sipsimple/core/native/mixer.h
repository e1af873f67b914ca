/* What other native modules may ask of a mixer (conference bridge). All functions: any registered thread. */
#ifndef SS_MIXER_H
#define SS_MIXER_H

#include <pjmedia/port.h>
#include <pjmedia/conference.h>
#include <pjmedia/endpoint.h>

#include "core.h"

/* ---- ports ---------------------------------------------------------------------------------------------------- */

/*
 * Add a port to the bridge of a live mixer. On success the bridge holds a group-lock reference of the port until its removal is
 * complete (bridge operations are asynchronous), so the caller may drop its own after ss_mixer_remove_port().
 * `pool` lives at least as long as the port. A bridge whose free slots all wait for their removal makes the caller wait for a
 * tick or two; PJ_ETOOMANY when it is really full, PJ_EGONE when the mixer is dead.
 */
pj_status_t ss_mixer_add_port(ss_handle mixer, pj_pool_t *pool, pjmedia_port *port, const char *name, unsigned *slot);
/*
 * Remove a slot. `done(user)` is called exactly once, from whichever thread completes the removal (it may be this one, before the
 * call returns, also when the mixer is gone already): only then may the port's memory be freed. It is usually the clock thread
 * between two frames: be quick, hand slow work to ss_worker_call(). The mixer's lock is not held; it may call functions of this
 * file. The bridge has given its reference back, so a port with a group lock ends with the pjmedia_port_destroy() of its owner.
 */
void ss_mixer_remove_port(ss_handle mixer, unsigned slot, void (*done)(void *user), void *user);
/* Volume in percent: tx = what the port is given, rx = what comes from it. Negative: leave as it is. */
pj_status_t ss_mixer_adjust_slot(ss_handle mixer, unsigned slot, int tx_percent, int rx_percent);
/* Clock rate, samples per frame of the bridge; PJ_EGONE when the mixer is dead. */
pj_status_t ss_mixer_format(ss_handle mixer, unsigned *clock_rate, unsigned *samples_per_frame);
/*
 * How many slots feed this one; to tell "silence" from "nobody is connected" inside put_frame(). The counter is atomic and valid
 * as long as the port is in the bridge. NULL when the mixer is dead or the slot unused.
 */
const int *ss_mixer_source_counter(ss_handle mixer, unsigned slot);
/*
 * The bridge asks a port for frames only while somebody hears it. For a port whose time passes anyway (a file that plays): call
 * `skip(user)` once a frame, in the clock thread, while nobody does. It ends with the removal of the port.
 */
pj_status_t ss_mixer_on_unheard(ss_handle mixer, unsigned slot, void (*skip)(void *user), void *user);
/*
 * For a port that keeps what comes until the bridge takes it (a stream with a jitter buffer): call `heard(user)` when somebody begins to hear it
 * whom nobody did before. The mixer's lock is held: no function of this file, and no lock that is held around one. Ends with the removal of the port.
 */
pj_status_t ss_mixer_on_heard(ss_handle mixer, unsigned slot, void (*heard)(void *user), void *user);

/* ---- the mixer itself (for _mixer.pyx) ------------------------------------------------------------------------- */

typedef struct ss_mixer_params {
    const char *input, *output;         /* device names; NULL = none */
    unsigned sample_rate, ec_tail_ms, slot_count;
} ss_mixer_params;

pj_status_t ss_mixer_create(const ss_mixer_params *params, ss_handle *handle);
/* Switch devices; while slots are used it waits until they are open, and tells how that went. */
pj_status_t ss_mixer_set_devices(ss_handle mixer, const char *input, const char *output, unsigned ec_tail_ms);
pj_status_t ss_mixer_connect(ss_handle mixer, unsigned source, unsigned sink);
pj_status_t ss_mixer_disconnect(ss_handle mixer, unsigned source, unsigned sink);
/* Connections as (source << 16 | sink), ascending; returns how many there are, stores at most `max`. */
unsigned ss_mixer_connections(ss_handle mixer, uint32_t *pairs, unsigned max);
pj_status_t ss_mixer_signal_level(ss_handle mixer, unsigned slot, unsigned *tx, unsigned *rx);
void ss_mixer_reset_ec(ss_handle mixer);
/* Device directions that are open (1 capture, 2 playback), or that would be at the next use while the mixer idles. */
unsigned ss_mixer_directions(ss_handle mixer);
unsigned ss_mixer_used_slots(ss_handle mixer);
uint64_t ss_mixer_ticks(ss_handle mixer);   /* frames mixed so far; stands still while no slot is used */

/* native/mixer_port.c: the slot that hands out what is connected into it. */
pj_status_t ss_mixer_port_start(ss_handle mixer, ss_handle *handle, unsigned *slot);

/* ---- native/media_endpoint.c ------------------------------------------------------------------------------------ */

/* One per engine run; NULL when the engine is off. */
pjmedia_endpt *ss_media_endpoint(void);
pj_status_t ss_media_start(void);       /* called by the engine: endpoint, event manager, codecs, sound subsystem */
void ss_media_stop(void);               /* after every object is closed; waits for those who hold it */
/*
 * Prefer the calling thread, and the threads it makes from now on, to others of this machine: for what works on audio. Returns the
 * niceness it had, for ss_set_niceness(). Mixing and receiving are preferred alike, since one is nothing without the other, and not
 * absolutely: with a real-time priority of its own the mixer starved the receiver, and SIP, as soon as there was too much to do.
 * Ordinary users are refused; audio then competes like anything.
 */
int ss_prefer_thread(void);
void ss_set_niceness(int niceness);
/* Number of the present engine run, 0 while the engine is off: tells whether a media object belongs to this run. */
unsigned ss_media_generation(void);
/*
 * Clocks and streams keep the media endpoint while they end, also those that another thread had begun to end before the engine's stop looked for
 * them. Hold it first, then see whether it is there.
 */
void ss_media_hold(void);
void ss_media_release(void);

/* Names of the codecs, newline-separated; enabled ones by preference, or all in the order of registration. Returns the length. */
size_t ss_codecs_list(int enabled_only, char *buffer, size_t size);
/* Enable these codecs in this order, disable all others. An unknown name: PJ_ENOTFOUND, nothing is changed. */
pj_status_t ss_codecs_set(const char *const *names, unsigned count);

/*
 * UDP ports for RTP: `pairs` pairs from the even port `first`. ss_rtp_ports_next() gives the RTP port of the next pair, round robin
 * over all callers, and how many there are: try so many before giving up. The pair may be in use.
 */
void ss_rtp_ports_set(unsigned first, unsigned pairs);
unsigned ss_rtp_ports_next(unsigned *pairs);

#endif
