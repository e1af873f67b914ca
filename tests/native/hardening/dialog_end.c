/*
 * A dialog that two take for theirs to destroy: the second comes between the first one's look at the counters and the end. Both looks are in one thread here,
 * one behind the other, while a reference keeps the memory. The dialog must be destroyed once.
 */
#include "common.h"

static int destroyed;

static void on_destroy(void *user)
{
    (void)user;
    destroyed++;
}

int main(void)
{
    const pj_str_t local = pj_str((char *)"<sip:a@127.0.0.1>"), remote = pj_str((char *)"<sip:b@127.0.0.1>");
    pjsip_endpoint *endpoint;
    pjsip_dialog *dialog;
    pj_grp_lock_t *lock;

    begin();
    CHECK_STATUS(pjsip_endpt_create(&caching_pool.factory, "test", &endpoint), PJ_SUCCESS);
    CHECK_STATUS(pjsip_tsx_layer_init_module(endpoint), PJ_SUCCESS);
    CHECK_STATUS(pjsip_ua_init_module(endpoint, NULL), PJ_SUCCESS);
    CHECK_STATUS(pjsip_dlg_create_uac(pjsip_ua_instance(), &local, NULL, &remote, NULL, &dialog), PJ_SUCCESS);
    lock = dialog->grp_lock_;
    CHECK_STATUS(pj_grp_lock_add_handler(lock, pool, NULL, &on_destroy), PJ_SUCCESS);
    pj_grp_lock_add_ref(lock);
    for (int i = 0; i < 2; i++) {
        pjsip_dlg_inc_lock(dialog);
        pjsip_dlg_dec_lock(dialog);
        CHECK(destroyed == 0);          /* our reference */
    }
    CHECK(pj_grp_lock_get_ref(lock) == 1);
    pj_grp_lock_dec_ref(lock);
    CHECK(destroyed == 1);
    printf("ok\n");
    return 0;
}
