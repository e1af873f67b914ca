"""The other side of a DTLS-SRTP handshake (RFC 5764), by pyOpenSSL, datagram by datagram; its media by `srtp_packets`."""

from __future__ import annotations

import base64
import contextlib
import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from tests.support.srtp_packets import SUITES, Context

PROFILES = {'AES_CM_128_HMAC_SHA1_80': b'SRTP_AES128_CM_SHA1_80', 'AES_CM_128_HMAC_SHA1_32': b'SRTP_AES128_CM_SHA1_32',
            'AEAD_AES_128_GCM': b'SRTP_AEAD_AES_128_GCM', 'AEAD_AES_256_GCM': b'SRTP_AEAD_AES_256_GCM'}
HASHES: dict[str, type[hashes.HashAlgorithm]] = {'sha-1': hashes.SHA1, 'sha-224': hashes.SHA224, 'sha-256': hashes.SHA256, 'sha-384': hashes.SHA384,
                                                 'sha-512': hashes.SHA512}


def is_dtls(data: bytes) -> bool:
    return len(data) > 12 and 19 < data[0] < 64


class Certificate:
    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'peer')])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
                            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                            .not_valid_after(now + datetime.timedelta(days=1)).sign(self.key, hashes.SHA256()))

    def fingerprint(self, name: str = 'sha-256') -> str:
        return f'{name} {self.certificate.fingerprint(HASHES[name]()).hex(":").upper()}'


class DTLSPeer:
    """One association. `suite` None: without SRTP."""

    def __init__(self, client: bool, certificate: Certificate | None = None, suite: str | None = 'AES_CM_128_HMAC_SHA1_80') -> None:
        self.client, self.suite = client, suite
        self.certificate = certificate or Certificate()
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(self.certificate.certificate)
        context.use_privatekey(self.certificate.key)
        if suite is not None:
            context.set_tlsext_use_srtp(PROFILES[suite])
        self.connection: Any = SSL.Connection(context)
        self.connection.set_ciphertext_mtu(1200)
        (self.connection.set_connect_state if client else self.connection.set_accept_state)()
        self.done = False
        self.error: Exception | None = None
        self.sends: Context | None = None
        self.receives: Context | None = None

    def receive(self, data: bytes) -> list[bytes]:
        """Take a datagram; the datagrams to be sent for it."""
        if data:
            self.connection.bio_write(data)
        return self._go_on()

    def start(self) -> list[bytes]:
        return self._go_on()

    def timeout(self) -> list[bytes]:
        """What is sent again now, if it is time."""
        if not self.done:
            with contextlib.suppress(SSL.Error):
                self.connection.DTLSv1_handle_timeout()
        return self._output()

    def _go_on(self) -> list[bytes]:
        try:
            if not self.done:
                self.connection.do_handshake()
                self.done = True
                if self.suite is not None:
                    self._take_keys()
            else:
                self.connection.recv(2048)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error = error
        return self._output()

    def _output(self) -> list[bytes]:
        found = []
        with contextlib.suppress(SSL.WantReadError, SSL.Error):
            while True:
                found.append(self.connection.bio_read(1500))
        return found

    def peer_certificate(self) -> str:
        """The fingerprint of what the other side has shown."""
        certificate = self.connection.get_peer_certificate(as_cryptography=True)
        return f'sha-256 {certificate.fingerprint(hashes.SHA256()).hex(":").upper()}'

    def _take_keys(self) -> None:
        assert self.suite is not None
        assert self.connection.get_selected_srtp_profile() == PROFILES[self.suite]
        key, salt = SUITES[self.suite].key, SUITES[self.suite].salt
        material = self.connection.export_keying_material(b'EXTRACTOR-dtls_srtp', 2 * (key + salt))
        client = material[:key] + material[2 * key:2 * key + salt]
        server = material[key:2 * key] + material[2 * key + salt:]
        ours, theirs = (client, server) if self.client else (server, client)
        self.sends = Context(self.suite, base64.b64encode(ours).decode())
        self.receives = Context(self.suite, base64.b64encode(theirs).decode())
