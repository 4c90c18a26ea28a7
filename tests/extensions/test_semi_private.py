"""Semi-private messages between members and external receivers (draft-mahy-mls-semiprivatemessage-07)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.extensions.semi_private_groups import (
    RULES,
    SEMI,
    OwnerRules,
    context_extensions,
    found,
    member,
    outsider,
    semi_private,
    view,
)
from tests.mls.group_members import receive, refused

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.errors import DecodeError, Invalid, ProtocolError, UsageError, VerificationFailed
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    ExternalReceiver,
    encode_external_receivers,
    parse_external_receivers,
    read_external_receivers,
)
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.group import Group
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import (
    AppDataUpdate,
    AppDataUpdateOperation,
    Remove,
    SelfRemove,
    Update,
)
from starling.protocol.mls.rules import Rule as MlsRule
from starling.protocol.mls.semi_private_message import KeyForExternalReceiver, SemiPrivateMessage
from starling.protocol.mls.wire_format import ContentType, WireFormat

ARCHIVE, RELAY, OTHER = outsider("archive"), outsider("relay"), outsider("other")


def u32(value: int) -> bytes:
    return value.to_bytes(4)


def vec(data: bytes) -> bytes:
    """opaque<V>: a length of one, two or four bytes (RFC 9420 §2.1.2)."""
    length = len(data)
    if length < 64:
        return bytes([length]) + data
    if length < 2**14:
        return (length | 0x4000).to_bytes(2) + data
    return (length | 0x8000_0000).to_bytes(4) + data


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def expand(secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand for up to two blocks."""
    first = mac(secret, info + b"\x01")
    return (first + mac(secret, first + info + b"\x02"))[:length]


def with_label(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """ExpandWithLabel (RFC 9420 §8)."""
    return expand(secret, length.to_bytes(2) + vec(b"MLS 1.0 " + label) + vec(context), length)


def hpke_open(private_key: bytes, kem_output: bytes, info: bytes, ciphertext: bytes) -> bytes:
    """OpenBase of DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, by hand (RFC 9180)."""

    def extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return mac(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)

    def labelled(suite: bytes, secret: bytes, label: bytes, data: bytes, length: int) -> bytes:
        return expand(secret, length.to_bytes(2) + b"HPKE-v1" + suite + label + data, length)

    key = X25519PrivateKey.from_private_bytes(private_key)
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x01"
    shared = key.exchange(X25519PublicKey.from_public_bytes(kem_output))
    eae = extract(kem, b"", b"eae_prk", shared)
    secret = labelled(kem, eae, b"shared_secret", kem_output + key.public_key().public_bytes_raw(), 32)
    schedule = b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, secret, b"secret", b"")
    aead_key = labelled(suite, secret, b"key", schedule, 16)
    nonce = labelled(suite, secret, b"base_nonce", schedule, 12)
    return AESGCM(aead_key).decrypt(nonce, ciphertext, b"")


