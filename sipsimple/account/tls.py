"""Certificates of MSRP connections, from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msrplib.tls import X509Credentials

__all__ = ['tls_credentials']


def tls_credentials() -> X509Credentials:
    """What to show and whom to believe: `tls.certificate`, `tls.ca_list` and `tls.verify_server` of the general settings.

    Without a certificate there is one that this process has made and signed: the peer knows it by the fingerprint in our session description.

    Raises:
        TLSError: a file cannot be used.
    """
    from msrplib.tls import X509Credentials, self_signed_certificate
    from sipsimple.configuration.settings import SIPSimpleSettings
    settings = SIPSimpleSettings().tls
    certificate = settings.certificate.normalized if settings.certificate else self_signed_certificate()
    return X509Credentials(certificate, trusted=settings.ca_list.normalized if settings.ca_list else None, verify=settings.verify_server)
