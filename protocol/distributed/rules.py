"""The clauses that a well-formed record of the membership part can break, each with where it is written."""

from __future__ import annotations

import enum


class Rule(enum.Enum):
    """One clause: (section of PROTOCOL, what must hold)."""

    # dmls_member and leaves
    MEMBER_COMPONENT = ("X-1", "every leaf carries dmls_member")
    MEMBER_CREDENTIAL = ("X-1", "a leaf's credential is basic and holds a 32-byte identity key")
    MEMBER_UNIVERSE = ("X-1", "dmls_member names the universe")
    MEMBER_IDENTITY = ("X-1", "the leaf belongs to the expected identity")
    MEMBER_SEND_GROUP = ("X-14", "a send group id has 32 bytes and is made from its owner's identity")
    MEMBER_PEER_ID = ("X-1", "a peer id is an Ed25519 identity multihash")

    # universe component and group context
    UNIVERSE_COMPONENT = ("X-2", "a send group's GroupContext carries dmls_universe")
    UNIVERSE_FIELDS = (
        "X-2",
        "universe id and owner identity have 32 bytes, mode is known, export length is 16 to 64",
    )
    UNIVERSE_IMMUTABLE = ("X-2", "dmls_universe never changes")
    COMPONENT_UPDATE = (
        "C-6",
        "roster digest (32 bytes) and external receivers are updated, once a commit, never removed",
    )
    REQUIRED_WIRE_FORMATS = (
        "C-2",
        "a send group requires the semi-private and the private external wire format, and no other",
    )
    ROOT_KEY = ("P-5", "a send group has a root key from its founding")
    HANDSHAKE_FORMAT = (
        "X-20",
        "commits are semi-private iff the sending epoch has external receivers, else private",
    )
    ROSTER_DIGEST = ("6", "a send group's GroupContext carries a 32-byte roster digest")

    # what commits carry
    DEPENDENCY_ORDER = ("X-8", "dependencies are sorted by PSK id, each once")
    DEPENDENCY_COUNT = ("X-8", "a commit imports at most 1,024 epochs")
    PSK_ID = ("X-4", "an external PSK id in a send group is an epoch and the id of a group of the universe")
    KEY_PACKAGES_COUNT = ("X-10", "a commit carries at most 8 key packages, one per suite")
    KEY_PACKAGE_SIZE = ("X-10", "a key package takes at most 8,192 bytes")
    KEY_PACKAGE_SUITE = ("5", "send groups use suites 1 and 3")

    # leaf replacement
    REPLACE_LEAF_ZERO = ("X-10", "leaf 0 is never replaced")
    REPLACE_REMOVED = ("X-10", "a leaf is not replaced and removed in one commit")
    REPLACE_SOURCE = ("X-10", "the new leaf's source is key_package")
    REPLACE_MEMBER = ("X-10", "the new leaf has the same identity, universe, send group and incarnation")
    REPLACE_SERIAL = ("X-10", "the new leaf has a higher serial")

    # head statements
    HEAD_FIELDS = ("R4", "a head statement's hashes have 32 bytes and its ids are bounded")
    HEAD_COMMIT = ("R4", "a head statement names the commit it travels with")

    # two nodes with the keys of one
    SIGHTING_FIELDS = ("B6", "a sighting names two groups and 1 to 8 heads that ascend")

    # floors
    FLOOR_FIELDS = ("7", "floors name this universe, a member, and groups that ascend")

    # roster
    UNIVERSE_FULL = ("X-19", "nobody is admitted to a universe of 150 members")
    ENTRY_UNIVERSE = ("6", "an entry belongs to this universe")
    ENTRY_FIELDS = ("6", "an entry's subject and author are 32-byte keys or ids")
    ENTRY_BODY = ("6", "an entry's body fits its kind")
    ENTRY_PREDECESSORS = ("6", "predecessors are sorted, each once, and at most 256")
    ENTRY_VERSION = ("6", "an entry's version is one above its author's highest among its ancestors")
    ENTRY_FOUNDING = ("6", "the founding entry proves the universe id, comes first, and there is one")
    ENTRY_RIGHT = ("6", "the author held the right according to the entries it names")
    ENTRY_QUOTA = ("6", "an admin makes at most 16,384 entries, a member 512; 4 under one version")
    ENTRY_INVITE_ID = ("6", "an invite's id is bound to its author and its ticket's key")
    ENTRY_INVITE = ("6", "a member entry spends an invite among its ancestors that is not revoked there")
    ENTRY_REMOVAL = (
        "6",
        "a removal names a member, an invite or an archiver among its ancestors, and known acts",
    )
    ENTRY_SENIOR = ("6", "who restricts a more senior member honours all acts of it that are known")
    ENTRY_READMIT = ("6", "a re-admission names the removals it answers, and its invite follows them")
    ENTRY_LEAVE = ("6", "leaving names the own member entry and own entries, and nothing else")
    ENTRY_MEMBER = (
        "6",
        "who spends a ticket is no member yet, and who is one is admitted anew in its own role",
    )
    ENTRY_ROLE = ("6", "a member has the role that its ticket names, and only a member's changes")

    # spending an invite
    INVITE_UNKNOWN = ("6", "the invite is in the roster")
    INVITE_REVOKED = ("6", "the invite is not revoked")
    INVITE_EXPIRED = ("6", "the invite has not expired")
    INVITE_USED = ("6", "the invite has a use left")
    MEMBER_ADMITTED = ("6", "who is a member does not join once more with another send group")
    INVITE_REMOVED = ("6", "a removed member comes back only through an entry that names the removal")

    # commits of a send group
    SENDER_NOT_OWNER = ("X-9", "only leaf 0 speaks in a send group")
    PSK_TYPE = ("X-4", "send groups import external PSKs only")
    DEPENDENCY_PSKS = ("X-8", "what a commit names as imported is what it imports, and is known")
    IMPORT_OWN_GROUP = ("X-7", "a send group does not import from itself")
    IMPORT_ORDER = ("X-7", "what a send group imports of another is newer each time")
    COMMIT_PROPOSALS = ("X-9", "a commit holds only the proposals that send groups use, by value")
    COMMIT_COMPONENTS = ("C-6", "a commit states its epoch's end, and each known component at most once")
    ADD_WITH_IMPORT = ("X-13", "a commit adds or imports, never both")
    ADD_WITHOUT_PATH = ("X-6", "a commit that adds, removes or replaces has a path")
    RESOLVE_HEADS = ("5.6", "a resolve closes 1 to 8 heads, each once")
    KEY_PACKAGES_WITH_PATH = ("X-10", "exactly the commits with a path carry key packages")
    MEMBER_INCARNATION = ("X-13", "a key package has the incarnation that its member has shown last")

    # Welcomes
    WELCOME_SIGNER = ("X-14", "a send group's GroupInfo is signed by leaf 0, whose leaf came by a commit")
    WELCOME_OWNER = ("X-14", "leaf 0 names the group, and is the owner in dmls_universe and in the roster")
    WELCOME_SUPERSEDES = ("B4", "a send group supersedes none but an earlier one of its owner")
    WELCOME_LEAF = ("X-14", "a Welcome does not make its receiver leaf 0")
    WELCOME_FRAME = ("R6", "a Welcome leads to the epoch that its commit starts")

    # tickets and addresses
    PEER_ADDRESS_PEER = ("7", "signed addresses are those of the member's own peer id")
    TICKET_PROOF = ("6", "the KeyPackage carries a proof of the ticket")
    JOINER = ("6", "the KeyPackage of a joiner tells its name, padded with zeros to 512, 1,024 or more bytes")
    ANSWER_KEY = ("6", "a joiner's proposal has the key for the answer, and is an Add")
    VOUCHED_INFO = ("P-4", "a member vouches for the key of its own send group, in a suite of the universe")
    ADDRESS_FIELDS = ("7", "at most 8 addresses of at most 128 printable characters")
    ADDRESS_UNIVERSE = ("7", "addresses belong to this universe")

    @property
    def section(self) -> str:
        return self.value[0]

    @property
    def sentence(self) -> str:
        return self.value[1]
