from collections.abc import Iterable

PJ_VERSION: str
LOG_MAX_LEVEL: int
TLS_STATUS: range

def start() -> None:
    """Create the endpoint and its threads. Raises PJSIPError."""
def stop() -> None:
    """End everything native; blocks until the threads are gone."""
def start_udp(host: str | None, port: int, ipv6: bool) -> int:
    """Open the UDP transport; the bound port."""
def start_tcp(host: str | None, port: int, ipv6: bool) -> int:
    """Open the TCP listener; the bound port."""
def start_tls(host: str | None, port: int, ipv6: bool, verify_server: bool, ca_file: str | None, cert_file: str | None,
              privkey_file: str | None, timeout_ms: int) -> int:
    """Open the TLS listener; the bound port. Raises PJSIPTLSError for a TLS specific reason, else PJSIPError."""
def stop_udp() -> None:
    """Close the UDP transport; no-op when it is off."""
def stop_tcp() -> None:
    """Close the TCP listener; no-op when it is off."""
def stop_tls() -> None:
    """Close the TLS listener; no-op when it is off."""
def update_addresses(reconnect: bool) -> int:
    """Tell the present address in Via and contacts, and close connections whose address is gone, or all of them; how many were closed."""
def check_running() -> None:
    """SIPCoreError when there is no endpoint."""
def set_sip_timers(t1: int = 500, t2: int = 4000, t4: int = 5000, td: int = 32000) -> None:
    """Timers of RFC 3261 table 4 in milliseconds; td is 64 * T1, the time limit of a transaction. For tests."""
def set_user_agent(text: str) -> None:
    """The User-Agent of requests and the Server of responses; '' for none."""
def set_loop_detection(on: bool) -> None:
    """Answer 482 to requests that this endpoint sent itself."""
def set_incoming_requests(methods: Iterable[str]) -> None:
    """Methods whose requests become IncomingRequest objects, in place of those named before."""
def set_trace(on: bool) -> None:
    """Post an event of kind SIP_TRACE for each message that is sent or received."""
def start_log(level: int) -> None:
    """Post an event of kind LOG for each line of PJSIP's log up to this level (0..LOG_MAX_LEVEL). With each start of the endpoint."""
def set_log_level(level: int) -> None:
    """Change the level (0..LOG_MAX_LEVEL) of a log that was started."""
def set_nameservers(addresses: Iterable[str]) -> None:
    """Give PJSIP's resolver its servers (IPv4 texts)."""
def detect_nat_type(address: str, port: int, request: int) -> None:
    """Start a STUN NAT test; the result comes as an event with the request number."""