def test_a_proposal_by_hand() -> None:
    """All of a message of the first epoch of a group of one, from its epoch_secret on."""
    alice = member("alice")
    leaf, encryption_key = alice.signed_leaf()
    randomness = iter([b"e" * 32, b"gard", b"r" * 32, b"s" * 32])
    group = Group.create(
        cipher_suite=alice.suite,
        group_id=b"group",
        leaf_node=leaf,
        encryption_private_key=encryption_key,
        signature_private_key=alice.signature_private_key,
        extensions=context_extensions([ARCHIVE, RELAY]),
        rules=RULES,
        random=lambda length: next(randomness)[:length],
    )
    message, _ = group.propose(
        Remove(7),
        authenticated_data=b"aad",
        wire_format=SEMI,
        padding=3,
        random=lambda n: next(randomness)[:n],
    )
    body = semi_private(message)
    assert message[:4] == bytes.fromhex("0001 fafe")

    tree_secret = with_label(b"e" * 32, b"encryption", b"", 32)
    ratchet = with_label(tree_secret, b"handshake", b"", 32)
    key = with_label(ratchet, b"key", u32(0), 16)
    nonce = with_label(ratchet, b"nonce", u32(0), 12)
    partial = sha(u32(0) + nonce)
    for person, entry in zip((ARCHIVE, RELAY), body.keys_for_external_receivers, strict=True):
        public_key, name = person.receiver.external_receiver_public_key, person.receiver.credential.identity
        assert name is not None
        assert entry.external_receiver_ref == sha(vec(public_key) + b"\x00\x01" + vec(name))
        label = vec(b"MLS 1.0 SemiPrivateMessageReceiver")
        info = label + vec(vec(b"group") + bytes(8) + vec(partial))
        sealed = entry.encrypted_keys_and_nonces
        opened = hpke_open(person.private_key, sealed.kem_output, info, sealed.ciphertext)
        assert opened == vec(key) + vec(nonce) + b"gard" + u32(0)

    framed = (
        vec(b"group") + bytes(8) + b"\x01" + u32(0) + vec(b"aad") + b"\x02" + bytes.fromhex("0003") + u32(7)
    )
    tbs = bytes.fromhex("0001 fafe") + framed + group.context.encode()
    keys = b"".join(
        vec(entry.external_receiver_ref)
        + vec(entry.encrypted_keys_and_nonces.kem_output)
        + vec(entry.encrypted_keys_and_nonces.ciphertext)
        for entry in body.keys_for_external_receivers
    )
    aad = vec(b"group") + bytes(8) + b"\x02" + vec(b"aad") + vec(partial) + vec(keys) + vec(sha(tbs))
    assert body.framed_content_tbs_hash == sha(tbs)
    guarded = bytes(a ^ b for a, b in zip(nonce, b"gard" + bytes(8), strict=True))
    plaintext = AESGCM(key).decrypt(guarded, body.ciphertext, aad)
    signature = plaintext[6 + 2 : 6 + 2 + 64]
    assert plaintext == bytes.fromhex("0003") + u32(7) + vec(signature) + bytes(3)
    signed = vec(b"MLS 1.0 FramedContentTBS") + vec(tbs)
    Ed25519PublicKey.from_public_bytes(alice.signature_key).verify(signature, signed)

    sender_secret = with_label(b"e" * 32, b"sender data", b"", 32)
    sample = body.ciphertext[:32]
    sender_key = with_label(sender_secret, b"key", sample, 16)
    sender_nonce = with_label(sender_secret, b"nonce", sample, 12)
    sender_aad = vec(b"group") + bytes(8) + b"\x02"
    sender = AESGCM(sender_key).decrypt(sender_nonce, body.encrypted_sender_data, sender_aad)
    assert sender == u32(0) + u32(0) + b"gard"
    assert message[4:] == aad + vec(body.encrypted_sender_data) + vec(body.ciphertext)


@pytest.mark.parametrize("suite", sorted(CIPHER_SUITES))
def test_members_and_receivers_open_the_same(suite: int) -> None:
    people = [outsider(name, suite) for name in ("archive", "relay", "third")]
    party = found(3, people, suite=suite)
    alice, bob, carol = party.groups
    before = view(alice)
    made = alice.commit(
        [Remove(2)], authenticated_data=b"known", wire_format=SEMI, padding=7, random=party.clients[0].random
    )
    expected = made.content
    assert expected.wire_format == SEMI
    for group in (bob, carol):
        assert group.open_handshake(MLSMessage.decode(made.message)) == expected
    for person in people:
        for known in (None, before):
            received = person.open(made.message, known)
            assert received.content == expected and received.sender_leaf_index == 0
            assert received.is_authenticated == (known is not None)
            assert received.changes.removes == (2,)
            assert set(received.changes.leaf_nodes) == {0}
    with pytest.raises(Invalid) as caught:
        outsider("nobody", suite).open(made.message)
    assert caught.value.rule is Rule.SEMI_PRIVATE_RECEIVER


def test_receivers_change_from_the_next_commit_on() -> None:
    party = found(2, [ARCHIVE])
    update = AppDataUpdate(
        EXTERNAL_RECEIVERS,
        AppDataUpdateOperation.UPDATE,
        encode_external_receivers([RELAY.receiver, OTHER.receiver]),
    )
    made = party.commit([update], options={"wire_format": SEMI})
    assert ARCHIVE.open(made.message).changes.proposals == (update,)
    assert refused(lambda: RELAY.open(made.message)) is Rule.SEMI_PRIVATE_RECEIVER
    receivers = read_external_receivers(party.groups[1].context.extensions)
    assert receivers == (RELAY.receiver, OTHER.receiver)
    made = party.commit(options={"wire_format": SEMI})
    assert RELAY.open(made.message).content == OTHER.open(made.message).content == made.content
    assert refused(lambda: ARCHIVE.open(made.message)) is Rule.SEMI_PRIVATE_RECEIVER


