"""What waits in a mailbox: application/simple-message-summary, RFC 3842."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self

from sipsimple.payloads import ValidationError

__all__ = ['MessageSummary']

_COUNTS = re.compile(r'(\d{1,10})\s*/\s*(\d{1,10})(?:\s*\(\s*(\d{1,10})\s*/\s*(\d{1,10})\s*\))?')
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+^_`|~.-]+")
_FIELDS = ('new_messages', 'old_messages', 'new_urgent_messages', 'old_urgent_messages')
_CLASSES = ('voice-message', 'fax-message', 'pager-message', 'multimedia-message', 'text-message', 'none')


class MessageSummary:
    """What waits in a mailbox.

    Attributes:
        messages_waiting: whether anything new does.
        message_account: URI of the mailbox, or None.
        summaries: class of messages in lower case (`voice-message`, `fax-message`, `pager-message`, `multimedia-message`, `text-message`, `none`) ->
            dict with the numbers `new_messages`, `old_messages`, `new_urgent_messages`, `old_urgent_messages`.
        optional_headers: a text of header lines for each message that they tell of.
    """

    content_type: ClassVar[str] = 'application/simple-message-summary'
    max_size: ClassVar[int] = 1 << 16

    def __init__(self, messages_waiting: bool = False, message_account: str | None = None, summaries: Mapping[str, Mapping[str, int]] | None = None,
                 optional_headers: Iterable[str | Sequence[str]] | None = None) -> None:
        self.messages_waiting = messages_waiting
        self.message_account = message_account
        self.summaries: dict[str, dict[str, int]] = {name.lower(): {field: int(counts.get(field, 0)) for field in _FIELDS}
                                                     for name, counts in (summaries or {}).items()}
        self.optional_headers = [block if isinstance(block, str) else '\r\n'.join(block) for block in optional_headers or ()]

    @classmethod
    def parse(cls, content: str | bytes) -> Self:
        """The summary of a body; lines end with CRLF or LF.

        Raises:
            ValidationError: it is none.
        """
        if len(content) > cls.max_size:
            raise ValidationError(f'a message summary has no more than {cls.max_size} bytes')
        if not isinstance(content, str):
            try:
                content = bytes(content).decode('utf-8')
            except UnicodeDecodeError as error:
                raise ValidationError(f'the message summary is no UTF-8: {error}') from error
        head, *blocks = re.split(r'\n(?:[ \t]*\n)+', content.replace('\r\n', '\n').strip())
        waiting: bool | None = None
        account: str | None = None
        summaries: dict[str, dict[str, int]] = {}
        for line in re.sub(r'\n[ \t]+', ' ', head).split('\n'):
            name, colon, value = (part.strip() for part in line.partition(':'))
            if not colon or not _NAME.fullmatch(name):
                raise ValidationError(f'{line!r} is no line of a message summary')
            name = name.lower()
            if name == 'messages-waiting':
                if value.lower() not in ('yes', 'no'):
                    raise ValidationError(f'Messages-Waiting is {value!r}, neither yes nor no')
                waiting = value.lower() == 'yes'
            elif name == 'message-account':
                account = value or None
            else:
                counts = _COUNTS.fullmatch(value)
                if counts is not None:
                    summaries[name] = {field: int(number or 0) for field, number in zip(_FIELDS, counts.groups(), strict=True)}
                elif name in _CLASSES:
                    raise ValidationError(f'{value!r} are no numbers of messages')
        if waiting is None:
            raise ValidationError('there is no Messages-Waiting')
        return cls(waiting, account, summaries, ['\r\n'.join(block.split('\n')) for block in blocks])

    def to_string(self) -> str:
        """The body.

        Raises:
            ValueError: the account or a header has an end of line, or a class has another name than a header can have.
        """
        lines = [f'Messages-Waiting: {"yes" if self.messages_waiting else "no"}']
        if self.message_account:
            if re.search(r'[\r\n]', self.message_account):
                raise ValueError(f'{self.message_account!r} is no URI')
            lines.append(f'Message-Account: {self.message_account}')
        for name, counts in self.summaries.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f'{name!r} is no class of messages')
            new, old, new_urgent, old_urgent = (int(counts.get(field, 0)) for field in _FIELDS)
            lines.append(f'{name.title()}: {new}/{old} ({new_urgent}/{old_urgent})')
        for block in self.optional_headers:
            lines += ['', *block.splitlines()]
        return ''.join(line + '\r\n' for line in lines)

    def __str__(self) -> str:
        return self.to_string()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MessageSummary):
            return (self.messages_waiting, self.message_account, self.summaries, self.optional_headers) == (
                other.messages_waiting, other.message_account, other.summaries, other.optional_headers)
        return NotImplemented

    __hash__ = None     # type: ignore[assignment]

    def __repr__(self) -> str:
        return f'MessageSummary({self.messages_waiting}, {self.message_account!r}, {self.summaries!r})'
