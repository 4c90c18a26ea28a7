"""What a GroupContext requires of its members, clause by clause (extensions draft §5, §6.2, §6.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.mls.group_members import Client, ComponentRules, Party, dictionary, found, refused

from starling.protocol.errors import UsageError
from starling.protocol.mls.components import (
    APP_COMPONENTS,
    CONTENT_MEDIA_TYPES,
    LAST_RESORT_KEY_PACKAGE,
    SAFE_AAD,
    AppDataDictionary,
    ComponentData,
    ComponentsList,
    read_component,
)
from starling.protocol.mls.content_media_types import (
    ApplicationFraming,
    MediaType,
    MediaTypeList,
    Parameter,
    read_application_framing,
    read_media_types,
)
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
    Extension,
)
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_rules import RFC_RULES, GroupRules
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import (
    Negotiated,
    WireFormats,
    required_extensions,
    supported_extensions,
)
from starling.protocol.mls.proposal import Add, AppDataUpdate, GroupContextExtensions, Update
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import EMPTY, SafeAAD, SafeAADItem, uses_safe_aad
from starling.protocol.mls.wire_format import WireFormat

TARGETED = 0x0006
PLAIN = MediaType(b"text/plain")
UTF8 = MediaType(b"text/plain", (Parameter(b"charset", b"UTF-8"),))
PNG = MediaType(b"image/png")


def ids(*values: int) -> bytes:
    return ComponentsList(values).encode()


def types(*values: MediaType) -> bytes:
    return MediaTypeList(values).encode()


class Able(Client):
    """A client whose leaves have these extensions."""

    leaf_extensions: tuple[Extension, ...] = ()

    def leaf(self, source: int = KEY_PACKAGE) -> tuple[LeafNode, bytes]:
        leaf, private_key = super().leaf(source)
        return replace(leaf, extensions=self.leaf_extensions), private_key


def able(name: str, *extensions: Extension) -> Able:
    types_in_use = (APP_DATA_DICTIONARY, SUPPORTED_WIRE_FORMATS, REQUIRED_WIRE_FORMATS)
    client = Able(name, extensions=types_in_use)
    client.leaf_extensions = extensions
    return client


def supported(*formats: int) -> Extension:
    return Extension(SUPPORTED_WIRE_FORMATS, WireFormats(formats).encode())


def required(*formats: int) -> Extension:
    return Extension(REQUIRED_WIRE_FORMATS, WireFormats(formats).encode())


# What a group requires; a leaf that has it, with an unknown (GREASE) value besides; one that lacks it.
CASES: dict[Rule, tuple[Extension, Extension, Extension]] = {
    Rule.WIRE_FORMATS_SUPPORT: (
        required(TARGETED, WireFormat.MLS_WELCOME), supported(0x0A0A, TARGETED), supported(0xF123),
    ),
    Rule.APP_COMPONENTS_SUPPORT: (
        dictionary({APP_COMPONENTS: ids(1, 0x8D01)}),
        dictionary({APP_COMPONENTS: ids(0x0A0A, 1, 2, 0x8D01)}),
        dictionary({APP_COMPONENTS: ids(1, 2)}),
    ),
    Rule.SAFE_AAD_SUPPORT: (
        dictionary({SAFE_AAD: ids(0x8D01)}),
        dictionary({SAFE_AAD: ids(0x1A1A, 0x8D01)}),
        dictionary({APP_COMPONENTS: ids(0x8D01), SAFE_AAD: ids()}),
    ),
    Rule.MEDIA_TYPES_SUPPORT: (
        dictionary({CONTENT_MEDIA_TYPES: types(UTF8)}),
        dictionary({CONTENT_MEDIA_TYPES: types(PNG, MediaType(b"Text/Plain"))}),
        dictionary({CONTENT_MEDIA_TYPES: types(PNG)}),
    ),
}  # fmt: skip
each_case = pytest.mark.parametrize("rule", CASES, ids=lambda rule: rule.name)


@each_case
def test_a_group_and_its_members_meet_what_it_requires(rule: Rule) -> None:
    needs, has, lacks = CASES[rule]
    alice, bob, carol = able("alice", has), able("bob", has), able("carol", lacks)
    assert refused(lambda: carol.create(extensions=(needs,))) is rule
    group = alice.create(extensions=(needs,))
    bundle = bob.bundle()
    aad = EMPTY if rule is Rule.SAFE_AAD_SUPPORT else b""
    add = [Add(carol.bundle().key_package)]
    assert refused(lambda: group.commit(add, authenticated_data=aad, random=alice.random)) is rule
    made = group.commit([Add(bundle.key_package)], authenticated_data=aad, random=alice.random)
    assert made.welcome is not None
    joined = bob.join(made.welcome, bundle)
    assert joined.context == made.next.context
    # A leaf that loses it, by a commit and by an Update.

    def change(leaf: LeafNode) -> LeafNode:
        return replace(leaf, extensions=(lacks,))

    assert refused(joined.commit, leaf_node=change, authenticated_data=aad, random=bob.random) is rule
    bob.leaf_extensions = (lacks,)
    update = Update(bob.update_leaf(joined)[0])
    _, proposal = joined.propose(update, authenticated_data=aad, random=bob.random)
    by_reference = [proposal]
    assert (
        refused(made.next.commit, by_reference=by_reference, authenticated_data=aad, random=alice.random)
        is rule
    )


@each_case
def test_what_comes_to_be_required_is_supported_by_all(rule: Rule) -> None:
    needs, has, lacks = CASES[rule]
    for members, allowed in (((has, has), True), ((has, lacks), False)):
        clients = [able(f"client {number}", extension) for number, extension in enumerate(members)]
        group = clients[0].create()
        bundle = clients[1].bundle()
        made = group.commit([Add(bundle.key_package)], random=clients[0].random)
        change, random = [GroupContextExtensions((needs,))], clients[0].random
        if allowed:
            assert made.next.commit(change, random=random).next.context.extensions == (needs,)
        else:
            assert refused(made.next.commit, change, random=random) is rule


class AnyUpdate(GroupRules):
    def app_data_update(self, component_id: int, current: bytes | None, updates: object) -> bytes:
        return ids(0x8D01)


def test_an_app_data_update_requires_too() -> None:
    has, lacks = CASES[Rule.APP_COMPONENTS_SUPPORT][1:]
    for extension, allowed in ((has, True), (lacks, False)):
        client = able("alice", extension)
        group = client.create(AnyUpdate())
        update = [AppDataUpdate(APP_COMPONENTS, 1, b"")]
        if allowed:
            assert group.commit(update, random=client.random).next.epoch == 1
        else:
            assert refused(group.commit, update, random=client.random) is Rule.APP_COMPONENTS_SUPPORT


@each_case
def test_a_joiner_checks_every_leaf(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    needs, has, lacks = CASES[rule]
    alice, bob = able("alice", lacks), able("bob", has)
    aad = EMPTY if rule is Rule.SAFE_AAD_SUPPORT else b""
    bundle = bob.bundle()
    with monkeypatch.context() as patch:
        patch.setattr(Negotiated, "check_supported", lambda *arguments: None)
        group = alice.create(extensions=(needs,))
        made = group.commit([Add(bundle.key_package)], authenticated_data=aad, random=alice.random)
    assert made.welcome is not None
    welcome = made.welcome
    assert refused(lambda: bob.join(welcome, bundle)) is rule


def test_a_wire_format_that_the_group_does_not_require_is_refused() -> None:
    alice, bob = (able(name, supported(TARGETED)) for name in ("alice", "bob"))
    for extensions, rule in (((), Rule.WIRE_FORMAT), ((required(0xF123, TARGETED),), None)):
        if extensions:
            alice.leaf_extensions = bob.leaf_extensions = (supported(0xF123, TARGETED),)
        bundle = bob.bundle()
        made = alice.create(extensions=extensions).commit([Add(bundle.key_package)], random=alice.random)
        assert made.welcome is not None
        bobs = bob.join(made.welcome, bundle)
        commit = made.next.commit(random=alice.random).content
        other = AuthenticatedContent(TARGETED, commit.content, commit.auth)
        # Where it is required the transcript hash tells: it was signed for another format.
        assert refused(bobs.stage, other) is (rule or Rule.CONFIRMATION_TAG)


def test_the_extensions_are_made_as_they_are_read() -> None:
    leaf = supported_extensions(
        app_components=[0x8D01], safe_aad=[0x8D01, 5], media_types=[PNG], wire_formats=[TARGETED],
        data={0x8D01: b"x"},
    )  # fmt: skip
    read = Negotiated.read(leaf, SUPPORTED_WIRE_FORMATS)
    assert read == Negotiated(
        frozenset({TARGETED}), frozenset({1, 2, 3, 0x8D01}), frozenset({5, 0x8D01}), (PNG,)
    )
    assert read_component(leaf, 0x8D01) == b"x"
    context = required_extensions(
        app_components=[0x8D01], safe_aad=[], media_types=[PNG], wire_formats=[TARGETED]
    )
    needed = Negotiated.required(context)
    assert needed == Negotiated(frozenset({TARGETED}), frozenset({0x8D01}), frozenset(), (PNG,))
    needed.check_supported(leaf)
    assert uses_safe_aad(context)
    # Without more a leaf supports what the draft defines, and a group requires nothing.
    assert Negotiated.read(supported_extensions(), SUPPORTED_WIRE_FORMATS).app_components == {1, 2}
    assert Negotiated.required(required_extensions()).is_empty
    assert not uses_safe_aad(required_extensions())


# dictionaries


UNSORTED = Extension(
    APP_DATA_DICTIONARY, AppDataDictionary((ComponentData(2, b""), ComponentData(1, b""))).encode()
)


def package(client: Client, *extensions: Extension) -> KeyPackage:
    whole = replace(client.bundle().key_package, extensions=extensions, signature=b"")
    return whole.sign(client.signature_private_key)


def test_dictionaries_are_in_order_wherever_they_stand() -> None:
    alice = able("alice")
    group = alice.create()
    unsorted_leaf = able("bob", UNSORTED).bundle().key_package
    for attempt in (
        lambda: group.commit([Add(unsorted_leaf)], random=alice.random),
        lambda: group.commit([Add(package(able("carol"), UNSORTED))], random=alice.random),
        lambda: group.commit([GroupContextExtensions((UNSORTED,))], random=alice.random),
        lambda: alice.create(extensions=(UNSORTED,)),
    ):
        assert refused(attempt) is Rule.DICTIONARY_ORDER
    bob = able("bob")
    bundle = bob.bundle()
    made = group.commit([Add(bundle.key_package)], group_info_extensions=(UNSORTED,), random=alice.random)
    assert made.welcome is not None
    welcome = made.welcome
    assert refused(lambda: bob.join(welcome, bundle)) is Rule.DICTIONARY_ORDER


def test_a_last_resort_key_package() -> None:
    client = able("alice")
    suite = client.suite
    assert not package(client).is_last_resort
    last = package(client, dictionary({LAST_RESORT_KEY_PACKAGE: b""}))
    last.validate(suite)
    assert last.is_last_resort
    bad = package(client, dictionary({LAST_RESORT_KEY_PACKAGE: b"x"}))
    assert refused(lambda: bad.validate(suite)) is Rule.KEY_PACKAGE_LAST_RESORT


def test_a_list_of_media_types_is_not_empty() -> None:
    empty = dictionary({CONTENT_MEDIA_TYPES: types()})
    assert refused(lambda: read_media_types((empty,))) is Rule.MEDIA_TYPES_EMPTY
    assert refused(lambda: able("alice", empty).create(extensions=(empty,))) is Rule.MEDIA_TYPES_EMPTY


@pytest.mark.parametrize(
    ("receives", "sent", "accepted"),
    [(PLAIN, UTF8, True), (UTF8, UTF8, True), (UTF8, PLAIN, False), (PNG, PLAIN, False)],
)
def test_a_type_without_parameters_accepts_any(receives: MediaType, sent: MediaType, accepted: bool) -> None:
    assert receives.accepts(sent) is accepted


# framing of what is sent


def lawless(group: Group) -> Group:
    """The group of a member that frames as it likes."""
    group._epoch.safe_aad = False
    group._epoch.media_types = ()
    return group


def framed_party(rules: GroupRules = RFC_RULES) -> Party:
    context = dictionary({SAFE_AAD: ids(0x8D01), CONTENT_MEDIA_TYPES: types(UTF8, PNG)})
    leaf = dictionary({SAFE_AAD: ids(0x8D01), CONTENT_MEDIA_TYPES: types(PLAIN, PNG)})
    clients: list[Client] = [able("alice", leaf), able("bob", leaf)]
    bundle: KeyPackageBundle = clients[1].bundle()
    group = clients[0].create(rules, (context,))
    made = group.commit([Add(bundle.key_package)], authenticated_data=EMPTY, random=clients[0].random)
    assert made.welcome is not None
    return Party(clients, [made.next, clients[1].join(made.welcome, bundle, rules)])


def test_framed_messages_pass() -> None:
    alice, bob = (party := framed_party()).groups
    random = party.clients[0].random
    aad = SafeAAD.of({0x8D01: b"item"}).encode()
    for media_type, read in ((PNG, PNG), (MediaType(b""), UTF8)):
        data = ApplicationFraming(media_type, b"content").encode()
        message = alice.protect(data, authenticated_data=aad, random=random)
        received = bob.unprotect(MLSMessage.decode(message))
        assert received.authenticated_data == aad
        media_types = read_media_types(bob.context.extensions)
        assert read_application_framing(received.application_data, media_types) == (read, b"content")


BAD_AAD = {
    b"": Rule.SAFE_AAD_FORM,
    b"text": Rule.SAFE_AAD_FORM,
    SafeAAD((SafeAADItem(2, b""), SafeAADItem(1, b""))).encode(): Rule.SAFE_AAD_ORDER,
}


@pytest.mark.parametrize("aad", BAD_AAD)
@pytest.mark.parametrize("wire_format", [WireFormat.MLS_PRIVATE_MESSAGE, WireFormat.MLS_PUBLIC_MESSAGE])
def test_safe_aad_is_asked_of_every_message(aad: bytes, wire_format: int) -> None:
    party = framed_party(ComponentRules())
    alice, bob = party.groups
    random = party.clients[0].random
    data = ApplicationFraming(PNG, b"").encode()
    update = Update(party.clients[0].update_leaf(alice)[0])
    sends: list[Callable[[Group], bytes]] = [
        lambda group: group.propose(update, authenticated_data=aad, wire_format=wire_format, random=random)[
            0
        ],
        lambda group: group.commit(authenticated_data=aad, wire_format=wire_format, random=random).message,
    ]
    if wire_format == WireFormat.MLS_PRIVATE_MESSAGE:
        sends.append(lambda group: group.protect(data, authenticated_data=aad, random=random))
    for send in sends:
        with pytest.raises(UsageError) as misused:
            send(alice)
        assert misused.value.code == "framing"
    lawless(alice)
    for number, send in enumerate(sends):
        message = MLSMessage.decode(send(alice))
        opening = bob.unprotect if number == 2 else bob.open_handshake
        assert refused(opening, message) is BAD_AAD[aad]
    assert bob.application_progress(0) == (0, ())


def test_an_external_commit_is_framed_too() -> None:
    party = framed_party()
    alice, bob = party.groups
    info = alice.group_info(external_pub=True)
    dave = able("dave", *party.clients[1].leaf()[0].extensions)
    leaf = dave.leaf()[0]
    with pytest.raises(UsageError) as misused:
        Group.external_join(info, leaf, dave.signature_private_key, random=dave.random)
    assert misused.value.code == "framing"
    joined = Group.external_join(
        info, leaf, dave.signature_private_key, authenticated_data=EMPTY, random=dave.random
    )
    assert bob.stage(bob.open_handshake(MLSMessage.decode(joined.message))).next is not None


def test_application_data_is_framed_where_media_types_are_required() -> None:
    party = framed_party()
    alice, bob = party.groups
    random = party.clients[0].random
    with pytest.raises(UsageError) as misused:
        alice.protect(b"plain", authenticated_data=EMPTY, random=random)
    assert misused.value.code == "framing"
    message = lawless(alice).protect(b"plain", authenticated_data=EMPTY, random=random)
    assert refused(lambda: bob.unprotect(MLSMessage.decode(message))) is Rule.APPLICATION_FRAMING


def test_a_group_without_components_frames_nothing() -> None:
    party = found(2)
    alice, bob = party.groups
    message = alice.protect(b"plain", authenticated_data=b"anything", random=party.clients[0].random)
    assert bob.unprotect(MLSMessage.decode(message)).application_data == b"plain"
