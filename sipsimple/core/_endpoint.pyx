# cython: language_level=3
"""The SIP endpoint as the Engine sees it: thin calls into native/endpoint.c and its neighbours."""

from libc.stdlib cimport free, malloc

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread
from sipsimple.core._sip cimport (
    ss_connections_close, ss_detect_nat_type, ss_endpoint, ss_engine_set_nameservers, ss_engine_set_sip_timers, ss_engine_start, ss_engine_stop,
    ss_log_set_level, ss_log_start, ss_tcp_start, ss_tcp_stop, ss_tls_options, ss_tls_start, ss_tls_stop, ss_trace_enable, ss_ua_set_incoming_requests,
    ss_ua_set_loop_detection, ss_ua_set_user_agent, ss_udp_publish, ss_udp_start, ss_udp_stop)

from sipsimple.core._check import status_text
from sipsimple.core.errors import PJSIPError, PJSIPTLSError, SIPCoreError

cdef extern from "pj/config.h":
    int PJ_LOG_MAX_LEVEL

cdef extern from "pjlib.h":
    const char *pj_get_version()

PJ_VERSION = (<bytes>pj_get_version()).decode()
LOG_MAX_LEVEL = PJ_LOG_MAX_LEVEL

# PJSIP's TLS errors: PJ_ERRNO_START_USER + 5 * 50000 is PJSIP_ERRNO_START ... 171160-171169 in sip_errno.h
TLS_STATUS = range(171160, 171170)


def start():
    """Create the endpoint and its threads. Raises PJSIPError."""
    cdef const char *step = NULL
    cdef pj_status_t status
    with nogil:
        status = ss_engine_start(&step)
    if status != 0:
        check(status, 'start the engine (%s)' % (<bytes>step).decode())


def stop():
    """End everything native; blocks until the threads are gone."""
    with nogil:
        ss_ensure_thread()
        ss_engine_stop()


def check_running():
    """SIPCoreError when there is no endpoint."""
    if ss_endpoint() is NULL:
        raise SIPCoreError('the Engine is not running')


def set_sip_timers(unsigned int t1=500, unsigned int t2=4000, unsigned int t4=5000, unsigned int td=32000):
    """Timers of RFC 3261 table 4 in milliseconds; td is 64 * T1, the time limit of a transaction. For tests."""
    with nogil:
        ss_ensure_thread()
        ss_engine_set_sip_timers(t1, t2, t4, td)


cdef bytes _encode(text):
    return None if text is None else text.encode()


def start_udp(host, unsigned int port, bint ipv6):
    """Open the UDP transport; the bound port."""
    cdef unsigned int bound = 0
    cdef bytes address = _encode(host)
    cdef const char *where = NULL if address is None else <const char *>address
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_udp_start(where, port, ipv6, &bound)
    check(status, f'open UDP port {port}')
    return bound


def start_tcp(host, unsigned int port, bint ipv6):
    """Open the TCP listener; the bound port."""
    cdef unsigned int bound = 0
    cdef bytes address = _encode(host)
    cdef const char *where = NULL if address is None else <const char *>address
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_tcp_start(where, port, ipv6, &bound)
    check(status, f'open TCP port {port}')
    return bound


def start_tls(host, unsigned int port, bint ipv6, bint verify_server, ca_file, cert_file, privkey_file,
              unsigned int timeout_ms):
    """Open the TLS listener; the bound port. Raises PJSIPTLSError for a TLS specific reason, else PJSIPError."""
    cdef unsigned int bound = 0
    cdef ss_tls_options options
    cdef bytes address = _encode(host), ca = _encode(ca_file), cert = _encode(cert_file), key = _encode(privkey_file)
    cdef const char *where = NULL if address is None else <const char *>address
    cdef pj_status_t status
    options.ca_file = NULL if ca is None else <const char *>ca
    options.cert_file = NULL if cert is None else <const char *>cert
    options.privkey_file = NULL if key is None else <const char *>key
    options.verify_server = verify_server
    options.timeout_ms = timeout_ms
    with nogil:
        ss_ensure_thread()
        status = ss_tls_start(where, port, ipv6, &options, &bound)
    if status in TLS_STATUS:
        raise PJSIPTLSError(f'open TLS port {port}: {status_text(status)}', status)
    check(status, f'open TLS port {port}')
    return bound


def stop_udp():
    """Close the UDP transport; no-op when it is off."""
    with nogil:
        ss_ensure_thread()
        ss_udp_stop()


def stop_tcp():
    """Close the TCP listener; no-op when it is off."""
    with nogil:
        ss_ensure_thread()
        ss_tcp_stop()


def stop_tls():
    """Close the TLS listener; no-op when it is off."""
    with nogil:
        ss_ensure_thread()
        ss_tls_stop()


def update_addresses(bint reconnect):
    """Tell the present address in Via and contacts, and close connections whose address is gone, or all of them; how many were closed."""
    cdef unsigned int closed
    with nogil:
        ss_ensure_thread()
        ss_udp_publish()
        closed = ss_connections_close(reconnect)
    return closed


def set_user_agent(str text):
    """The User-Agent of requests and the Server of responses; '' for none."""
    cdef bytes data = text.encode()
    ss_ua_set_user_agent(data)


def set_loop_detection(bint on):
    """Answer 482 to requests that this endpoint sent itself."""
    ss_ua_set_loop_detection(on)


def set_incoming_requests(methods):
    """Methods whose requests become IncomingRequest objects, in place of those named before."""
    cdef bytes data = ' '.join(sorted(methods)).encode()
    ss_ua_set_incoming_requests(data)


def set_trace(bint on):
    """Post an event of kind SIP_TRACE for each message that is sent or received."""
    ss_trace_enable(on)


def start_log(int level):
    """Post an event of kind LOG for each line of PJSIP's log up to this level (0..LOG_MAX_LEVEL). With each start of the endpoint."""
    ss_log_start(level)


def set_log_level(int level):
    """Change the level (0..LOG_MAX_LEVEL) of a log that was started."""
    ss_log_set_level(level)


def set_nameservers(addresses):
    """Give PJSIP's resolver its servers (IPv4 texts)."""
    cdef list keep = [address.encode() for address in addresses]
    cdef const char **pointers
    cdef unsigned int number = len(keep), i
    cdef pj_status_t status
    if not number:
        return
    pointers = <const char **>malloc(number * sizeof(char *))
    if pointers is NULL:
        raise MemoryError
    try:
        for i in range(number):
            pointers[i] = <const char *><bytes>keep[i]
        with nogil:
            ss_ensure_thread()
            status = ss_engine_set_nameservers(pointers, number)
    finally:
        free(pointers)
    check(status, 'set the nameservers')


def detect_nat_type(str address, unsigned int port, unsigned long long request):
    """Start a STUN NAT test; the result comes as an event with the request number."""
    cdef bytes data = address.encode()
    cdef const char *where = data
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_detect_nat_type(where, port, request)
    check(status, 'detect the NAT type')
