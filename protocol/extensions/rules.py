"""The clauses of the extensions of MLS that a decodable message can break, each with where it is written."""

from __future__ import annotations

import enum


class Rule(enum.Enum):
    """One clause: (section, what must hold)."""

    # targeted messages
    TARGETED_RECIPIENT = ("targeted messages §6", "a targeted message is for one's own leaf")
    TARGETED_PROFILE = ("T-2", "the component targeted_profile names a known revision")

    # semi-private messages
    EXTERNAL_RECEIVERS_LIST = ("S-13", "a group has at most 16 external receivers, each once")
    EXTERNAL_RECEIVERS_UPDATE = ("C-3", "a commit changes the list of external receivers once")
    SEMI_PRIVATE_EMPTY = (
        "semi-private §3",
        "a group without external receivers has no semi-private messages",
    )
    SEMI_PRIVATE_KEYS = (
        "S-9",
        "a message has one key for each external receiver of its epoch, in their order",
    )
    SEMI_PRIVATE_RECEIVER = ("semi-private §3.3", "a message has one key for the receiver that opens it")
    SEMI_PRIVATE_KEY_LENGTH = ("semi-private §3.1", "key and nonce have the lengths of the suite")
    SEMI_PRIVATE_CONTEXT = ("S-3", "partial_context_hash is the hash of sender and nonce")
    SEMI_PRIVATE_CONTENT = ("S-7", "framed_content_tbs_hash is the hash of what is signed")

    # private external messages
    EXTERNAL_ENCRYPTION_KEY = (
        "P-1",
        "an ExternalEncryptionInfo has the suite and the public key of its epoch",
    )
    EXTERNAL_ENCRYPTION_ROOT = ("P-2", "an ExternalEncryptionInfo is signed by the root key of its epoch")
    EXTERNAL_ENCRYPTION_NONE = ("P-13", "a GroupInfo to write to the group by has a root key and an info")
    EXTERNAL_ENCRYPTION_HEAD = (
        "P-11",
        "private external messages are opened in newest epochs with a root key",
    )
    PRIVATE_EXTERNAL_HEADER = ("P-10", "the header of a private external message is that of what is inside")
    PRIVATE_EXTERNAL_SENDER = ("P-9", "who sends a private external message is no member")
    ROOT_KEY = ("P-5", "a root key is a signature private key of the suite")
    ROOT_KEY_ONCE = ("P-6", "a commit replaces the root key once")
    ROOT_KEY_REPLACED = ("P-6", "a commit that removes replaces the root key")
    ROOT_KEY_NEW = ("P-6", "a root key was not there before")
    ROOT_KEY_STAYS = ("P-6", "a group that has a root key keeps one")

    @property
    def section(self) -> str:
        return self.value[0]

    @property
    def sentence(self) -> str:
        return self.value[1]
