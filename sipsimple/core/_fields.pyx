# cython: language_level=3
"""Python header values on their way down: plain name and body texts."""

from libc.stdlib cimport free, malloc

from sipsimple.core._check cimport as_pj
from sipsimple.core._sip cimport ss_credentials, ss_field

from sipsimple.core.errors import SIPCoreError


cdef bytes to_bytes(object text):
    """str or bytes as bytes; None as b''. A line break or NUL would let a value forge message parts: refused."""
    cdef bytes data
    if text is None:
        return b''
    data = text.encode('utf-8', 'surrogateescape') if isinstance(text, str) else bytes(text)
    if b'\n' in data or b'\r' in data or b'\0' in data:
        raise SIPCoreError('line break or NUL in a SIP header value: %r' % (text,))
    return data


cdef class Fields:
    """A C array of ss_field for a list of headers; valid while this object lives."""

    def __cinit__(self, headers):
        cdef unsigned int i = 0
        cdef bytes name, body
        self._keep = []
        headers = list(headers or ())
        if headers:
            self.fields = <ss_field *>malloc(len(headers) * sizeof(ss_field))
            if self.fields is NULL:
                raise MemoryError
        for header in headers:
            name, body = to_bytes(header.name), to_bytes(header.body)
            if not name:
                raise SIPCoreError('a SIP header needs a name')
            self._keep.append((name, body))
            self.fields[i].name = as_pj(name)
            self.fields[i].body = as_pj(body)
            i += 1
        self.count = i

    def __dealloc__(self):
        free(self.fields)


cdef void set_credentials(ss_credentials *target, object credentials, list keep) except *:
    """Fill `target`; the bytes it points to are appended to `keep`."""
    cdef bytes username = b'', password = b'', realm = b'*'
    target.is_digest = 0
    if credentials is not None:
        username = to_bytes(credentials.username)
        password = to_bytes(credentials.password)
        realm = to_bytes(credentials.realm)
        target.is_digest = bool(credentials.digest)
    keep += [username, password, realm]
    target.username = as_pj(username)
    target.password = as_pj(password)
    target.realm = as_pj(realm)
