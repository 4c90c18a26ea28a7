"""Groups with targeted messages for the tests, and messages that no honest member makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.mls.group_members import Randomness

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.extensions.targeted_messages import (
    TargetedRules,
    profile_component,
)
from starling.protocol.extensions.targeted_protection import (
    SIGNATURE_LABEL,
    TargetedMessageSenderAuthData,
    TargetedPlace,
    TargetedProfile,
    TargetedSecrets,
)
from starling.protocol.mls import Add, Client, Credential, Extension, Group, Lifetime, MLSMessage, Welcome
from starling.protocol.mls import RequiredCapabilities as Required
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    KOH_KEY_SCHEDULE,
    REQUIRED_CAPABILITIES,
    REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
)
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_schedule import RFC9420, KeySchedule
from starling.protocol.mls.negotiation import required_extensions, supported_extensions
from starling.protocol.mls.private_message import sender_data_key_nonce
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.mls.wire_format import WireFormat

LIFETIME = Lifetime(0, 2**64 - 1)
TYPES = (APP_DATA_DICTIONARY, SUPPORTED_WIRE_FORMATS, REQUIRED_WIRE_FORMATS, KOH_KEY_SCHEDULE)
FORMATS = (WireFormat.MLS_TARGETED_MESSAGE,)
RULES = TargetedRules()


def client(name: str, suite: int = 1) -> Client:
    random = Randomness(name.encode())
    return Client.generate(
        cipher_suite(suite), Credential.basic(name.encode()), extensions=TYPES, random=random
    )


def leaf_extensions() -> tuple[Extension, ...]:
    return supported_extensions(app_components=[0x8D0B], wire_formats=FORMATS)


def context_extensions(
    profile: TargetedProfile | None, formats: tuple[int, ...] = FORMATS
) -> tuple[Extension, ...]:
    """What a GroupContext says; without a profile it names none."""
    data = profile_component(profile) if profile is not None else {}
    required = Extension(REQUIRED_CAPABILITIES, Required((REQUIRED_WIRE_FORMATS,)).encode())
    return (required, *required_extensions(wire_formats=formats, data=data))


def founded(
    count: int = 3,
    profile: TargetedProfile | None = TargetedProfile.DRAFT_01,
    *,
    suite: int = 1,
    rules: GroupRules = RULES,
    key_schedule: KeySchedule = RFC9420,
    extensions: tuple[Extension, ...] | None = None,
    random: Callable[[int], bytes] | None = None,
) -> tuple[list[Client], list[Group]]:
    """Clients and their groups, in one epoch; leaf 0 is the founder."""
    random = random or Randomness(b"founding")
    clients = [client(f"member {index}", suite) for index in range(count)]
    group = clients[0].create_group(
        b"a group",
        LIFETIME,
        extensions=context_extensions(profile) if extensions is None else extensions,
        leaf_extensions=leaf_extensions(),
        rules=rules,
        key_schedule=key_schedule,
        random=random,
    )
    bundles = [
        each.key_package(LIFETIME, leaf_extensions=leaf_extensions(), random=random) for each in clients[1:]
    ]
    made = group.commit([Add(bundle.key_package) for bundle in bundles], random=random)
    assert made.welcome is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    groups = [made.next]
    for each, bundle in zip(clients[1:], bundles, strict=True):
        joined, _ = Group.join(
            welcome, bundle, each.signature_private_key, rules=rules, key_schedule=key_schedule
        )
        groups.append(joined)
    return clients, groups


def targeted(encoded: bytes) -> TargetedMessage:
    body = MLSMessage.decode(encoded).body
    assert isinstance(body, TargetedMessage)
    return body


def craft(
    group: Group,
    recipient: int,
    content: bytes,
    *,
    sender: int | None = None,
    sealed_to: int | None = None,
    authenticated_data: bytes = b"",
    sign: Callable[[str, bytes], bytes] | None = None,
) -> MLSMessage:
    """What a member can make by hand, of revision 01: any content with its padding, in any name."""
    suite = group.cipher_suite
    random = Randomness(content + authenticated_data)
    secrets = TargetedSecrets.of(suite, group.secrets.exporter_secret)
    profile = TargetedProfile.DRAFT_01
    place = TargetedPlace(suite, profile, b"", group.group_id, group.epoch, recipient, authenticated_data)
    leaf = group.tree.leaf(recipient if sealed_to is None else sealed_to)
    assert leaf is not None
    kem_output, seal = suite.hpke.setup_psk(
        leaf.encryption_key, place.info, secrets.psk, place.psk_id, random
    )
    index = group.own_leaf_index if sender is None else sender
    auth = TargetedMessageSenderAuthData(index, b"", kem_output)
    ciphertext = seal(place.tbm(auth), content)
    tbs = place.tbs(index, kem_output, ciphertext)
    auth = replace(auth, signature=(sign or group.sign_with_label)(SIGNATURE_LABEL, tbs))
    message = TargetedMessage(group.group_id, group.epoch, recipient, authenticated_data, b"", ciphertext)
    return encrypt_sender(group, message, auth)


def encrypt_sender(group: Group, message: TargetedMessage, auth: TargetedMessageSenderAuthData) -> MLSMessage:
    """A message with other sender data, which every member can encrypt."""
    suite = group.cipher_suite
    secrets = TargetedSecrets.of(suite, group.secrets.exporter_secret)
    place = TargetedPlace(
        suite,
        TargetedProfile.DRAFT_01,
        b"",
        message.group_id,
        message.epoch,
        message.recipient_leaf_index,
        b"",
    )
    key = sender_data_key_nonce(suite, secrets.sender_auth_data, message.ciphertext)
    encrypted = suite.seal(key.key, key.nonce, place.sender_auth_data_aad, auth.encode())
    return MLSMessage.of(replace(message, encrypted_sender_auth_data=encrypted))
