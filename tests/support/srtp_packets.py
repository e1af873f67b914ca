"""SRTP with keys from the SDP, as a peer of its own: RFC 3711, 4568, 6188, 7714. RTP only, no rollover."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER = 12


@dataclass(frozen=True)
class Suite:
    """Octets of the keys, and of the authentication tag."""

    key: int
    salt: int
    tag: int
    aead: bool = False


SUITES = {
    'AES_CM_128_HMAC_SHA1_80': Suite(16, 14, 10),
    'AES_CM_128_HMAC_SHA1_32': Suite(16, 14, 4),
    'AES_256_CM_HMAC_SHA1_80': Suite(32, 14, 10),
    'AES_256_CM_HMAC_SHA1_32': Suite(32, 14, 4),
    'AEAD_AES_128_GCM': Suite(16, 12, 16, aead=True),
    'AEAD_AES_256_GCM': Suite(32, 12, 16, aead=True),
}


def _counter_mode(key: bytes, counter: int, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


class Context:
    """One direction: a suite and a master key with its salt, as in the `inline:` of a crypto attribute."""

    def __init__(self, suite: str, inline: str | None = None) -> None:
        self.name, self.suite = suite, SUITES[suite]
        size = self.suite.key + self.suite.salt
        self.master = base64.b64decode(inline) if inline is not None else os.urandom(size)
        assert len(self.master) == size, (suite, len(self.master))
        key, salt = self.master[:self.suite.key], self.master[self.suite.key:].ljust(14, b'\0')

        def derive(label: int, octets: int) -> bytes:
            return _counter_mode(key, (int.from_bytes(salt) ^ label << 48) << 16, bytes(octets))
        self.key, self.auth, self.salt = derive(0, self.suite.key), derive(1, 20), derive(2, self.suite.salt)

    @classmethod
    def parse(cls, attribute: str) -> Context:
        """Of the value of a crypto attribute: tag, suite, inline:key and salt."""
        _, suite, parameters = attribute.split()[:3]
        return cls(suite, parameters.removeprefix('inline:').partition('|')[0])

    def attribute(self, tag: int = 1) -> str:
        return f'{tag} {self.name} inline:{base64.b64encode(self.master).decode()}'

    def _crypt(self, header: bytes, data: bytes) -> bytes:
        index, ssrc = int.from_bytes(header[2:4]), int.from_bytes(header[8:12])
        return _counter_mode(self.key, int.from_bytes(self.salt) << 16 ^ ssrc << 64 ^ index << 16, data)

    def _nonce(self, header: bytes) -> bytes:
        value = int.from_bytes(header[8:12]) << 48 | int.from_bytes(header[2:4])
        return (value ^ int.from_bytes(self.salt)).to_bytes(12)

    def _tag(self, data: bytes) -> bytes:
        return hmac.new(self.auth, data + bytes(4), hashlib.sha1).digest()[:self.suite.tag]

    def protect(self, packet: bytes) -> bytes:
        header, payload = packet[:HEADER], packet[HEADER:]
        if self.suite.aead:
            return header + AESGCM(self.key).encrypt(self._nonce(header), payload, header)
        data = header + self._crypt(header, payload)
        return data + self._tag(data)

    def unprotect(self, data: bytes) -> bytes | None:
        """The packet, or None when it is not authentic."""
        header, rest = data[:HEADER], data[HEADER:]
        if self.suite.aead:
            try:
                return header + AESGCM(self.key).decrypt(self._nonce(header), rest, header)
            except InvalidTag:
                return None
        body, tag = data[:-self.suite.tag], data[-self.suite.tag:]
        return header + self._crypt(header, body[HEADER:]) if hmac.compare_digest(tag, self._tag(body)) else None
