/*
 * Several answers to one INVITE (RFC 3261 section 13.2.2.4). While it rings, the branch that spoke last stands for the
 * dialog, and the first 2xx makes it final; PJSIP sees to that. Every further 2xx made a call at a place where we are
 * not: it is acknowledged, by a dialog of its own, and ended at once. Python does not hear of it.
 */
#include "invitation.h"

static pj_status_t send_in_dialog(pjsip_dialog *dialog, const pjsip_method *method, int cseq)
{
    pjsip_tx_data *tdata;
    pj_status_t status = pjsip_dlg_create_request(dialog, method, cseq, &tdata);

    if (status == PJ_SUCCESS)
        status = pjsip_dlg_send_request(dialog, tdata, -1, NULL);
    return status;
}

/* callback: pjsip_module on_rx_response | thread: worker | gil: no | locks: dialog | lifetime: dialog */
static pj_bool_t on_rx_response(pjsip_rx_data *rdata)
{
    pjsip_dialog *dialog = pjsip_rdata_get_dlg(rdata);

    if (!dialog || rdata->msg_info.cseq->method.id != PJSIP_INVITE_METHOD || rdata->msg_info.msg->line.status.code / 100 != 2
        || !pjsip_dlg_has_usage(dialog, &ss_inv_fork_module))
        return PJ_FALSE;
    send_in_dialog(dialog, pjsip_get_ack_method(), rdata->msg_info.cseq->cseq);     /* for each retransmission, too */
    if (!pjsip_dlg_get_mod_data(dialog, ss_inv_fork_module.id)) {
        pjsip_dlg_set_mod_data(dialog, ss_inv_fork_module.id, dialog);
        send_in_dialog(dialog, pjsip_get_bye_method(), -1);
        pjsip_dlg_dec_session(dialog, &ss_inv_fork_module);     /* lives as long as the BYE now */
    }
    return PJ_TRUE;
}

/* callback: pjsip_module on_tsx_state | thread: worker | gil: no | locks: dialog | lifetime: dialog */
static void on_tsx_state(pjsip_transaction *tsx, pjsip_event *event)
{
    pjsip_dialog *dialog = pjsip_tsx_get_dlg(tsx);
    pjsip_tx_data *tdata;

    if (dialog && tsx->role == PJSIP_ROLE_UAC && tsx->state == PJSIP_TSX_STATE_COMPLETED
        && (tsx->status_code == 401 || tsx->status_code == 407) && event->body.tsx_state.type == PJSIP_EVENT_RX_MSG
        && pjsip_auth_clt_reinit_req(&dialog->auth_sess, event->body.tsx_state.src.rdata, tsx->last_tx, &tdata) == PJ_SUCCESS)
        pjsip_dlg_send_request(dialog, tdata, -1, NULL);
}

pjsip_module ss_inv_fork_module = {
    .name = { "mod-invite-fork", 15 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_DIALOG_USAGE + 2,
    .on_rx_response = &on_rx_response,
    .on_tsx_state = &on_tsx_state,
};

/* callback: pjsip_ua on_dlg_forked | thread: worker | gil: no | locks: dialog table | lifetime: dialog set */
pjsip_dialog *ss_inv_on_forked(pjsip_dialog *first, pjsip_rx_data *rdata)
{
    pjsip_dialog *dialog;

    if (!first->uac_has_2xx)
        return first;
    if (rdata->msg_info.msg->line.status.code / 100 != 2)
        return NULL;                    /* it rings elsewhere: of no interest any more */
    /* PJSIP asserts that there is a tag. */
    if (rdata->msg_info.to->tag.slen == 0 || pjsip_dlg_fork(first, rdata, &dialog) != PJ_SUCCESS)
        return NULL;
    pjsip_dlg_inc_session(dialog, &ss_inv_fork_module);         /* until the response gets to it */
    pjsip_dlg_add_usage(dialog, &ss_inv_fork_module, NULL);
    return dialog;
}
