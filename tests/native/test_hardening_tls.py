"""The identity of a TLS server: NUL in a subjectAltName, common name beside subjectAltNames (patches 03, 14)."""

import datetime
import ipaddress
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.native.hardening.programs import program, run

DNS, URI = 0x82, 0x86      # context tags of GeneralName (RFC 5280 section 4.2.1.6)


def certificate(name, key, issuer, issuer_key, extensions=()):
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number(), now - datetime.timedelta(days=1),
                                      now + datetime.timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


class TLSServer:
    """Accepts one connection with a certificate of the given subject and raw subjectAltName entries."""

    def __init__(self, folder, subject, names):
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'Test CA')])
        ca = certificate(ca_name, ca_key, ca_name, ca_key, [(x509.BasicConstraints(True, None), True)])
        extensions = []
        if names:
            entries = b''.join(bytes([tag, len(value)]) + value for tag, value in names)
            oid = x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME
            extensions.append((x509.UnrecognizedExtension(oid, bytes([0x30, len(entries)]) + entries), False))
        cert = certificate(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]), key, ca_name, ca_key, extensions)
        self.ca_file = folder / 'ca.pem'
        self.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        chain = folder / 'server.pem'
        chain.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
                          + cert.public_bytes(serialization.Encoding.PEM))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.socket.settimeout(30)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        try:
            connection, _ = self.socket.accept()
            with self.context.wrap_socket(connection, server_side=True) as stream:
                stream.settimeout(30)
                stream.recv(1000)
        except OSError:
            pass                # the client went away, which is what most tests want

    def close(self):
        self.socket.close()
        self.thread.join(30)


CN, O = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME     # noqa: E741

CASES = {
    'dns name': ([(CN, 'other')], [(DNS, b'victim.example')], 'connected'),
    'uri': ([(CN, 'other')], [(URI, b'sip:victim.example')], 'connected'),
    'address': ([(CN, 'other')], [(0x87, ipaddress.ip_address('127.0.0.1').packed)], 'refused'),
    'NUL in dns name': ([(CN, 'other')], [(DNS, b'victim.example\0.attacker.example')], 'refused'),
    'NUL in uri': ([(CN, 'other')], [(URI, b'sip:victim.example\0.attacker.example')], 'refused'),
    'NUL in dns name, common name': ([(CN, 'victim.example')], [(DNS, b'victim.example\0.attacker.example')], 'refused'),
    'empty dns name, common name': ([(CN, 'victim.example')], [(DNS, b'')], 'refused'),
    'address too short, common name': ([(CN, 'victim.example')], [(0x87, b'\x7f')], 'refused'),
    'common name alone': ([(CN, 'victim.example')], [], 'connected'),
    'common name beside dns name': ([(CN, 'victim.example')], [(DNS, b'attacker.example')], 'refused'),
    'common name beside uri': ([(CN, 'victim.example')], [(URI, b'sip:attacker.example')], 'refused'),
    'common name inside organization': ([(O, 'x/CN=victim.example'), (CN, 'attacker.example')], [], 'refused'),
    'slash in common name': ([(CN, 'victim.example/x')], [], 'refused'),
}


@pytest.mark.parametrize('case', CASES)
def test_server_identity(case, tmp_path):
    subject, names, expected = CASES[case]
    path = program('tls_identity', (), 'release')
    server = TLSServer(tmp_path, subject, names)
    try:
        assert run(path, server.port, 'victim.example', server.ca_file) == expected
    finally:
        server.close()
