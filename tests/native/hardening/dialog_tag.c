/* A dialog whose tag has the hash value 0. What PJLIB takes for its unique strings is a constant here. */
#include "common.h"

PJ_DEF_DATA(const unsigned) PJ_GUID_STRING_LENGTH = 36;

PJ_DEF(unsigned) pj_GUID_STRING_LENGTH(void)
{
    return PJ_GUID_STRING_LENGTH;
}

PJ_DEF(pj_str_t *) pj_generate_unique_string(pj_str_t *text)
{
    memcpy(text->ptr, "d48600d9-514b-4655-a606-43a65dc1f54b", 36);
    text->slen = 36;
    return text;
}

int main(void)
{
    const pj_str_t local = pj_str((char *)"<sip:a@127.0.0.1>"), remote = pj_str((char *)"<sip:b@127.0.0.1>");
    pjsip_endpoint *endpoint;
    pjsip_dialog *dialog;

    begin();
    CHECK_STATUS(pjsip_endpt_create(&caching_pool.factory, "test", &endpoint), PJ_SUCCESS);
    CHECK_STATUS(pjsip_tsx_layer_init_module(endpoint), PJ_SUCCESS);
    CHECK_STATUS(pjsip_ua_init_module(endpoint, NULL), PJ_SUCCESS);
    CHECK_STATUS(pjsip_dlg_create_uac(pjsip_ua_instance(), &local, NULL, &remote, NULL, &dialog), PJ_SUCCESS);
    CHECK(dialog->local.tag_hval == 0);
    CHECK(pjsip_ua_find_dialog(&dialog->call_id->id, &dialog->local.info->tag, &dialog->remote.info->tag, PJ_FALSE) == dialog);
    CHECK_STATUS(pjsip_dlg_terminate(dialog), PJ_SUCCESS);
    CHECK(pjsip_ua_get_dlg_set_count() == 0);
    printf("ok\n");
    return 0;
}
