/* Offer and answer by themselves: PJMEDIA's negotiator (RFC 3264) over text. */
#ifndef SS_NEGOTIATOR_H
#define SS_NEGOTIATOR_H

#include <pjmedia.h>

#include "core.h"

typedef struct ss_negotiator ss_negotiator;

enum ss_negotiator_input { SS_NEG_LOCAL_OFFER, SS_NEG_LOCAL_ANSWER, SS_NEG_REMOTE_OFFER, SS_NEG_REMOTE_ANSWER };
enum ss_negotiator_sdp { SS_NEG_ACTIVE_LOCAL, SS_NEG_ACTIVE_REMOTE, SS_NEG_CURRENT_LOCAL, SS_NEG_CURRENT_REMOTE };

/* `input` is one of the offers. Any thread; one object is used by one thread at a time, which is the caller's business (the Python side holds the
 * GIL). No locks but the pool factory's, which nobody holds while waiting for anything. */
pj_status_t ss_negotiator_create(int input, const char *text, size_t length, ss_negotiator **negotiator);
void ss_negotiator_destroy(ss_negotiator *negotiator);
pj_status_t ss_negotiator_set(ss_negotiator *negotiator, int input, const char *text, size_t length);
pj_status_t ss_negotiator_cancel_offer(ss_negotiator *negotiator);
pj_status_t ss_negotiator_negotiate(ss_negotiator *negotiator);
const char *ss_negotiator_state(ss_negotiator *negotiator);

/* `*text` is NULL when there is no such description, else to be freed. */
pj_status_t ss_negotiator_get(ss_negotiator *negotiator, int which, char **text, size_t *length);

#endif
