/* What the programs share: start and stop of PJLIB, checks that name the line. */
#ifndef HARDENING_COMMON_H
#define HARDENING_COMMON_H

#include <pjsip.h>
#include <pjsip_simple.h>
#include <pjsip_ua.h>
#include <pjmedia.h>
#include <pjmedia-codec.h>
#include <pjnath.h>
#include <pjlib-util.h>
#include <pjlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(expression) do { if (!(expression)) { \
    printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #expression); exit(1); } } while (0)

#define CHECK_STATUS(got, expected) do { int status_ = (got); if (status_ != (expected)) { char text_[100]; \
    pj_strerror(status_, text_, sizeof(text_)); \
    printf("%s:%d: status %d (%s) instead of %d\n", __FILE__, __LINE__, status_, text_, (int)(expected)); exit(1); } } while (0)

static pj_caching_pool caching_pool;
static pj_pool_t *pool;

static inline void begin(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    pj_log_set_level(0);
    CHECK_STATUS(pj_init(), PJ_SUCCESS);
    CHECK_STATUS(pjlib_util_init(), PJ_SUCCESS);
    CHECK_STATUS(pjnath_init(), PJ_SUCCESS);
    pj_caching_pool_init(&caching_pool, NULL, 0);
    pool = pj_pool_create(&caching_pool.factory, "test", 65536, 65536, NULL);
    CHECK(pool != NULL);
}

#endif
