"""The rules of groups that take private external messages (draft-mahy-mls-private-external-01 §3.2; P-6)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import Invalid
from starling.protocol.extensions.private_external_info import (
    EXTERNAL_ENCRYPTION,
    ROOT_PRIVATE_SIGNATURE_KEY,
    RootPrivateSignature,
    read_root_key,
    root_public_key,
)
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls.components import read_component
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.proposal import (
    AppDataUpdate,
    AppDataUpdateOperation,
    GroupContextExtensions,
    Proposal,
    Remove,
    SelfRemove,
)
from starling.protocol.mls.ratchet_tree import RatchetTree

MAX_USED_ROOT_KEYS = 256


def new_root_key(suite: CipherSuite, random: Callable[[int], bytes]) -> bytes:
    """The data of a fresh root key component, for founding a group."""
    private_key, _ = suite.signature_generate(random)
    return RootPrivateSignature(private_key).encode()


def replace_root_key(suite: CipherSuite, random: Callable[[int], bytes]) -> AppDataUpdate:
    """The proposal that a commit with a removal needs (P-6)."""
    return AppDataUpdate(
        ROOT_PRIVATE_SIGNATURE_KEY, AppDataUpdateOperation.UPDATE, new_root_key(suite, random)
    )


class UsedRootKeys:
    """The public halves of the root keys that a group has had, on whatever fork: the latest 256, by hash."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._hashes: dict[bytes, None] = {}
        self.load(hashes)

    def __contains__(self, digest: object) -> bool:
        return digest in self._hashes

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """For saving."""
        return tuple(self._hashes)

    def load(self, hashes: Iterable[bytes]) -> None:
        """Take over what was saved."""
        self._hashes = dict.fromkeys(hashes)

    def note(self, context: GroupContext) -> bool:
        """Remember the root key of an epoch that was entered; whether it is a new one."""
        root = read_root_key(context)
        if root is None:
            return False
        suite = cipher_suite(context.cipher_suite)
        digest = suite.hash(root_public_key(suite, root))
        if digest in self._hashes:
            return False
        self._hashes[digest] = None
        while len(self._hashes) > MAX_USED_ROOT_KEYS:
            del self._hashes[next(iter(self._hashes))]
        return True


def check_root_key(
    group_context: GroupContext, proposals: Sequence[Proposal], used: Container[bytes] = ()
) -> None:
    """What a commit does with the root key: who removes replaces it, and a new one was never there before (P-6).

    `used` are the hashes of earlier public keys, as `UsedRootKeys` has them; the present key is compared anyway.
    Raises `Invalid`, `DecodeError`.
    """
    suite = cipher_suite(group_context.cipher_suite)
    current = read_root_key(group_context)
    updates = _updates(proposals, current)
    if len(updates) > 1:
        raise Invalid(Rule.ROOT_KEY_ONCE)
    if not updates:
        removes = any(isinstance(proposal, (Remove, SelfRemove)) for proposal in proposals)
        if removes and current is not None:
            raise Invalid(Rule.ROOT_KEY_REPLACED)
        return
    public_key = root_public_key(suite, RootPrivateSignature.decode(updates[0]).root_private_signature_key)
    if current is not None and public_key == root_public_key(suite, current):
        raise Invalid(Rule.ROOT_KEY_NEW)
    if suite.hash(public_key) in used:
        raise Invalid(Rule.ROOT_KEY_NEW)


def _updates(proposals: Sequence[Proposal], current: bytes | None) -> list[bytes]:
    """The data that a commit puts into the component, in whichever way. A group that has a root key keeps one."""
    updates: list[bytes] = []
    for proposal in proposals:
        if isinstance(proposal, GroupContextExtensions):
            data = read_component(proposal.extensions, ROOT_PRIVATE_SIGNATURE_KEY)
            if data is None and current is not None:
                raise Invalid(Rule.ROOT_KEY_STAYS)
            if data is not None and (current is None or data != RootPrivateSignature(current).encode()):
                updates.append(data)
        elif isinstance(proposal, AppDataUpdate) and proposal.component_id == ROOT_PRIVATE_SIGNATURE_KEY:
            if proposal.op != AppDataUpdateOperation.UPDATE:
                raise Invalid(Rule.ROOT_KEY_STAYS)
            updates.append(proposal.update or b"")
    return updates


class PrivateExternalRules(GroupRules):
    """For groups without other rules; those that have some take over what is here. `used` is to be told of each epoch
    that is entered, and kept with the group."""

    derivations = (EXTERNAL_ENCRYPTION,)

    def __init__(self, used: UsedRootKeys | None = None) -> None:
        self.used_root_keys = used or UsedRootKeys()

    def check_proposals(
        self,
        group_context: GroupContext,
        tree: RatchetTree,
        committer_leaf_index: int | None,
        proposals: Sequence[Proposal],
        has_path: bool,
    ) -> None:
        check_root_key(group_context, proposals, self.used_root_keys)

    def app_data_update(self, component_id: int, current: bytes | None, updates: Sequence[bytes]) -> bytes:
        if component_id == ROOT_PRIVATE_SIGNATURE_KEY:
            return updates[-1]
        return super().app_data_update(component_id, current, updates)
