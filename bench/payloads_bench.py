"""How fast documents are read and written, beside lxml alone on the same documents.

    python bench/payloads_bench.py [rounds]

A presence document of 5 KB and a list of 500 resources. The bare side parses with the same settings and looks at the tag, the text and the
attributes of every node, or makes the nodes one by one, or prints the tree; it knows no types and checks no schema. Sides take turns, and of all
rounds the best counts: on a machine that does other things too, the rest is noise. The status is 1 when a ratio with a target is over it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from lxml import etree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sipsimple.payloads.caps
import sipsimple.payloads.cipid
import sipsimple.payloads.rpid  # noqa: F401 - they add to pidf
from sipsimple.payloads.pidf import PIDF, Contact, Note, Person, Service
from sipsimple.payloads.resourcelists import Entry, List, ResourceLists

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


def bare_build_resources() -> None:
    root = etree.Element(f'{{{RL}}}resource-lists', nsmap={None: RL})
    friends = etree.SubElement(root, f'{{{RL}}}list', name='friends')
    for number in range(500):
        entry = etree.SubElement(friends, f'{{{RL}}}entry', uri=f'sip:user{number}@example.com')
        etree.SubElement(entry, f'{{{RL}}}display-name').text = f'User number {number}'
    etree.tostring(root, encoding='UTF-8', xml_declaration=True)


def build_resources() -> None:
    ResourceLists([List([Entry(f'sip:user{number}@example.com', f'User number {number}') for number in range(500)], name='friends')]).toxml()


def build_presence() -> None:
    services = [Service(f't{number}', notes=[Note('On the phone', 'en')], status='open', contact=Contact(f'sip:alice@host{number}.example.com', 0.5),
                        timestamp='2026-01-01T16:09:44Z') for number in range(5)]
    person = Person('p1', notes=['Scoring 120'], timestamp='2026-01-01T16:09:44Z')
    person.activities = ['away', 'travel']
    PIDF('sip:alice@example.com', [*services, person]).toxml()


def bare_build_presence() -> None:
    pidf, dm, rpid = 'urn:ietf:params:xml:ns:pidf', 'urn:ietf:params:xml:ns:pidf:data-model', 'urn:ietf:params:xml:ns:pidf:rpid'
    root = etree.Element(f'{{{pidf}}}presence', nsmap={None: pidf, 'dm': dm, 'rpid': rpid}, entity='sip:alice@example.com')
    for number in range(5):
        service = etree.SubElement(root, f'{{{pidf}}}tuple', id=f't{number}')
        etree.SubElement(etree.SubElement(service, f'{{{pidf}}}status'), f'{{{pidf}}}basic').text = 'open'
        contact = etree.SubElement(service, f'{{{pidf}}}contact', priority='0.5')
        contact.text = f'sip:alice@host{number}.example.com'
        etree.SubElement(service, f'{{{pidf}}}note', {'{http://www.w3.org/XML/1998/namespace}lang': 'en'}).text = 'On the phone'
        etree.SubElement(service, f'{{{pidf}}}timestamp').text = '2026-01-01T16:09:44+00:00'
    person = etree.SubElement(root, f'{{{dm}}}person', id='p1')
    activities = etree.SubElement(person, f'{{{rpid}}}activities')
    etree.SubElement(activities, f'{{{rpid}}}away')
    etree.SubElement(activities, f'{{{rpid}}}travel')
    etree.SubElement(person, f'{{{dm}}}note').text = 'Scoring 120'
    etree.SubElement(person, f'{{{dm}}}timestamp').text = '2026-01-01T16:09:44+00:00'
    etree.tostring(root, encoding='UTF-8', xml_declaration=True)


def writer(root: PIDF | ResourceLists, read: Callable[[], object]) -> tuple[Callable[[], object], Callable[[], object]]:
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
    rows: list[tuple[str, tuple[Callable[[], object], Callable[[], object]], float | None]] = [
        ('presence: parse', (lambda: PIDF.parse(PRESENCE), lambda: bare(PRESENCE)), TARGET),
        ('presence: parse and look at it', (read_presence, lambda: bare(PRESENCE)), None),
        ('presence: write after a change', writer(whole, read_presence), TARGET),
        ('presence: build from nothing', (build_presence, bare_build_presence), None),
        ('resources: parse', (lambda: ResourceLists.parse(RESOURCES), lambda: bare(RESOURCES)), TARGET),
        ('resources: parse and look at all', (read_resources, lambda: bare(RESOURCES)), None),
        ('resources: write after a change', writer(lists, read_resources), TARGET),
        ('resources: build from nothing', (build_resources, bare_build_resources), None),
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
