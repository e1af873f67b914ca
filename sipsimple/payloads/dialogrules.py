"""Who may see dialogs: rules as for presence, a private extension of common policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import XMLSimpleElement
from sipsimple.payloads.commonpolicy import ActionElement, CommonPolicyDocument, RuleSet
from sipsimple.payloads.presrules import SubHandlingValue

__all__ = ['DialogRules', 'DialogRulesDocument', 'SubHandling', 'namespace']

namespace = 'urn:ag-projects:xml:ns:dialog-rules'


class DialogRulesDocument(CommonPolicyDocument):
    """A document of rules about dialogs."""


DialogRulesDocument.register_namespace(namespace, prefix='dr', schema='dialog-rules.xsd')


class SubHandling(XMLSimpleElement, ActionElement, tag='sub-handling'):
    """What is done with a subscription: a `SubHandlingValue`."""

    _xml_namespace = namespace
    _xml_document = DialogRulesDocument
    _xml_value_type = SubHandlingValue


class DialogRules(RuleSet):
    """Rules about dialogs, by id.

    Args:
        rules: what to begin with.
    """

    _xml_document = DialogRulesDocument

    def __init__(self, rules: Iterable[Any] = ()) -> None:
        super().__init__(rules)
