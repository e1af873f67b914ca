"""How fast documents are read and written, beside lxml alone on the same documents.

    python bench/payloads_bench.py [rounds]

A presence document of 5 KB and a list of 500 resources, parsed, and built (`toxml`) of objects that a program has made. The bare side of these parses
the document with the same settings and looks at the tag, the text and the attributes of every node; it knows no types and checks no schema. The other rows
have a bare side that does the same with nodes. Sides take turns, and of all rounds the best counts: on a machine that does other things too, the rest is
noise. The status is 1 when a ratio with a target is over it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lxml import etree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sipsimple.payloads.cipid  # noqa: F401 - it adds to pidf
from sipsimple.payloads.caps import ServiceCapabilities
from sipsimple.payloads.pidf import PIDF, Contact, DeviceID, Note, Person, Service
from sipsimple.payloads.resourcelists import Entry, List, ResourceLists
from sipsimple.payloads.rpid import Activities, PlaceIs, TimeOffset, UserInput

TARGET = 3.0
RL = 'urn:ietf:params:xml:ns:resource-lists'


def presence() -> bytes:
    """Services, devices and a person of one user, 5 KB."""
    tuples = ''.join(f'''
  <tuple id="t{number}">
    <status><basic>open</basic><agp-pidf:extended>busy</agp-pidf:extended></status>
    <dm:deviceID>urn:uuid:00000000-0000-0000-0000-00000000000{number}</dm:deviceID>
    <caps:servcaps><caps:audio>true</caps:audio><caps:message>true</caps:message><caps:text>false</caps:text><caps:video>false</caps:video></caps:servcaps>
    <rpid:relationship><rpid:self/></rpid:relationship>
    <rpid:user-input idle-threshold="600" last-input="2026-01-01T13:20:00-05:00">active</rpid:user-input>
    <contact priority="0.{number}">sip:alice@host{number}.example.com;transport=tls</contact>
    <note xml:lang="en">On the phone, back in a minute</note>
    <note xml:lang="de">Am Telefon, gleich zur&#252;ck</note>
    <timestamp>2026-01-01T16:09:44Z</timestamp>
  </tuple>''' for number in range(1, 6))
    return f'''<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:agp-pidf="urn:ag-projects:xml:ns:pidf" xmlns:caps="urn:ietf:params:xml:ns:pidf:caps" \
xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:alice@example.com">{tuples}
  <note>I'll be in Tokyo next week</note>
  <dm:person id="p1">
    <rpid:activities from="2026-01-01T12:00:00+05:00" until="2026-01-01T17:00:00+05:00"><rpid:note>Far away</rpid:note><rpid:away/>\
<rpid:travel/></rpid:activities>
    <rpid:mood><rpid:happy/></rpid:mood>
    <rpid:place-is><rpid:audio><rpid:noisy/></rpid:audio></rpid:place-is>
    <rpid:time-offset description="America/New_York">-300</rpid:time-offset>
    <dm:note>Scoring 120</dm:note>
    <dm:timestamp>2026-01-01T16:09:44+05:00</dm:timestamp>
  </dm:person>
</presence>
'''.encode()


def resources() -> bytes:
    """A list of 500 resources with names."""
    entries = ''.join(f'    <entry uri="sip:user{number}@example.com"><display-name>User number {number}</display-name></entry>\n' for number in range(500))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<resource-lists xmlns="{RL}">\n  <list name="friends">\n{entries}  </list>\n</resource-lists>\n'.encode()


PRESENCE, RESOURCES = presence(), resources()
_TREE = etree.fromstring(PRESENCE)
PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


def bare(document: bytes) -> None:
    for node in etree.fromstring(document, PARSER).iter():
        node.tag, node.text, dict(node.attrib)


def read_presence() -> None:
    """What a program that shows presence looks at."""
    pidf = PIDF.parse(PRESENCE)
    for service in pidf.services:
        service.status.basic.value, service.status.extended.value, service.contact.value, service.contact.priority, service.timestamp.value     # noqa: B018
        list(service.notes), service.relationship.value, service.user_input.value, service.capabilities.audio.value, list(service)
    for person in pidf.persons:
        list(person.activities), list(person.mood), person.time_offset.value, list(person.notes), person.place_is.audio.value
    list(pidf.notes)


def read_resources() -> None:
    for entry in ResourceLists.parse(RESOURCES)['friends']:
        entry.uri, entry.display_name.value     # noqa: B018


def bare_make_resources() -> None:
    root = etree.Element(f'{{{RL}}}resource-lists', nsmap={None: RL})
    friends = etree.SubElement(root, f'{{{RL}}}list', name='friends')
    for number in range(500):
        entry = etree.SubElement(friends, f'{{{RL}}}entry', uri=f'sip:user{number}@example.com')
        etree.SubElement(entry, f'{{{RL}}}display-name').text = f'User number {number}'
    etree.tostring(root, encoding='UTF-8', xml_declaration=True)


def make_resources() -> ResourceLists:
    return ResourceLists([List([Entry(f'sip:user{number}@example.com', f'User number {number}') for number in range(500)], name='friends')])


def make_presence() -> PIDF:
    """What `presence` says."""
    services = []
    for number in range(1, 6):
        service = Service(f't{number}', notes=[Note('On the phone, back in a minute', 'en'), Note('Am Telefon, gleich zurück', 'de')], status='open',
                          contact=Contact(f'sip:alice@host{number}.example.com;transport=tls', number / 10), timestamp='2026-01-01T16:09:44Z')
        service.status.extended = 'busy'
        service.add(DeviceID(f'urn:uuid:00000000-0000-0000-0000-00000000000{number}'))
        service.capabilities = ServiceCapabilities(audio=True, message=True, text=False, video=False)
        service.relationship = 'self'
        service.user_input = UserInput('active', idle_threshold=600, last_input='2026-01-01T13:20:00-05:00')
        services.append(service)
    person = Person('p1', notes=['Scoring 120'], timestamp='2026-01-01T16:09:44+05:00')
    person.activities = Activities(['away', 'travel'], since='2026-01-01T12:00:00+05:00', until='2026-01-01T17:00:00+05:00', notes=['Far away'])
    person.mood = ['happy']
    person.place_is = PlaceIs(audio='noisy')
    person.time_offset = TimeOffset(-300, 'America/New_York')
    return PIDF('sip:alice@example.com', [*services, Note("I'll be in Tokyo next week"), person])


def bare_make_presence() -> None:
    """The nodes of `presence`, one by one."""
    def copy(node: Any, parent: Any) -> None:
        for child in node:
            made = etree.SubElement(parent, child.tag, dict(child.attrib))
            if child.text:
                made.text = child.text
            copy(child, made)
    root = etree.Element(_TREE.tag, dict(_TREE.attrib), _TREE.nsmap)
    copy(_TREE, root)
    etree.tostring(root, encoding='UTF-8', xml_declaration=True)


def writer(root: PIDF | ResourceLists) -> tuple[Callable[[], object], Callable[[], object]]:
    """Printing a document whose first attribute was changed, and what lxml needs for that: a walk and the printing."""
    def ours() -> None:
        root._changed = True
        root.toxml()

    def theirs() -> None:
        for node in root.element.iter():
            node.tag, node.text, dict(node.attrib)
        etree.tostring(root.element, encoding='UTF-8', xml_declaration=True)
    return ours, theirs


def best(functions: tuple[Callable[[], object], Callable[[], object]], rounds: int) -> tuple[float, float]:
    """The best time of a call of each, in seconds."""
    times = [1e9, 1e9]
    for _ in range(rounds):
        for side, function in enumerate(functions):
            begin = time.perf_counter()
            for _ in range(5):
                function()
            times[side] = min(times[side], (time.perf_counter() - begin) / 5)
    return times[0], times[1]


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    whole = PIDF.parse(PRESENCE)
    lists = ResourceLists.parse(RESOURCES)
    made_presence, made_resources = make_presence(), make_resources()
    assert PIDF.parse(made_presence.toxml()) == whole and ResourceLists.parse(made_resources.toxml()) == lists, 'not the same documents'
    rows: list[tuple[str, tuple[Callable[[], object], Callable[[], object]], float | None]] = [
        ('presence: parse', (lambda: PIDF.parse(PRESENCE), lambda: bare(PRESENCE)), TARGET),
        ('presence: build', (made_presence.toxml, lambda: bare(PRESENCE)), TARGET),
        ('presence: parse and look at it', (read_presence, lambda: bare(PRESENCE)), None),
        ('presence: write after a change', writer(whole), TARGET),
        ('presence: make and build', (lambda: make_presence().toxml(), bare_make_presence), TARGET),
        ('resources: parse', (lambda: ResourceLists.parse(RESOURCES), lambda: bare(RESOURCES)), TARGET),
        ('resources: build', (made_resources.toxml, lambda: bare(RESOURCES)), TARGET),
        ('resources: parse and look at all', (read_resources, lambda: bare(RESOURCES)), None),
        ('resources: write after a change', writer(lists), TARGET),
        ('resources: make and build', (lambda: make_resources().toxml(), bare_make_resources), TARGET),
    ]
    missed = False
    print(f'presence {len(PRESENCE)} bytes, resources {len(RESOURCES)} bytes; best of {rounds} rounds')
    print('| what | ours, µs | a second | lxml, µs | ratio | target |\n|---|---:|---:|---:|---:|---:|')
    for name, functions, target in rows:
        for function in functions:
            function()
        ours, theirs = best(functions, rounds)
        missed |= target is not None and ours > theirs * target
        print(f'| {name} | {ours * 1e6:,.0f} | {1 / ours:,.0f} | {theirs * 1e6:,.0f} | {ours / theirs:.2f} | {"" if target is None else f"≤ {target:g}"} |')
    return int(missed)


if __name__ == '__main__':
    sys.exit(main())
