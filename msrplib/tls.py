"""TLS for MSRP (RFC 4975 section 14.4): who we are, and whom we believe, by name or by fingerprint (RFC 8122)."""

from __future__ import annotations

import datetime
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate
from OpenSSL import SSL, crypto
from twisted.internet import ssl as _twisted_ssl
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from msrplib.errors import MSRPError

__all__ = ['TLSError', 'X509Credentials', 'certificate_fingerprint', 'client_creator', 'normalize_fingerprint', 'self_signed_certificate',
           'server_context']

# Twisted's has no annotations.
ssl: Any = _twisted_ssl

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {'sha-1': hashes.SHA1, 'sha-256': hashes.SHA256, 'sha-384': hashes.SHA384, 'sha-512': hashes.SHA512}


class TLSError(MSRPError):
    """A certificate, a key or a list of authorities cannot be used."""


def normalize_fingerprint(text: str) -> tuple[str, bytes]:
    """A fingerprint as in SDP, `sha-256 AB:CD:...`, as (name of the hash, bytes).

    Raises:
        TLSError: malformed, or the hash is unknown.
    """
    name, _, digits = text.strip().partition(' ')
    try:
        value = bytes.fromhex(digits.replace(':', ''))
    except ValueError:
        value = b''
    if name.lower() not in _HASHES or len(value) != _HASHES[name.lower()]().digest_size:
        raise TLSError(f'not a fingerprint: {text[:100]!r}')
    return name.lower(), value


def certificate_fingerprint(certificate: Certificate, algorithm: str = 'sha-256') -> str:
    """The fingerprint of a certificate, as it goes into SDP."""
    return f'{algorithm} {certificate.fingerprint(_HASHES[algorithm]()).hex(":").upper()}'


def _pem_parts(data: bytes, kind: bytes) -> list[bytes]:
    return re.findall(b'-----BEGIN ' + kind + b'-----.*?-----END ' + kind + b'-----', data, re.DOTALL)


def _read(source: str | Path | bytes) -> bytes:
    try:
        return source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise TLSError(str(error)) from None