# what is refused


def refused_update(receivers: list[ExternalReceiver], *, times: int = 1) -> object:
    party = found(2, [ARCHIVE])
    data = encode_external_receivers(receivers)
    update = AppDataUpdate(EXTERNAL_RECEIVERS, AppDataUpdateOperation.UPDATE, data)
    with pytest.raises(ProtocolError) as caught:
        party.groups[0].commit([update] * times, random=party.clients[0].random)
    return caught.value.rule if isinstance(caught.value, Invalid) else type(caught.value)


def test_bad_lists_of_receivers() -> None:
    many = [outsider(f"relay {number}").receiver for number in range(17)]
    bad_key = ExternalReceiver(b"short", Credential.basic(b"x"))
    assert refused_update(many) is Rule.EXTERNAL_RECEIVERS_LIST
    assert (
        refused_update([ARCHIVE.receiver, RELAY.receiver, ARCHIVE.receiver]) is Rule.EXTERNAL_RECEIVERS_LIST
    )
    assert refused_update([ARCHIVE.receiver], times=2) is Rule.EXTERNAL_RECEIVERS_UPDATE
    assert refused_update([ARCHIVE.receiver, bad_key]) is DecodeError
    with pytest.raises(DecodeError):
        parse_external_receivers(b"\x05short")
    with pytest.raises(DecodeError):
        member("alice").create(RULES, context_extensions([replace(ARCHIVE, receiver=bad_key)]))
    assert len(parse_external_receivers(encode_external_receivers(many[:16]))) == 16


def test_without_receivers_nothing_is_semi_private() -> None:
    party = found(2, [])
    alice, bob = party.groups
    with pytest.raises(UsageError) as caught:
        alice.commit(wire_format=SEMI, random=party.clients[0].random)
    assert caught.value.code == "no_external_receivers"
    # What is sent without any must be refused too.
    other = found(2, [ARCHIVE])
    message = other.groups[0].commit(wire_format=SEMI, random=other.clients[0].random).message
    body = replace(semi_private(message), keys_for_external_receivers=())
    with pytest.raises((VerificationFailed, Invalid)):
        bob.open_handshake(MLSMessage.of(body))


def test_a_group_that_does_not_require_the_format_has_none() -> None:
    """C-2, for who sends and who receives."""
    alice = member("alice")
    group = alice.create(RULES)
    with pytest.raises(UsageError) as caught:
        group.propose(Remove(0), wire_format=SEMI, random=alice.random)
    assert caught.value.code == "framing"
    party = found(2, [ARCHIVE])
    message = party.groups[0].commit(wire_format=SEMI, random=party.clients[0].random).message
    bob = party.groups[1]
    bob._epoch.context = replace(bob.context, extensions=bob.context.extensions[:1])
    assert refused(lambda: bob.open_handshake(MLSMessage.decode(message))) is MlsRule.WIRE_FORMAT


def test_rules_without_the_format_neither_send_nor_open() -> None:
    party = found(2, [ARCHIVE])
    alice, bob = party.groups
    message = alice.commit(wire_format=SEMI, random=party.clients[0].random).message
    for group in (alice, bob):
        group._epoch.rules = type("Plain", (type(RULES),), {"handshake_formats": {}})()
    assert refused(lambda: bob.open_handshake(MLSMessage.decode(message))) is MlsRule.CONTENT_TYPE
    with pytest.raises(UsageError):
        alice.commit(wire_format=SEMI, random=party.clients[0].random)


def test_application_messages_are_not_semi_private() -> None:
    party = found(2, [ARCHIVE])
    message = party.groups[0].commit(wire_format=SEMI, random=party.clients[0].random).message
    body = replace(semi_private(message), content_type=ContentType.APPLICATION)
    with pytest.raises(DecodeError):
        MLSMessage.decode(MLSMessage.of(body).encode())
    assert refused(lambda: party.groups[1].unprotect(MLSMessage.decode(message))) is MlsRule.CONTENT_TYPE


def test_self_remove_stays_public() -> None:
    party = found(2, [ARCHIVE])
    with pytest.raises(UsageError):
        party.groups[1].propose(SelfRemove(), wire_format=SEMI, random=party.clients[1].random)


