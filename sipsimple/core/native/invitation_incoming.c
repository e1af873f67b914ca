/* An INVITE outside dialogs: checked, answered with 100, made a dialog and an Invitation. */
#include "invitation.h"

#include <string.h>

#include <pj/ctype.h>

#include "events.h"

/* The user part of an address, escaped as it must be (RFC 3261 section 25.1); empty when it does not fit. */
static const char *escaped_user(const pj_str_t *user, char *buffer, size_t size)
{
    size_t used = 0;

    for (pj_ssize_t i = 0; i < user->slen; i++) {
        unsigned char byte = (unsigned char)user->ptr[i];
        int plain = byte < 0x80 && (pj_isalnum(byte) || (byte && strchr("-_.!~*'()&=+$,;?/", byte)));

        if (used + 4 > size)
            return "";
        if (plain)
            buffer[used++] = (char)byte;
        else
            used += (size_t)pj_ansi_snprintf(buffer + used, size - used, "%%%02X", byte);
    }
    buffer[used] = '\0';
    return buffer;
}

/*
 * Default contact: the request URI when its host is an address and it names the transport the request came over, else where the
 * request arrived. A contact without transport would have the ACK and all later requests sent over UDP.
 */
pj_str_t ss_default_contact(pjsip_rx_data *rdata, char *buffer, size_t size)
{
    pjsip_uri *uri = pjsip_uri_get_uri(rdata->msg_info.msg->line.req.uri);
    pjsip_transport *transport = rdata->tp_info.transport;
    const char *type = transport->type_name;
    pj_str_t contact = { buffer, 0 };
    pjsip_sip_uri *sip = NULL;
    int length, names_transport;

    if (PJSIP_URI_SCHEME_IS_SIP(uri) || PJSIP_URI_SCHEME_IS_SIPS(uri))
        sip = (pjsip_sip_uri *)uri;
    names_transport = pj_ansi_stricmp(type, "udp") == 0 || (sip && (sip->transport_param.slen || PJSIP_URI_SCHEME_IS_SIPS(uri)));
    if (sip && names_transport && ss_is_address(&sip->host)) {
        char text[PJSIP_MAX_URL_SIZE];
        int used = pjsip_uri_print(PJSIP_URI_IN_CONTACT_HDR, uri, text, sizeof text - 1);

        if (used > 0) {
            length = pj_ansi_snprintf(buffer, size, "<%.*s>", used, text);
            if (length > 0 && (size_t)length < size) {
                contact.slen = length;
                return contact;
            }
        }
    }
    {
        char local[PJ_INET6_ADDRSTRLEN + 10], escaped[256];
        const char *user = sip ? escaped_user(&sip->user, escaped, sizeof escaped) : "";

        if (pj_sockaddr_has_addr(&transport->local_addr))
            pj_sockaddr_print(&transport->local_addr, local, sizeof local, 3);
        else
            pj_ansi_snprintf(local, sizeof local, pj_strchr(&transport->local_name.host, ':') ? "[%.*s]:%d" : "%.*s:%d",
                             (int)transport->local_name.host.slen, transport->local_name.host.ptr, transport->local_name.port);
        length = pj_ansi_snprintf(buffer, size, "<sip:%s%s%s%s%s>", user, *user ? "@" : "", local,
                                  pj_ansi_stricmp(type, "udp") == 0 ? "" : ";transport=",
                                  pj_ansi_stricmp(type, "udp") == 0 ? "" : type);
        contact.slen = length > 0 && (size_t)length < size ? length : 0;
    }
    return contact;
}

static void refuse(pjsip_rx_data *rdata, pjsip_tx_data *tdata, int code)
{
    pjsip_response_addr address;

    if (!tdata) {
        ss_ua_respond(rdata, code, NULL);
        return;
    }
    if (pjsip_get_response_addr(tdata->pool, rdata, &address) != PJ_SUCCESS
        || pjsip_endpt_send_response(ss_endpoint(), &address, tdata, NULL, NULL) != PJ_SUCCESS)
        pjsip_tx_data_dec_ref(tdata);
}