@lru_cache(maxsize=1)
def self_signed_certificate() -> bytes:
    """A certificate of this process for nobody in particular, with its key, in PEM: good for fingerprints, as RFC 8122 section 3.3 has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'MSRP')])
    now = datetime.datetime.now(datetime.UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - datetime.timedelta(days=1),
                                          now + datetime.timedelta(days=365)).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class X509Credentials:
    """What we show to the other side, and what we believe of it.

    Args:
        certificate: ours, a file or its contents in PEM; others after it are sent as its chain. None if we have none: we can connect then, not listen.
        private_key: for it; None if it is in the same file.
        trusted: authorities, a file or its contents; None for those of the system.
        verify: whether the other side has to show a certificate for its name, or with its fingerprint. The one who listens knows no name: there, only a
            fingerprint is looked at, or, with `verify_client`, that an authority has signed it.
        fingerprint: of the other side, from its session description; its certificate may be signed by anybody then.
    Raises:
        TLSError: something cannot be read.
    """

    def __init__(self, certificate: str | Path | bytes | None = None, private_key: str | Path | bytes | None = None,
                 trusted: str | Path | bytes | None = None, verify: bool = True, fingerprint: str | None = None, verify_client: bool = False) -> None:
        self.verify = verify
        self.verify_client = verify_client
        self.fingerprint = None if fingerprint is None else normalize_fingerprint(fingerprint)
        self._chain: list[crypto.X509] = []
        self._key: crypto.PKey | None = None
        self._trusted: list[crypto.X509] | None = None
        try:
            if certificate is not None:
                data = _read(certificate)
                self._chain = self._certificates(data)
                key = data if private_key is None else _read(private_key)
                self._key = crypto.load_privatekey(crypto.FILETYPE_PEM, b'\n'.join(_pem_parts(key, b'(?:[A-Z]+ )?PRIVATE KEY')) or key)
                if not self._chain:
                    raise TLSError('there is no certificate in it')
            if trusted is not None:
                self._trusted = self._certificates(_read(trusted))
        except (crypto.Error, ValueError, TypeError) as error:
            raise TLSError(f'not usable: {error}') from None

    @staticmethod
    def _certificates(data: bytes) -> list[crypto.X509]:
        return [crypto.load_certificate(crypto.FILETYPE_PEM, part) for part in _pem_parts(data, b'CERTIFICATE')]

    @property
    def has_certificate(self) -> bool:
        """Whether we have something to show, without which we cannot listen."""
        return bool(self._chain)

    @property
    def local_fingerprint(self) -> str | None:
        """The fingerprint of our certificate, for a session description."""
        return certificate_fingerprint(self._chain[0].to_cryptography()) if self._chain else None

    def with_fingerprint(self, fingerprint: str | None) -> X509Credentials:
        """The same for a peer with another fingerprint, or with None for any that an authority has signed.

        Raises:
            TLSError: the fingerprint is malformed.
        """
        other = object.__new__(X509Credentials)
        other.__dict__.update(self.__dict__)
        other.fingerprint = None if fingerprint is None else normalize_fingerprint(fingerprint)
        return other

    def options(self, verify_chain: bool) -> Any:
        """Twisted's form of it."""
        arguments: dict[str, Any] = {'raiseMinimumTo': ssl.TLSVersion.TLSv1_2}
        if self._chain:
            arguments.update(certificate=self._chain[0], privateKey=self._key, extraCertChain=self._chain[1:])
        if verify_chain:
            arguments['trustRoot'] = self.trust_root()
        return ssl.CertificateOptions(**arguments)

    def trust_root(self) -> Any:
        """Whom we believe, in Twisted's form."""
        if self._trusted is None:
            return ssl.platformTrust()
        return ssl.trustRootFromCertificates([ssl.Certificate(item) for item in self._trusted])

    def check_fingerprint(self, context: SSL.Context) -> None:
        """Let a context believe the certificate with our fingerprint, and no other."""
        assert self.fingerprint is not None
        name, expected = self.fingerprint

        def callback(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
            return depth > 0 or certificate.to_cryptography().fingerprint(_HASHES[name]()) == expected
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, callback)
        # A session that is resumed shows no certificate.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Makes the client's side where no name is to be checked: a fingerprint is, or nothing."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """For Twisted."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        return connection


def client_creator(host: str, credentials: X509Credentials | None) -> Any:
    """What Twisted needs to connect with TLS to `host`, whose certificate has to be for that name or address (or have the fingerprint)."""
    credentials = credentials or X509Credentials()
    if credentials.fingerprint is None and credentials.verify:
        arguments: dict[str, Any] = {}
        if credentials.has_certificate:
            arguments['clientCertificate'] = ssl.PrivateCertificate.fromCertificateAndKeyPair(
                ssl.Certificate(credentials._chain[0]), ssl.KeyPair(credentials._key))
        return ssl.optionsForClientTLS(host, trustRoot=credentials.trust_root(),
                                       extraCertificateOptions={'raiseMinimumTo': ssl.TLSVersion.TLSv1_2}, **arguments)
    context = credentials.options(verify_chain=False).getContext()
    if credentials.fingerprint is not None:
        credentials.check_fingerprint(context)
    return _Creator(context)


def server_context(credentials: X509Credentials | None) -> Any:
    """What Twisted needs to listen with TLS.

    Raises:
        TLSError: there is no certificate.
    """
    if credentials is None or not credentials.has_certificate:
        raise TLSError('listening with TLS needs a certificate')
    options = credentials.options(verify_chain=credentials.verify_client and credentials.fingerprint is None)
    if credentials.fingerprint is not None:
        credentials.check_fingerprint(options.getContext())
    return options

