/* Connect by TLS to 127.0.0.1:PORT as the server NAME, trusting the CA file; prints "connected" or the status. Arguments: PORT NAME CA */
#include "common.h"

static int result = -1;

static void on_state(pjsip_transport *tp, pjsip_transport_state state, const pjsip_transport_state_info *info)
{
    (void)tp;
    if (result == -1 && state == PJSIP_TP_STATE_CONNECTED)
        result = 0;
    else if (result == -1 && state == PJSIP_TP_STATE_DISCONNECTED)
        result = info->status ? info->status : -2;
}

int main(int argc, char **argv)
{
    pjsip_endpoint *endpt;
    pjsip_tls_setting setting;
    pjsip_transport *tp = NULL;
    pjsip_tx_data *tdata;
    pj_sockaddr address;
    pj_str_t loopback = pj_str((char*)"127.0.0.1"), target, from = pj_str((char*)"<sip:a@example.com>");
    char uri[300];
    pj_status_t status;
    int i;

    begin();
    CHECK(argc == 4);
    CHECK_STATUS(pjsip_endpt_create(&caching_pool.factory, "test", &endpt), PJ_SUCCESS);
    pjsip_tpmgr_set_state_cb(pjsip_endpt_get_tpmgr(endpt), &on_state);
    pjsip_tls_setting_default(&setting);
    setting.ca_list_file = pj_str(argv[3]);
    setting.verify_server = PJ_TRUE;
    CHECK_STATUS(pjsip_tls_transport_start2(endpt, &setting, NULL, NULL, 1, NULL), PJ_SUCCESS);
    snprintf(uri, sizeof(uri), "<sip:%s:%s;transport=tls>", argv[2], argv[1]);
    target = pj_str(uri);
    CHECK_STATUS(pjsip_endpt_create_request(endpt, &pjsip_options_method, &target, &from, &target, NULL, NULL, -1, NULL, &tdata), PJ_SUCCESS);
    pj_strdup2_with_null(tdata->pool, &tdata->dest_info.name, argv[2]);
    CHECK_STATUS(pj_sockaddr_init(pj_AF_INET(), &address, &loopback, (pj_uint16_t)atoi(argv[1])), PJ_SUCCESS);
    status = pjsip_endpt_acquire_transport2(endpt, PJSIP_TRANSPORT_TLS, &address, pj_sockaddr_get_len(&address), NULL, tdata, &tp);
    if (status != PJ_SUCCESS && status != PJ_EPENDING)
        result = status;
    for (i = 0; i < 500 && result == -1; ++i) {
        pj_time_val wait = {0, 10};
        pjsip_endpt_handle_events(endpt, &wait);
    }
    if (result == 0)
        puts("connected");
    else if (result == PJSIP_TLS_ECERTVERIF)
        puts("refused");
    else
        printf("status %d\n", result);
    return 0;
}