/* End a session that Python has not heard of. `tdata`: PJSIP's own negative answer (422), or NULL. */
static void give_up(pjsip_inv_session *inv, pjsip_rx_data *rdata, pjsip_tx_data *tdata)
{
    inv->mod_data[ss_ua_module.id] = NULL;
    if (!tdata && pjsip_dlg_create_response(inv->dlg, rdata, PJSIP_SC_INTERNAL_SERVER_ERROR, NULL, &tdata) != PJ_SUCCESS)
        tdata = NULL;
    if (!tdata || !inv->invite_tsx || pjsip_inv_send_msg(inv, tdata) != PJ_SUCCESS)
        pjsip_inv_terminate(inv, PJSIP_SC_INTERNAL_SERVER_ERROR, PJ_FALSE);
}

/* handler of INVITE outside dialogs | thread: worker */
static void on_invite(pjsip_rx_data *rdata)
{
    unsigned options = PJSIP_INV_SUPPORT_100REL | PJSIP_INV_SUPPORT_TIMER | PJSIP_INV_SUPPORT_UPDATE;
    char contact_text[PJSIP_MAX_URL_SIZE + 16], sdp_text[SS_INV_SDP_SIZE];
    pjsip_rdata_sdp_info *sdp_info;
    pjsip_dialog *dialog = NULL, *replaced = NULL;
    pjsip_inv_session *inv = NULL;
    pjsip_tx_data *tdata = NULL;
    pj_str_t contact;
    ss_inv *self;
    pj_status_t status;
    int64_t nums[1] = { rdata->pkt_info.src_port };
    ss_blob blobs[6];

    if (!ss_admit_invite(rdata))
        return;
    status = pjsip_replaces_verify_request(rdata, &replaced, PJ_FALSE, &tdata);
    if (status != PJ_SUCCESS) {
        refuse(rdata, tdata, 500);
        return;
    }
    sdp_info = pjsip_rdata_get_sdp_info(rdata);
    status = pjsip_inv_verify_request2(rdata, &options, sdp_info->sdp, NULL, NULL, ss_endpoint(), &tdata);
    if (status != PJ_SUCCESS) {
        refuse(rdata, tdata, 500);
        return;
    }
    contact = ss_default_contact(rdata, contact_text, sizeof contact_text);
    status = pjsip_dlg_create_uas_and_inc_lock(pjsip_ua_instance(), rdata, contact.slen ? &contact : NULL, &dialog);
    if (status != PJ_SUCCESS) {
        refuse(rdata, NULL, 500);
        return;
    }
    status = pjsip_inv_create_uas(dialog, rdata, NULL, options, &inv);
    if (status != PJ_SUCCESS) {
        if (pjsip_dlg_create_response(dialog, rdata, 500, NULL, &tdata) == PJ_SUCCESS)
            pjsip_dlg_send_response(dialog, pjsip_rdata_get_tsx(rdata), tdata);
        pjsip_dlg_dec_lock(dialog);
        return;
    }
    self = ss_inv_new();
    status = self ? ss_inv_start_session_timer(inv) : PJ_ENOMEM;
    if (status == PJ_SUCCESS)
        status = pjsip_inv_initial_answer(inv, rdata, 100, NULL, NULL, &tdata);
    if (status != PJ_SUCCESS) {
        give_up(inv, rdata, tdata);
        if (self)
            ss_object_close(self->base.handle);
        pjsip_dlg_dec_lock(dialog);
        return;
    }
    ss_inv_attach(self, inv);
    blobs[0] = ss_raw(rdata);
    blobs[1] = (ss_blob){ rdata->pkt_info.src_name, strlen(rdata->pkt_info.src_name) };
    blobs[2] = (ss_blob){ rdata->tp_info.transport->type_name, strlen(rdata->tp_info.transport->type_name) };
    blobs[3] = (ss_blob){ dialog->local.info->tag.ptr, (size_t)dialog->local.info->tag.slen };
    blobs[4] = (ss_blob){ contact.ptr, (size_t)contact.slen };
    blobs[5] = ss_inv_print_sdp(sdp_info->sdp, sdp_text, sizeof sdp_text);
    ss_post(SS_EV_INV_INCOMING, self->base.handle, nums, 1, blobs, 6);
    /* After the announcement: the send may fail at once, and that ends the session. */
    if (pjsip_inv_send_msg(inv, tdata) != PJ_SUCCESS && inv->state < PJSIP_INV_STATE_DISCONNECTED)
        pjsip_inv_terminate(inv, PJSIP_SC_TSX_TRANSPORT_ERROR, PJ_TRUE);
    pjsip_dlg_dec_lock(dialog);
}

void ss_invitation_incoming_init(void)
{
    ss_ua_set_handler("INVITE", &on_invite);
}
