/* A socket that cannot be registered: the next one can, and a group lock is as before. Socket and key of a failed registration are in nobody's hands. */
#include "common.h"

static int destroyed;

static void on_destroy(void *user)
{
    (void)user;
    destroyed++;
}

int main(void)
{
    enum { HANDLES = 8 };
    const pj_ioqueue_callback callbacks = { NULL };
    pj_ioqueue_t *ioqueue;
    pj_ioqueue_key_t *first, *key;
    pj_grp_lock_t *lock;
    pj_sock_t sock;
    int i;

    begin();
    CHECK_STATUS(pj_ioqueue_create(pool, HANDLES, &ioqueue), PJ_SUCCESS);
    CHECK_STATUS(pj_grp_lock_create(pool, NULL, &lock), PJ_SUCCESS);
    pj_grp_lock_add_ref(lock);
    CHECK_STATUS(pj_grp_lock_add_handler(lock, pool, NULL, &on_destroy), PJ_SUCCESS);
    CHECK_STATUS(pj_sock_socket(pj_AF_INET(), pj_SOCK_DGRAM(), 0, &sock), PJ_SUCCESS);
    CHECK_STATUS(pj_ioqueue_register_sock2(pool, ioqueue, sock, lock, NULL, &callbacks, &first), PJ_SUCCESS);
    for (i = 0; i < 2 * HANDLES; ++i) {
        const int references = pj_grp_lock_get_ref(lock);

        key = first;
        CHECK(pj_ioqueue_register_sock2(pool, ioqueue, sock, lock, NULL, &callbacks, &key) != PJ_SUCCESS);      /* a second time */
        CHECK(key == NULL);
        CHECK(pj_grp_lock_get_ref(lock) == references);
        pj_grp_lock_acquire(lock);
        pj_grp_lock_release(lock);
    }
    for (i = 1; i < HANDLES; ++i) {
        CHECK_STATUS(pj_sock_socket(pj_AF_INET(), pj_SOCK_DGRAM(), 0, &sock), PJ_SUCCESS);
        CHECK_STATUS(pj_ioqueue_register_sock2(pool, ioqueue, sock, NULL, NULL, &callbacks, &key), PJ_SUCCESS);
        CHECK_STATUS(pj_ioqueue_lock_key(key), PJ_SUCCESS);
        CHECK_STATUS(pj_ioqueue_unlock_key(key), PJ_SUCCESS);
    }
    CHECK_STATUS(pj_ioqueue_unregister(first), PJ_SUCCESS);
    CHECK(pj_grp_lock_get_ref(lock) == 1);
    pj_grp_lock_dec_ref(lock);
    CHECK(destroyed == 1);
    CHECK_STATUS(pj_ioqueue_destroy(ioqueue), PJ_SUCCESS);
    printf("ok\n");
    return 0;
}
