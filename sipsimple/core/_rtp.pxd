# C declarations of native/rtp_transport.h and audio_stream.h. No logic.
from sipsimple.core._core cimport pj_status_t, ss_handle

cdef extern from "native/rtp_transport.h" nogil:
    enum:
        SS_ADDRESS_SIZE
        SS_RTP_NULL, SS_RTP_WAIT_STUN, SS_RTP_INIT, SS_RTP_LOCAL, SS_RTP_REMOTE, SS_RTP_ESTABLISHED, SS_RTP_INVALID
        SS_ENC_NONE, SS_ENC_SDES_OPTIONAL, SS_ENC_SDES_MANDATORY, SS_ENC_DTLS_OPTIONAL, SS_ENC_DTLS_MANDATORY
        SS_TURN_UDP, SS_TURN_TCP, SS_TURN_TLS
        PJ_EINVALIDOP, PJ_EGONE, PJ_ENOTFOUND, PJMEDIA_SDP_EINMEDIA

    pj_status_t PJ_STATUS_FROM_OS(int)

    ctypedef struct ss_rtp_params:
        int encryption, use_ice, ipv6
        const char *bind_address
        unsigned port_first, port_count
        const char *stun_server
        unsigned stun_port
        const char *turn_server
        const char *turn_username
        const char *turn_password
        unsigned turn_port
        int turn_transport
        const char *turn_tls_name
        const char *turn_ca_file
        int turn_verify
        unsigned dtls_limit_ms
        unsigned keep_alive_ms

    ctypedef struct ss_rtp_info:
        int state, ice_active, srtp_active, turn_failed
        char *local_address
        char *remote_address
        unsigned local_port, remote_port
        char *srtp_suite

    pj_status_t ss_rtp_create(const ss_rtp_params *params, ss_handle *handle)
    pj_status_t ss_rtp_set_init(ss_handle handle)
    pj_status_t ss_rtp_set_local(ss_handle handle, unsigned index)
    pj_status_t ss_rtp_set_remote(ss_handle handle, const char *remote, size_t remote_length, unsigned index)
    pj_status_t ss_rtp_set_established(ss_handle handle, const char *local, size_t local_length, const char *remote,
                                       size_t remote_length, unsigned index)
    pj_status_t ss_rtp_encode_sdp(ss_handle handle, const char *local, size_t local_length, const char *remote,
                                  size_t remote_length, unsigned index, char **text, size_t *length)
    pj_status_t ss_rtp_rebind(ss_handle handle, const char *remote, size_t remote_length, unsigned index)
    void ss_rtp_get_info(ss_handle handle, int full, ss_rtp_info *info)

cdef extern from "native/audio_stream.h" nogil:
    ctypedef struct ss_audio_figures:
        int count, max, min, last, mean

    ctypedef struct ss_audio_direction_stat:
        unsigned packets, bytes, discarded, lost, reordered, duplicate
        int burst_loss, random_loss
        ss_audio_figures loss_period, jitter

    ctypedef struct ss_audio_stat:
        ss_audio_figures rtt
        ss_audio_direction_stat rx, tx

    ctypedef struct ss_audio_info:
        char *codec
        unsigned sample_rate, slot
        int direction

    pj_status_t ss_audio_create(ss_handle rtp, ss_handle mixer, const char *codecs, int detect_silence, ss_handle *handle)
    pj_status_t ss_audio_local_media(ss_handle handle, const char *remote, size_t remote_length, unsigned index,
                                     const char *direction, char **text, size_t *length)
    pj_status_t ss_audio_start(ss_handle handle, const char *local, size_t local_length, const char *remote,
                               size_t remote_length, unsigned index, unsigned timeout_ms)
    void ss_audio_stop(ss_handle handle)
    int ss_audio_is_over(ss_handle handle)
    pj_status_t ss_audio_update(ss_handle handle, const char *local, size_t local_length, const char *remote,
                                size_t remote_length, unsigned index, int *rebuilt)
    pj_status_t ss_audio_set_direction(ss_handle handle, int direction)
    pj_status_t ss_audio_send_dtmf(ss_handle handle, char digit)
    pj_status_t ss_audio_set_volume(ss_handle handle, unsigned percent)
    pj_status_t ss_audio_get_info(ss_handle handle, ss_audio_info *info)
    pj_status_t ss_audio_get_stat(ss_handle handle, ss_audio_stat *stat)

cdef extern from "native/events.h":
    enum:
        SS_EV_RTP_INIT
        SS_EV_ICE_STATE
        SS_EV_ICE_DONE
        SS_EV_RTP_SECURE
        SS_EV_AUDIO_DTMF
        SS_EV_AUDIO_TIMEOUT
