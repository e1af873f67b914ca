/*
 * PJSIP compile-time settings of sipsimple.
 *
 * PJSIP and everything that includes its headers must see this same file: several of these macros change structure layouts.
 * What configure decides (codecs found, SRTP flavour, sound back end) is not repeated here; see buildtools/pjsip.py.
 */

/* ---- PJLIB ---- */
#define PJ_HAS_IPV6                             1
#define PJ_TERM_HAS_COLOR                       0
#define PJ_LOG_MAX_LEVEL                        6
#define PJ_MAX_HOSTNAME                         256   /* an RFC 1035 name has at most 253 characters; the default is 128 */

/* select() fails for the whole process once 1,024 descriptors are open, whoever opened them; epoll (chosen by configure) has no such limit. Two
 * sockets per audio leg. */
#define PJ_IOQUEUE_MAX_HANDLES                  8192

/* Keeps the source line of every timer entry: debug builds only, it makes each entry larger. */
#ifdef NDEBUG
#   define PJ_TIMER_DEBUG                       0
#endif

/* Sanitizer builds define this to 1: every pool allocation is then its own malloc block, so overflows inside pools become visible. */
#ifdef SIPSIMPLE_POOL_DEBUG
#   define PJ_POOL_DEBUG                        1
#endif

/* ---- PJNATH ---- */
#define PJ_ICE_MAX_CAND                         32
#define PJ_ICE_ST_MAX_CAND                      16
#define PJ_ICE_MAX_CHECKS                       256

/* ---- PJSIP ---- */
/* Hash buckets, not limits: an answered UDP request lives 32 s, so 1,023 buckets halve the stateful rate. */
#define PJSIP_MAX_TSX_COUNT                     65535
#define PJSIP_MAX_DIALOG_COUNT                  16383
#define PJSIP_TPMGR_HTABLE_SIZE                 1023

/* Entries allocated at start; the heap grows by itself. The default, 2 * (transactions + dialogs), would cost tens of MB at once. */
#define PJSIP_MAX_TIMER_COUNT                   4096

/* A UDP datagram carries 65,507 bytes at most: this size holds any, with room to see that one was cut. A message to send is printed into
 * PJSIP_FIRST_TX_LEN bytes first (our patch 61) and into a buffer of this size only when it is longer, so one cached pool of the length below serves
 * nearly every message with no further malloc. Large blocks would be given back to the kernel each time, which costs more than the packet itself. */
#define PJSIP_MAX_PKT_LEN                       65536
/* What is received over a stream may be longer (our patch 92): a notification about a list of a thousand contacts, with their documents. Of this room in
 * each connection only the pages take memory that a message has reached. */
#define PJSIP_MAX_RX_LEN                        1048576
#define PJSIP_FIRST_TX_LEN                      4000
#define PJSIP_POOL_LEN_TDATA                    12288
#define PJSIP_POOL_INC_TDATA                    4096
/* Receive pools live as long as their transport and are reset after each packet: the first block is kept and should hold a whole message. */
#define PJSIP_POOL_RDATA_LEN                    (PJSIP_MAX_RX_LEN + 12288)
#define PJSIP_POOL_RDATA_INC                    4096

#define PJSIP_MAX_URL_SIZE                      4096

/* Credentials for a realm go into all later requests of the same dialog: RFC 3261 sections 22.2, 22.3. */
#define PJSIP_AUTH_AUTO_SEND_NEXT               1

/* The route decides on the transport, never the size of the message. */
#define PJSIP_DONT_SWITCH_TO_TCP                1

#define PJSIP_TCP_TRANSPORT_BACKLOG             128
#define PJSIP_TLS_TRANSPORT_BACKLOG             128

/* ---- PJMEDIA ---- */
#define PJMEDIA_MAX_MRU                         3000
#define PJMEDIA_RTP_PT_TELEPHONE_EVENTS         101
/* Where RTCP goes is decided by native/leg.c (our patch 65). */
#define PJMEDIA_RTCP_NAT_PROBATION_CNT          0

/* The parallel bridge with one thread (no workers) costs the same as the serial one; more workers are a run-time choice. */
#define PJMEDIA_CONF_BACKEND                    PJMEDIA_CONF_PARALLEL_BRIDGE_BACKEND
#define PJMEDIA_CONF_THREADS                    1

#define PJMEDIA_AUDIO_DEV_HAS_NULL_AUDIO        1
#define PJMEDIA_HAS_LEGACY_SOUND_API            0

#define PJMEDIA_HAS_SRTP                        1
#define PJMEDIA_SRTP_HAS_SDES                   1
/* DTLS-SRTP is our own, native/dtls_srtp.c. With this one, the first SRTP transport of a process would make an RSA key for certificates: 100 ms in
   which the SDK thread stands still. */
#define PJMEDIA_SRTP_HAS_DTLS                   0
/* RFC 7714. PJMEDIA wants names that libsrtp 2 had only when it was built with OpenSSL, long ago; Debian's has the ciphers by NSS. */
#define PJMEDIA_SRTP_HAS_AES_GCM_256            1
#define PJMEDIA_SRTP_HAS_AES_GCM_128            1
#define srtp_aes_gcm_256_openssl                srtp_aes_gcm_256
#define srtp_aes_gcm_128_openssl                srtp_aes_gcm_128

#define PJMEDIA_HAS_VIDEO                       0
#define PJMEDIA_HAS_WEBRTC_AEC                  0
#define PJMEDIA_HAS_WEBRTC_AEC3                 0