def _other_bytes(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else b"x"


def _in_key(
    change: Callable[[KeyForExternalReceiver], KeyForExternalReceiver],
) -> Callable[..., SemiPrivateMessage]:
    def changed(body: SemiPrivateMessage) -> SemiPrivateMessage:
        first, *others = body.keys_for_external_receivers
        return replace(body, keys_for_external_receivers=(change(first), *others))

    return changed


def _sealed(entry: KeyForExternalReceiver, part: str) -> KeyForExternalReceiver:
    sealed = entry.encrypted_keys_and_nonces
    changed = replace(sealed, **{part: _other_bytes(getattr(sealed, part))})
    return replace(entry, encrypted_keys_and_nonces=changed)


CHANGES: dict[str, Callable[[SemiPrivateMessage], SemiPrivateMessage]] = {
    "group_id": lambda body: replace(body, group_id=b"other"),
    "epoch": lambda body: replace(body, epoch=body.epoch + 1),
    "content_type": lambda body: replace(body, content_type=ContentType.PROPOSAL),
    **{
        name: lambda body, name=name: replace(body, **{name: _other_bytes(getattr(body, name))})
        for name in ("authenticated_data", "partial_context_hash", "framed_content_tbs_hash", "ciphertext")
    },
    "kem_output": _in_key(lambda entry: _sealed(entry, "kem_output")),
    "sealed key": _in_key(lambda entry: _sealed(entry, "ciphertext")),
    "reference": _in_key(
        lambda entry: replace(entry, external_receiver_ref=_other_bytes(entry.external_receiver_ref))
    ),
    "missing": lambda body: replace(body, keys_for_external_receivers=body.keys_for_external_receivers[:1]),
    "twice": lambda body: replace(body, keys_for_external_receivers=body.keys_for_external_receivers[:1] * 2),
    "one more": lambda body: replace(
        body,
        keys_for_external_receivers=(
            *body.keys_for_external_receivers,
            KeyForExternalReceiver(bytes(32), HPKECiphertext(bytes(32), bytes(32))),
        ),
    ),
    "reordered": lambda body: replace(
        body, keys_for_external_receivers=body.keys_for_external_receivers[::-1]
    ),
    "none": lambda body: replace(body, keys_for_external_receivers=()),
}


@pytest.mark.parametrize("kind", [*CHANGES, "encrypted_sender_data"])
def test_every_field_is_bound(kind: str) -> None:
    """Whatever is changed on the way, no member and no receiver takes it; only the sender data are not the receivers',
    and the keys of others are not seen by members before the content is opened."""
    party = found(2, [ARCHIVE, RELAY])
    made = party.groups[0].commit(wire_format=SEMI, authenticated_data=b"aad", random=party.clients[0].random)
    known, bob = view(party.groups[0]), party.groups[1]
    body = semi_private(made.message)
    if kind == "encrypted_sender_data":
        changed = replace(body, encrypted_sender_data=_other_bytes(body.encrypted_sender_data))
        assert ARCHIVE.open(changed).content == ARCHIVE.open(changed, known).content == made.content
    else:
        changed = CHANGES[kind](body)
        for person in (ARCHIVE, RELAY):
            for seen in (None, known):
                with pytest.raises(ProtocolError):
                    person.open(changed, seen)
    with pytest.raises(ProtocolError) as caught:
        bob.open_handshake(MLSMessage.of(changed))
    if kind in ("reference", "missing", "twice", "one more", "reordered", "none"):
        assert isinstance(caught.value, Invalid) and caught.value.rule is Rule.SEMI_PRIVATE_KEYS
    # Nothing was consumed by what was refused.
    assert bob.open_handshake(MLSMessage.decode(made.message)) == made.content


def test_an_outsider_of_another_epoch_or_group() -> None:
    party = found(2, [ARCHIVE])
    before = view(party.groups[0])
    made = party.commit(options={"wire_format": SEMI})
    assert refused(lambda: ARCHIVE.open(made.message, view(party.groups[0]))) is MlsRule.WRONG_EPOCH
    elsewhere = replace(before, group_context=replace(before.group_context, group_id=b"elsewhere"))
    assert refused(lambda: ARCHIVE.open(made.message, elsewhere)) is MlsRule.WRONG_GROUP
    assert refused(lambda: replace(before, tree=party.groups[0].tree)) is MlsRule.TREE_HASH
    with pytest.raises(VerificationFailed):
        replace(ARCHIVE, private_key=RELAY.private_key).open(made.message)


def test_replays_and_the_ratchet_that_both_formats_share() -> None:
    """S-10: no generation serves twice, whatever the format."""
    party = found(2, [ARCHIVE])
    alice, bob = party.groups
    messages, generations = [], []
    for wire_format in (SEMI, WireFormat.MLS_PRIVATE_MESSAGE, SEMI, SEMI, WireFormat.MLS_PRIVATE_MESSAGE):
        message, _ = alice.propose(Remove(1), wire_format=wire_format, random=party.clients[0].random)
        messages.append(message)
        generations.append(bob.peek_generation(MLSMessage.decode(message))[1])
    assert generations == [0, 1, 2, 3, 4]
    for message in reversed(messages):
        bob.open_handshake(MLSMessage.decode(message))
    for message in messages:
        again = lambda message=message: bob.open_handshake(MLSMessage.decode(message))  # noqa: E731
        assert refused(again) is MlsRule.GENERATION_CONSUMED
    assert ARCHIVE.open(messages[0]) == ARCHIVE.open(messages[0])


def test_a_proposal_by_a_member_is_committed_in_either_format() -> None:
    party = found(3, [ARCHIVE])
    alice, bob, carol = party.groups
    leaf, private_key = party.clients[1].update_leaf(bob)
    message, content = bob.propose(Update(leaf), wire_format=SEMI, random=party.clients[1].random)
    assert set(ARCHIVE.open(message, view(alice)).changes.leaf_nodes) == {1}
    received = alice.open_handshake(MLSMessage.decode(message))
    assert carol.open_handshake(MLSMessage.decode(message)) == received == content
    for wire_format in (SEMI, WireFormat.MLS_PRIVATE_MESSAGE):
        made = alice.commit(by_reference=[received], wire_format=wire_format, random=party.clients[0].random)
        staged = bob.stage(
            bob.open_handshake(MLSMessage.decode(made.message)),
            proposals={content.reference(bob.cipher_suite): content},
            leaf_private_key=lambda _: private_key,
        )
        assert staged.next is not None and staged.next.confirmation_tag == made.next.confirmation_tag


def test_the_transcript_takes_the_wire_format() -> None:
    """S-7: what was sent semi-privately leads to another epoch than the same content sent privately."""
    party = found(1, [ARCHIVE])
    tags = set()
    for wire_format in (SEMI, WireFormat.MLS_PRIVATE_MESSAGE):
        made = party.groups[0].commit(
            path=False, proposals=_no_change(), wire_format=wire_format, random=bytes
        )
        assert made.content.encode()[:2] == wire_format.to_bytes(2)
        tags.add(made.next.context.confirmed_transcript_hash)
    assert len(tags) == 2


def _no_change() -> list[AppDataUpdate]:
    data = encode_external_receivers([ARCHIVE.receiver])
    return [AppDataUpdate(EXTERNAL_RECEIVERS, AppDataUpdateOperation.UPDATE, data)]


@pytest.mark.parametrize("generation", [0, 1, 523, 999])
def test_siblings_under_a_retained_ratchet(generation: int) -> None:
    """K-23: a second commit on an epoch that was superseded and punctured, at a generation of its own."""
    party = found(3, [ARCHIVE], rules=OwnerRules(), key_schedule=PUNCTURED)
    alice, bob, _ = party.groups
    known = view(alice)
    first = alice.commit(wire_format=SEMI, random=party.clients[0].random)
    second = alice.commit(wire_format=SEMI, handshake_generation=generation, random=party.clients[0].random)
    entered = receive(bob, first.message)
    bob.supersede(entered)
    loaded = Group.load(bob.save(), bob.save_ratchets(), rules=OwnerRules(), key_schedule=PUNCTURED)
    for group in (bob, loaded):
        assert group.peek_generation(MLSMessage.decode(second.message)) == (0, generation)
        sibling = receive(group, second.message)
        assert sibling.confirmation_tag == second.next.confirmation_tag
    for made in (first, second):
        assert ARCHIVE.open(made.message, known).content == made.content
    with pytest.raises(UsageError) as caught:
        entered.commit(wire_format=SEMI, random=party.clients[1].random)
    assert caught.value.code == "not_owner"
