/* SIP transports: opening and closing UDP, TCP and TLS, and what becomes of their connections. */
#include "engine.h"

#include <ctype.h>
#include <string.h>

#include "events.h"

enum { V4, V6, FAMILIES };

static struct {
    pjsip_transport *udp[FAMILIES];
    pjsip_tpfactory *tcp[FAMILIES], *tls[FAMILIES];
} open_transports;

/* ---- connection events --------------------------------------------------------------------------------------- */

static void lower_case(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* PJSIP's own callback, which tells those that use a transport: the transactions that wait for an answer over it. */
static pjsip_tp_state_callback tell_users;

static void post_connection(pjsip_transport *transport, pjsip_transport_state state, const pjsip_transport_state_info *info)
{
    char type[32], local[PJ_INET6_ADDRSTRLEN + 10] = "", remote[PJ_INET6_ADDRSTRLEN + 10], reason[160];
    ss_blob blobs[4];
    int64_t status = info->status;
    int is_tls = (transport->key.type & ~PJSIP_TRANSPORT_IPV6) == PJSIP_TRANSPORT_TLS;

    pj_ansi_snprintf(type, sizeof type, "%s", pjsip_transport_get_type_name(transport->key.type & ~PJSIP_TRANSPORT_IPV6));
    lower_case(type);
    if (pj_sockaddr_has_addr(&transport->local_addr))
        pj_sockaddr_print(&transport->local_addr, local, sizeof local, 3);
    pj_sockaddr_print(&transport->key.rem_addr, remote, sizeof remote, 3);     /* remote_name is the one to verify */
    blobs[0] = (ss_blob){ type, strlen(type) };
    blobs[1] = (ss_blob){ local, strlen(local) };
    blobs[2] = (ss_blob){ remote, strlen(remote) };
    if (state == PJSIP_TP_STATE_CONNECTED) {
        if (is_tls)
            ss_post_tls(transport, info, blobs);
        ss_post(SS_EV_TRANSPORT_CONNECTED, 0, NULL, 0, blobs, 3);
    } else if (state == PJSIP_TP_STATE_DISCONNECTED) {
        if (is_tls)
            ss_post_tls(transport, info, blobs);
        ss_strerror(info->status, reason, sizeof reason);
        blobs[3] = (ss_blob){ reason, strlen(reason) };
        ss_post(SS_EV_TRANSPORT_DISCONNECTED, 0, &status, 1, blobs, 4);
    }
}

/* callback: pjsip_tpmgr state | thread: worker, any that sends | gil: no | locks: none, or transport | lifetime: the call */
static void on_transport_state(pjsip_transport *transport, pjsip_transport_state state,
                               const pjsip_transport_state_info *info)
{
    if (transport->flag & PJSIP_TRANSPORT_RELIABLE) {
        /* PJSIP would do it next. Who hears of the end must not send over this connection any more. */
        if (state == PJSIP_TP_STATE_CONNECTED)
            ss_connection_made(transport);
        else if (state == PJSIP_TP_STATE_DISCONNECTED || state == PJSIP_TP_STATE_DESTROY)
            ss_connection_ended(transport);
        if (state == PJSIP_TP_STATE_DISCONNECTED)
            pjsip_transport_shutdown(transport);
        post_connection(transport, state, info);
    }
    if (tell_users)
        tell_users(transport, state, info);
}

void ss_connection_dead(pjsip_transport *transport)
{
    pjsip_transport_state_info info;

    if (transport->is_shutdown)
        return;                         /* another one who watches it was first */
    pj_bzero(&info, sizeof info);
    info.status = PJ_ETIMEDOUT;
    on_transport_state(transport, PJSIP_TP_STATE_DISCONNECTED, &info);
}

void ss_datagrams_lost(const pj_sockaddr *remote, const char *reason)
{
    const pjsip_transport *own = open_transports.udp[remote->addr.sa_family == pj_AF_INET6() ? V6 : V4];
    char local_text[PJ_INET6_ADDRSTRLEN + 10] = "", remote_text[PJ_INET6_ADDRSTRLEN + 10];
    const int64_t status = PJ_ETIMEDOUT;
    ss_blob blobs[4] = { { "udp", 3 } };

    if (own)
        pj_sockaddr_print(&own->local_addr, local_text, sizeof local_text, 3);
    pj_sockaddr_print(remote, remote_text, sizeof remote_text, 3);
    blobs[1] = (ss_blob){ local_text, strlen(local_text) };
    blobs[2] = (ss_blob){ remote_text, strlen(remote_text) };
    blobs[3] = (ss_blob){ reason, strlen(reason) };
    ss_post(SS_EV_TRANSPORT_DISCONNECTED, 0, &status, 1, blobs, 4);
}

void ss_transports_init(void)
{
    pjsip_tpmgr *manager = pjsip_endpt_get_tpmgr(ss_endpoint());

    tell_users = pjsip_tpmgr_get_state_cb(manager);
    pjsip_tpmgr_set_state_cb(manager, &on_transport_state);
}

void ss_transports_closed(void)
{
    pj_bzero(&open_transports, sizeof open_transports);
    ss_connections_forget();
}

/* ---- addresses ----------------------------------------------------------------------------------------------- */

static pj_status_t make_address(int family, const char *host, unsigned port, pj_sockaddr *address)
{
    pj_str_t text = pj_str((char *)(host ? host : ""));

    return pj_sockaddr_init(family == V6 ? pj_AF_INET6() : pj_AF_INET(), address, host ? &text : NULL, (pj_uint16_t)port);
}

/*
 * The text of the address that a socket bound to `address` is reached at. PJSIP would ask the resolver for the name of this host, which takes
 * ten seconds and more without a name server.
 */
static pj_str_t own_name(const pj_sockaddr *address, char *text)
{
    pj_sockaddr own = *address;

    ss_own_address(own.addr.sa_family, &own);
    return pj_str((char *)pj_sockaddr_print(&own, text, PJ_INET6_ADDRSTRLEN, 0));
}

static int is_ipv6(const char *host)
{
    return host && strchr(host, ':') != NULL;
}

/* ---- UDP ------------------------------------------------------------------------------------------------------ */

static void close_udp(pjsip_transport *transport)
{
    /* Gives back the reference it was born with too (udp_shutdown() of PJSIP); open transactions hold their own. */
    if (transport)
        pjsip_transport_shutdown(transport);
}

/*
 * What is in Via and in the contacts that the core makes. A socket that is bound to every address has the one of the way to everybody.
 * Not by udp_transport_restart() of PJSIP: it refuses to send for a moment, and a request that falls in it is lost. The old text stays
 * in the transport's pool, as a message that is on its way may point to it.
 */
static void publish_udp(pjsip_transport *transport)
{
    char text[PJ_INET6_ADDRSTRLEN], *copy;
    pj_sockaddr own = transport->local_addr;
    pj_str_t name = own_name(&transport->local_addr, text);

    if (!ss_own_address(own.addr.sa_family, &own) || pj_strcmp(&name, &transport->local_name.host) == 0)
        return;                         /* without a network the old one is as good as any */
    copy = pj_pool_zalloc(transport->pool, sizeof text);        /* whole: the old length with the new text stays inside */
    memcpy(copy, name.ptr, (size_t)name.slen);
    transport->local_name.host.ptr = copy;
    transport->local_name.host.slen = name.slen;
}

static pj_status_t open_udp(int family, const char *host, unsigned port)
{
    pjsip_udp_transport_cfg config;
    char text[PJ_INET6_ADDRSTRLEN];
    pjsip_transport *transport;
    pj_status_t status;

    pjsip_udp_transport_cfg_default(&config, family == V6 ? pj_AF_INET6() : pj_AF_INET());
    status = make_address(family, host, port, &config.bind_addr);
    if (status == PJ_SUCCESS) {
        config.addr_name.host = own_name(&config.bind_addr, text);
        status = pjsip_udp_transport_start2(ss_endpoint(), &config, &transport);
    }
    if (status == PJ_SUCCESS) {
        open_transports.udp[family] = transport;
        transport->local_name.port = pj_sockaddr_get_port(&transport->local_addr);
    }
    return status;
}

void ss_udp_publish(void)
{
    for (int family = 0; family < FAMILIES; family++) {
        if (open_transports.udp[family])
            publish_udp(open_transports.udp[family]);
    }
}

void ss_udp_stop(void)
{
    for (int family = 0; family < FAMILIES; family++) {
        close_udp(open_transports.udp[family]);
        open_transports.udp[family] = NULL;
    }
}

pj_status_t ss_udp_start(const char *host, unsigned port, int ipv6, unsigned *bound)
{
    int family = is_ipv6(host) ? V6 : V4;
    pjsip_transport *old[FAMILIES];
    pj_status_t status;

    memcpy(old, open_transports.udp, sizeof old);
    pj_bzero(open_transports.udp, sizeof open_transports.udp);
    status = open_udp(family, host, port);
    if (status != PJ_SUCCESS) {
        memcpy(open_transports.udp, old, sizeof old);       /* better the old one than none */
        return status;
    }
    for (int other = 0; other < FAMILIES; other++)
        close_udp(old[other]);
    *bound = pj_sockaddr_get_port(&open_transports.udp[family]->local_addr);
    if (ipv6 && !host)
        open_udp(V6, NULL, *bound);     /* a host without IPv6 is no error */
    return PJ_SUCCESS;
}

/* ---- connections ---------------------------------------------------------------------------------------------- */

/*
 * No Nagle: a message goes out at once. With it the ACK of a call, or the BYE after it, waits for the acknowledgement of the
 * segment before, which the peer's kernel delays by 40 ms. Accepted connections inherit it from the listener.
 */
static void send_at_once(pj_sockopt_params *params)
{
    static int on = 1;

    params->cnt = 1;
    params->options[0].level = pj_SOL_TCP();
    params->options[0].optname = pj_TCP_NODELAY();
    params->options[0].optval = &on;
    params->options[0].optlen = sizeof on;
}

/* ---- TCP ------------------------------------------------------------------------------------------------------ */

static void close_factory(pjsip_tpfactory **factory)
{
    if (*factory)
        (*factory)->destroy(*factory);
    *factory = NULL;
}

static pj_status_t open_tcp(int family, const char *host, unsigned port)
{
    pjsip_tcp_transport_cfg config;
    char text[PJ_INET6_ADDRSTRLEN];
    pj_status_t status;

    pjsip_tcp_transport_cfg_default(&config, family == V6 ? pj_AF_INET6() : pj_AF_INET());
    send_at_once(&config.sockopt_params);
    status = make_address(family, host, port, &config.bind_addr);
    if (status == PJ_SUCCESS) {
        config.addr_name.host = own_name(&config.bind_addr, text);
        status = pjsip_tcp_transport_start3(ss_endpoint(), &config, &open_transports.tcp[family]);
    }
    if (status == PJ_SUCCESS)
        open_transports.tcp[family]->has_addr_name = PJ_FALSE;      /* each connection has its own */
    return status;
}

void ss_tcp_stop(void)
{
    close_factory(&open_transports.tcp[V4]);
    close_factory(&open_transports.tcp[V6]);
}

pj_status_t ss_tcp_start(const char *host, unsigned port, int ipv6, unsigned *bound)
{
    int family = is_ipv6(host) ? V6 : V4;
    pjsip_tpfactory *old[FAMILIES];
    pj_status_t status;

    memcpy(old, open_transports.tcp, sizeof old);
    pj_bzero(open_transports.tcp, sizeof open_transports.tcp);
    status = open_tcp(family, host, port);
    if (status != PJ_SUCCESS) {
        memcpy(open_transports.tcp, old, sizeof old);
        return status;
    }
    for (int other = 0; other < FAMILIES; other++)
        close_factory(&old[other]);
    *bound = (unsigned)open_transports.tcp[family]->addr_name.port;
    if (ipv6 && !host && open_tcp(V6, NULL, *bound) != PJ_SUCCESS)
        open_transports.tcp[V6] = NULL;
    return PJ_SUCCESS;
}

/* ---- TLS ------------------------------------------------------------------------------------------------------ */

static pj_status_t open_tls(int family, const char *host, unsigned port, const ss_tls_options *options)
{
    pjsip_tls_setting setting;
    char text[PJ_INET6_ADDRSTRLEN];
    pjsip_host_port name;
    pj_sockaddr address;
    pj_status_t status;

    pjsip_tls_setting_default(&setting);
    send_at_once(&setting.sockopt_params);
    if (options->ca_file)
        setting.ca_list_file = pj_str((char *)options->ca_file);
    if (options->cert_file)
        setting.cert_file = pj_str((char *)options->cert_file);
    if (options->privkey_file)
        setting.privkey_file = pj_str((char *)options->privkey_file);
    setting.verify_server = options->verify_server;
    setting.timeout.sec = options->timeout_ms / 1000;
    setting.timeout.msec = options->timeout_ms % 1000;
    setting.proto = PJ_SSL_SOCK_PROTO_TLS1_2 | PJ_SSL_SOCK_PROTO_TLS1_3;
    status = make_address(family, host, port, &address);
    if (status == PJ_SUCCESS) {
        name = (pjsip_host_port){ own_name(&address, text), 0 };
        status = pjsip_tls_transport_start2(ss_endpoint(), &setting, &address, &name, 4, &open_transports.tls[family]);
    }
    if (status == PJ_SUCCESS)
        open_transports.tls[family]->has_addr_name = PJ_FALSE;
    return status;
}

void ss_tls_stop(void)
{
    close_factory(&open_transports.tls[V4]);
    close_factory(&open_transports.tls[V6]);
}

pj_status_t ss_tls_start(const char *host, unsigned port, int ipv6, const ss_tls_options *options, unsigned *bound)
{
    int family = is_ipv6(host) ? V6 : V4;
    pj_status_t status;

    ss_tls_stop();
    status = open_tls(family, host, port, options);
    if (status != PJ_SUCCESS) {
        open_transports.tls[family] = NULL;
        return status;
    }
    *bound = (unsigned)open_transports.tls[family]->addr_name.port;
    if (ipv6 && !host && open_tls(V6, NULL, *bound, options) != PJ_SUCCESS)
        open_transports.tls[V6] = NULL;
    return PJ_SUCCESS;
}
