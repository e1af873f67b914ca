/* Kinds of events that C threads queue for Python. The comment gives num[] and blobs; "raw" = the SIP message as on the wire. */
#ifndef SS_EVENTS_H
#define SS_EVENTS_H

enum ss_event_kind {
    /* engine: handle 0 */
    SS_EV_LOG = 1,                      /* level | text */
    SS_EV_SIP_TRACE,                    /* received, source port, destination port, time us | source ip, destination ip, transport, raw */
    SS_EV_MESSAGE,                      /* | raw */
    SS_EV_NAT_TYPE,                     /* status, request id | type name, error */
    SS_EV_TRANSPORT_CONNECTED,          /* | transport, local, remote */
    SS_EV_TRANSPORT_DISCONNECTED,       /* status | transport, local, remote, reason */
    SS_EV_TRANSPORT_VERIFIED,           /* verify status, verified, version | transport, local, remote, hostname, cipher, certificate (fields that end with NUL, see tls_events.c; empty: none) */
    SS_EV_TRANSPORT_CERT_ERROR,         /* verify status | transport, local, remote, reason, errors (each ends with NUL) */
    SS_EV_MALFORMED,                    /* | source, text */

    /* request client: SS_T_REQUEST */
    SS_EV_REQUEST_RESPONSE = 100,       /* code, source port, cseq | raw (empty: generated here), reason, source ip */
    SS_EV_REQUEST_TIMER,                /* which */
    SS_EV_REQUEST_SENT,                 /* | raw; once, though a challenge may have it sent again */
    /* incoming request: handle is new */
    SS_EV_INCOMING_REQUEST = 120,       /* source port | raw, source ip, transport */
    SS_EV_INCOMING_REQUEST_SENT,        /* code | raw response */

    /* dialogs of events: SS_T_SUBSCRIPTION, SS_T_INCOMING_SUBSCRIPTION, SS_T_REFERRAL, SS_T_INCOMING_REFERRAL */
    SS_EV_DIALOG_INCOMING = 150,        /* handle is new; source port, request number, type | raw, source ip, transport, local tag, contact */
    SS_EV_DIALOG_REQUEST,               /* source port, request number | raw, source ip */
    SS_EV_DIALOG_ANSWERED,              /* code, request number | raw response */
    SS_EV_DIALOG_CALL,                  /* Python asked to be called in the order of events */

    /* invitation: SS_T_INVITATION */
    SS_EV_INV_INCOMING = 200,           /* handle is new; source port | raw, source ip, transport, local tag, contact, sdp */
    SS_EV_INV_STATE,                    /* pjsip_inv_state, code, originator (1 local, 2 remote), is_request, source port, flags | raw, reason, source ip, transport, extra */
    SS_EV_INV_SDP,                      /* status | local sdp, remote sdp, error */
    SS_EV_INV_REINVITE,                 /* 1 = has an offer | raw, offer sdp */
    SS_EV_INV_REINVITE_END,             /* code, originator, 1 = ours | raw, reason */
    SS_EV_INV_MESSAGE,                  /* | raw */
    SS_EV_INV_TRANSFER_IN,              /* code answered | raw */
    SS_EV_INV_TRANSFER_STATE,           /* pjsip_evsub_state, code | state name, raw, reason */
    SS_EV_INV_TRANSFER_NOTIFY,          /* | raw */
    SS_EV_INV_REINVITE_SENT,
    SS_EV_INV_REINVITE_PROGRESS,        /* code | raw */
    SS_EV_INV_OFFER,                    /* | offer sdp of a response to an INVITE without one */
    SS_EV_INV_TRANSFER_OUT,             /* | raw REFER that we send */
    SS_EV_INV_UPDATE,                   /* | raw UPDATE of the peer that has a contact */

    /* media */
    SS_EV_RTP_INIT = 300,               /* SS_T_RTP_TRANSPORT; status | error text */
    SS_EV_ICE_STATE,                    /* previous, new */
    SS_EV_ICE_DONE,                     /* status, duration us | report text, error text */
    SS_EV_RTP_SECURE,                   /* 1 = DTLS has made keys, 0 = it has failed | suite, or error text */
    SS_EV_AUDIO_DTMF = 320,             /* SS_T_AUDIO_STREAM; digit character */
    SS_EV_AUDIO_TIMEOUT,
    SS_EV_WAVE_FINISHED = 340,          /* SS_T_WAVE_PLAYER; play number */
    SS_EV_TONE_FINISHED,                /* SS_T_TONE */
    SS_EV_AUDIO_DEVICES                 /* what changed */
};

#endif
