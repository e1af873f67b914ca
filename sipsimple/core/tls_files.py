"""Look at the files of a TLS transport before it is opened: PJSIP reads them with the first connection, when nobody is there to be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sipsimple.core.errors import PJSIPTLSError

__all__ = ['check_tls_files']

ECACERT, ECERTFILE, EKEYFILE = 171162, 171163, 171164       # PJSIP_TLS_...


def check_tls_files(ca_file: str | None, cert_file: str | None, privkey_file: str | None) -> None:
    """Load the files as OpenSSL will, and forget them again. Thread: any; reads files.

    Args:
        ca_file: trusted certificates. cert_file: our certificate and its chain. privkey_file: its key. All PEM; None: there is none.
    Raises:
        PJSIPTLSError: a file cannot be read, has nothing of the kind in it, or the key (one with a passphrase, for instance) does not belong to
            the certificate.
    """
    if ca_file is None and cert_file is None:
        return
    import ssl

    def attempt(what: str, status: int, load: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        try:
            load(*args, **kwargs)
        except (OSError, ValueError) as error:
            raise PJSIPTLSError(f'read {what}: {_reason(error)}', status) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is not None:
        attempt(f'the trusted certificates {ca_file}', ECACERT, context.load_verify_locations, ca_file)
    if cert_file is not None:
        attempt(f'the certificate {cert_file}', ECERTFILE, context.load_verify_locations, cert_file)
        # With a password, so that nobody is asked for one on the terminal.
        attempt(f'the key {privkey_file or cert_file} of the certificate {cert_file}', EKEYFILE, context.load_cert_chain, cert_file, privkey_file,
                password='')


def _reason(error: Exception) -> str:
    return str(getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error)
