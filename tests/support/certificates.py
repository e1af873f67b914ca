"""Certificates for tests: a throw-away authority, and what it has signed, good and bad."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates into a folder.

    Attributes:
        file: its own certificate.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / 'ca.pem'
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'Test CA')])
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), critical=True).sign(self._key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, first_day: int = -2, last_day: int = 2,
                 issuer: x509.Name | None = None) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(issuer or self._name, subject, key.public_key(), x509.random_serial_number(), now + first_day * DAY,
                                       now + last_day * DAY)

    def issue(self, name: str, *names: str, expired: bool = False, self_signed: bool = False) -> Path:
        """Make name.pem and name.key for these host names and addresses; returns the path without an ending."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = [x509.IPAddress(ipaddress.ip_address(item)) if item[0].isdigit() or ':' in item else x509.DNSName(item) for item in names]
        builder = self._builder(subject, key, last_day=-1 if expired else 2, issuer=subject if self_signed else None)
        certificate = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False).sign(key if self_signed else self._key, hashes.SHA256())
        path = self.folder / name
        path.with_suffix('.pem').write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        path.with_suffix('.key').write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return path
