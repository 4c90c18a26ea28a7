"""The clauses of RFC 9420 and the extensions draft that a decodable message can break."""

from __future__ import annotations

import enum


class Rule(enum.Enum):
    """One clause: (section, what must hold)."""

    # extensions and the dictionary
    EXTENSION_TWICE = ("RFC 9420 §13", "an extension type stands once in a list")
    DICTIONARY_ORDER = ("extensions §4.6", "component ids strictly ascend")
    SAFE_AAD_ORDER = ("extensions §4.9", "SafeAAD items strictly ascend by component id")
    SAFE_AAD_FORM = ("extensions §4.9", "authenticated_data is SafeAAD where the group says so")

    WIRE_FORMAT = ("C-2", "a non-default wire format is one of required_wire_formats")
    WIRE_FORMATS_SUPPORT = ("extensions §5", "every member supports the required wire formats")
    APP_COMPONENTS_SUPPORT = ("extensions §5", "every member supports the required components")
    SAFE_AAD_SUPPORT = ("extensions §5", "every member supports the required components of SafeAAD")
    MEDIA_TYPES_SUPPORT = ("extensions §6.2", "every member supports the required media types")
    MEDIA_TYPES_EMPTY = ("extensions §6.2", "a list of media types has at least one")
    APPLICATION_FRAMING = ("extensions §6.2", "application_data is framed where media types are required")

    # key packages and leaf nodes
    KEY_PACKAGE_VERSION = ("RFC 9420 §10.1", "the key package has the group's version and cipher suite")
    KEY_PACKAGE_SIGNATURE = ("RFC 9420 §10.1", "the key package's signature verifies")
    KEY_PACKAGE_LAST_RESORT = ("extensions §6.4", "last_resort_key_package has no data")
    KEY_PACKAGE_KEYS = ("RFC 9420 §10.1", "init_key and the leaf's encryption_key differ")
    LEAF_NODE_SIGNATURE = ("RFC 9420 §7.3", "the leaf node's signature verifies")
    LEAF_NODE_SOURCE = ("RFC 9420 §7.3", "leaf_node_source fits where the leaf stands")
    LEAF_NODE_LIFETIME = ("RFC 9420 §7.3", "the leaf node's lifetime includes now")
    LEAF_NODE_LIFETIME_RANGE = ("RFC 9420 §7.2", "a lifetime is at most a year long, and not negative")
    LEAF_NODE_CREDENTIAL = (
        "RFC 9420 §7.3",
        "the credential type is in the leaf's and all members' capabilities",
    )
    X509_FORM = ("RFC 9420 §5.3", "an X.509 credential has 1 to 16 certificates, each DER")
    X509_KEY = ("RFC 9420 §5.3", "the end entity's certificate is for the signature key")
    X509_CHAIN = ("RFC 9420 §5.3", "each certificate is issued by the next, up to a trust anchor")
    X509_VALIDITY = ("RFC 9420 §5.3.2", "the certificates are valid at the time")
    LEAF_NODE_EXTENSION = ("RFC 9420 §7.3", "the leaf's extensions are in its capabilities")
    LEAF_NODE_CAPABILITIES = ("RFC 9420 §7.3", "the leaf supports version, suite and required capabilities")
    LEAF_NODE_ENCRYPTION_KEY = ("RFC 9420 §7.3", "encryption keys are unique in the tree")
    LEAF_NODE_SIGNATURE_KEY = ("RFC 9420 §7.3", "signature keys are unique in the tree")

    LEAF_NODE_CONTEXT = ("RFC 9420 §13.4", "a leaf supports the GroupContext's extensions")
    CREDENTIAL = ("RFC 9420 §5.3.1", "the Authentication Service accepts a credential")
    CREDENTIAL_SUCCESSOR = ("RFC 9420 §5.3.1", "a leaf's credential is a successor of the one it replaces")

    # ratchet trees
    TREE_TRAILING_BLANK = ("RFC 9420 §12.4.3.3", "the ratchet_tree extension has no blank node at its end")
    TREE_NODE_PLACE = ("RFC 9420 §12.4.3.3", "leaves stand at even, parents at odd places")
    TREE_HASH = ("RFC 9420 §12.4.3.1", "the tree hash is the GroupContext's")
    TREE_PARENT_HASH = ("RFC 9420 §7.9.2", "every parent node is parent-hash valid")
    TREE_UNMERGED_LEAVES = (
        "RFC 9420 §12.4.3.1",
        "unmerged leaves are sorted, non-blank, below, and unmerged between",
    )

    # update paths
    UPDATE_PATH_LENGTH = ("RFC 9420 §7.6", "the path has one node for each node of the filtered direct path")
    UPDATE_PATH_CIPHERTEXTS = (
        "RFC 9420 §7.6",
        "a path node has one ciphertext for each node of its resolution",
    )
    UPDATE_PATH_PUBLIC_KEY = ("RFC 9420 §7.6", "the public keys are those derived from the path secrets")
    UPDATE_PATH_KEY_REUSED = ("RFC 9420 §12.4.2", "the path's public keys are new in the tree")
    UPDATE_PATH_PARENT_HASH = ("RFC 9420 §7.9.1", "the leaf's parent hash is the path's")

    # framing and message protection
    WRONG_GROUP = ("RFC 9420 §6", "a message's group_id is the group's")
    WRONG_EPOCH = ("RFC 9420 §12.4.2", "a message's epoch is the group's")
    CONTENT_TYPE = ("RFC 9420 §6", "the content is what is asked for")
    PUBLIC_APPLICATION = ("RFC 9420 §6", "application messages are private")
    SENDER_TYPE = ("RFC 9420 §6.1", "the sender type may send this content in this format")
    SENDER_BLANK = ("RFC 9420 §6.3.2", "the sender's leaf is not blank")
    OWN_MESSAGE = ("RFC 9420 §6", "a message that claims to be one's own is not processed")
    PADDING = ("RFC 9420 §6.3.1", "padding is zero bytes")
    GENERATION_CONSUMED = ("RFC 9420 §9.2", "a generation is used once")
    HANDSHAKE_GENERATION = ("K-23", "a retained handshake ratchet gives generations 0 to 999")
    RATCHET_DELETED = ("RFC 9420 §9.2", "the sender's ratchet is still there")

    # messages without a generation
    MESSAGE_REPEATED = ("T-8", "a message without a generation is taken once")
    MESSAGE_LIMIT = ("T-8", "a member sends at most 4,096 messages without a generation in an epoch")

    # proposal lists
    PROPOSAL_UPDATE_OF_COMMITTER = ("RFC 9420 §12.2", "the committer's own Update is not committed")
    PROPOSAL_UPDATE_BY_VALUE = ("RFC 9420 §12.2", "an Update is committed by reference")
    PROPOSAL_UPDATE_SENDER = ("RFC 9420 §12.1.2", "an Update comes from a member")
    PROPOSAL_UPDATE_KEY = ("RFC 9420 §12.1.2", "an Update changes the encryption key")
    PROPOSAL_REMOVE_OF_COMMITTER = ("RFC 9420 §12.2", "the committer is not removed")
    PROPOSAL_REMOVE_BLANK = ("RFC 9420 §12.1.3", "a Remove names a non-blank leaf")
    PROPOSAL_SAME_LEAF = ("RFC 9420 §12.2", "one Update, Remove or replacement a leaf")
    PROPOSAL_SAME_CLIENT = ("RFC 9420 §12.2", "a client is added once and only where it is not a member")
    PROPOSAL_PSK_TWICE = ("RFC 9420 §12.2", "a PreSharedKeyID stands once")
    PROPOSAL_PSK_NONCE = ("RFC 9420 §8.4", "psk_nonce has Nh bytes")
    PROPOSAL_PSK_USAGE = ("RFC 9420 §12.1.4", "a resumption PSK proposed in a group has usage application")
    PROPOSAL_CONTEXT_TWICE = ("RFC 9420 §12.2", "one GroupContextExtensions a commit")
    PROPOSAL_CONTEXT_SUPPORT = ("RFC 9420 §12.1.7", "all members support the new extensions")
    PROPOSAL_REINIT_ALONE = ("RFC 9420 §12.2", "a ReInit is committed alone")
    PROPOSAL_REINIT_VERSION = ("RFC 9420 §12.1.5", "a ReInit does not lower the version")
    PROPOSAL_EXTERNAL_INIT = ("RFC 9420 §12.2", "no ExternalInit in a member's commit")
    PROPOSAL_TYPE_SUPPORT = ("RFC 9420 §12.2", "all members that stay support a proposal's type")
    PROPOSAL_CUSTOM = ("RFC 9420 §12.1", "a private proposal can be applied to the tree")
    PROPOSAL_EXTERNAL_TYPE = ("RFC 9420 §12.1.8", "an external proposal is of a type allowed for its sender")
    SELF_REMOVE_BY_VALUE = ("extensions §6.3", "a SelfRemove is committed by reference")
    SELF_REMOVE_SENDER = ("extensions §6.3", "a SelfRemove comes from a member")
    SELF_REMOVE_PUBLIC = ("extensions §6.3", "a SelfRemove is sent in a PublicMessage")
    EXTERNAL_SENDER = ("RFC 9420 §12.1.8.1", "an external sender is in the group's list")
    COMPONENT_UNKNOWN = ("extensions §4.7, §4.8", "a proposal's component is known to the application")
    APP_DATA_LIST = ("extensions §4.7", "a component has one remove or one or more updates")
    APP_DATA_ABSENT = ("extensions §4.7", "what is removed is there")
    APP_DATA_BY_CONTEXT = ("extensions §4.7", "GroupContextExtensions leaves the dictionary alone")

    # commits
    PATH_REQUIRED = ("RFC 9420 §12.4", "a commit has a path where a proposal asks for one or none is covered")
    CONFIRMATION_TAG = ("RFC 9420 §6.1", "the confirmation tag is the new epoch's")
    KEY_SCHEDULE = ("K-5", "the GroupContext names the group's key schedule, from epoch 0 on")
    EPOCH_LIMIT = ("RFC 9420 §8.1", "the epoch is below 2^64 - 1")

    # reinitialization and branching
    REINIT_LAST = ("RFC 9420 §12.4.2", "nothing is sent in a group after the commit of a ReInit")

    SUCCESSOR_EPOCH = ("RFC 9420 §12.4.3.1", "a group that follows another is joined in epoch 1")
    REINIT_COMMITTED = ("RFC 9420 §12.4.3.1", "the last commit of the group before holds a ReInit")
    REINIT_PARAMETERS = ("RFC 9420 §11.2", "the new group has the parameters of the ReInit")
    REINIT_MEMBERS = ("RFC 9420 §12.4.3.1", "all members of the old group are members of the new one")
    BRANCH_PARAMETERS = ("RFC 9420 §11.3", "a branch has version and cipher suite of the group before")
    BRANCH_MEMBERS = ("RFC 9420 §11.3", "the members of a branch are members of the group before")

    # external commits
    EXTERNAL_PUB = ("RFC 9420 §12.4.3.2", "the GroupInfo for an external commit has an external_pub")
    EXTERNAL_COMMIT_PATH = ("RFC 9420 §12.4.3.2", "an external commit has a path")
    EXTERNAL_COMMIT_REFERENCE = ("RFC 9420 §12.4.3.2", "an external commit refers to SelfRemoves only")
    EXTERNAL_COMMIT_PROPOSAL = ("RFC 9420 §12.2", "an external commit holds no other kinds of proposals")
    EXTERNAL_COMMIT_INIT = ("RFC 9420 §12.2", "an external commit has one ExternalInit")
    EXTERNAL_COMMIT_REMOVE = ("RFC 9420 §12.2", "an external commit has at most one Remove")

    # welcomes and GroupInfos
    WELCOME_NOT_FOR_ME = ("RFC 9420 §12.4.3.1", "the Welcome has secrets for the key package")
    WELCOME_SUITE = ("RFC 9420 §12.4.3.1", "key package, Welcome and GroupInfo have one cipher suite")
    GROUP_INFO_TREE = ("RFC 9420 §12.4.3.1", "the ratchet tree comes with the Welcome or beside it")
    GROUP_INFO_SIGNER = ("RFC 9420 §12.4.3.1", "the GroupInfo's signer is a member")
    GROUP_INFO_SIGNATURE = ("RFC 9420 §12.4.3.1", "the GroupInfo's signature verifies")
    WELCOME_MY_LEAF = ("RFC 9420 §12.4.3.1", "the key package's leaf is in the tree")
    WELCOME_PATH_SECRET = ("RFC 9420 §12.4.3.1", "the path secret gives the keys of the tree")
    WELCOME_PSKS = ("RFC 9420 §12.4.3.1", "at most one resumption PSK is of usage reinit or branch")
    WELCOME_GROUP_ID = ("RFC 9420 §12.4.3.1", "the group_id is none of the groups one is in")
