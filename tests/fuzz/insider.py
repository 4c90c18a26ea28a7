"""A hostile member: it says whatever it likes, by the keys of its epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.fuzz import values
from tests.fuzz.findings import REFUSALS
from tests.fuzz.forger import Forger
from tests.fuzz.kinds import PROPOSALS, Structure
from tests.fuzz.pieces import changed, pieces

from starling.protocol.errors import UsageError
from starling.protocol.mls import framing
from starling.protocol.mls.apply_proposals import apply_proposals
from starling.protocol.mls.commit import Commit, ProposalOrRef
from starling.protocol.mls.epoch import CommitDigest, enter_child, provisional_context
from starling.protocol.mls.extension import RATCHET_TREE, with_extension
from starling.protocol.mls.framing import FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group import CommitResult
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.key_schedule import welcome_key_nonce
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_tree import keys_in
from starling.protocol.mls.proposal import PROPOSALS as PROPOSAL_CODEC
from starling.protocol.mls.proposal import Add, Proposal, Remove, Update
from starling.protocol.mls.proposal_list import CommittedProposal, received_proposal
from starling.protocol.mls.psk import find_psk_secret
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.ratchet_tree import RatchetTree, _Nodes
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.update_path import create_path, seal_path
from starling.protocol.mls.welcome import (
    EncryptedGroupSecrets,
    GroupSecrets,
    Welcome,
    open_group_info,
    open_group_secrets,
)
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat


class Insider(Forger):
    """What a hostile member says: content that is wrong somewhere, in a message that may be wrong too."""

    def application(self) -> bytes:
        content = self.frame(ContentType.APPLICATION, application_data=self.rng.randbytes(20))
        return self._somehow(content)

    def proposal(self) -> bytes:
        content = self.frame(ContentType.PROPOSAL, proposal=self.hostile_proposal())
        return self._somehow(content)

    def commit(self) -> bytes:
        """A commit changed after it was made, its tag recomputed where that is in the insider's might."""
        return self.forge_commit(lambda commit: self.change(commit) if self.rng.random() < 0.7 else commit)

    def _somehow(self, content: FramedContent, tag: bytes | None = None) -> bytes:
        """The content in a message, with something wrong on one of the layers."""
        rng = self.rng
        match rng.randrange(6):
            case 0:
                return self.send(self.change(content), tag)
            case 1:
                return self.send(
                    content, tag, wire_format=1, sender_data=lambda data: values.change_structure(rng, data)
                )
            case 2:
                return self.send(
                    content, tag, wire_format=2, private=lambda plaintext: values.change_bytes(rng, plaintext)
                )
            case 3:
                message = MLSMessage.decode(self.send(content, tag))
                changed: bytes = self.change(message).encode()
                return changed
            case 4:
                return self.send(content, tag, wire_format=2, sender_data=lambda data: self.change(data))
            case _:
                return self.send(content, tag)

    def hostile_proposal(self) -> Proposal:
        """Any proposal: of a member, made up, or changed and signed anew below."""
        rng = self.rng
        match rng.randrange(6):
            case 0:
                proposal: Proposal = values.value(rng, PROPOSALS)
                return proposal
            case 1:
                return Add(self.hostile_key_package())
            case 2:
                leaf = self.member.client.update_leaf(self.group)[0]
                leaf = self.borrowing(leaf) if rng.random() < 0.3 else self.change(leaf)
                return Update(self.signed_leaf(leaf))
            case 3:
                return Remove(rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 2**31, 2**32 - 1)))
            case 4:
                return self.change_proposal(self.live.proposal_of(self.member))
            case _:
                return self.live.proposal_of(self.member)

    def signed_leaf(self, leaf: LeafNode) -> LeafNode:
        return leaf.sign(
            self.suite, self.signature_private_key, self.group.group_id, self.group.own_leaf_index
        )

    def borrowing(self, leaf: LeafNode) -> LeafNode:
        """The leaf with something that belongs to another node of the tree."""
        nodes = [node for node in self.group.tree.nodes if node is not None]
        _, other = self.rng.choice(list(self.group.tree.leaves()))
        match self.rng.randrange(4):
            case 0:
                return replace(leaf, signature_key=other.signature_key)
            case 1:
                return replace(leaf, credential=other.credential)
            case 2:
                return replace(leaf, capabilities=replace(leaf.capabilities, credentials=(), extensions=()))
            case _:
                return replace(leaf, encryption_key=self.rng.choice(nodes).encryption_key)

    def hostile_key_package(self) -> KeyPackage:
        client = self.live.new_client()
        bundle = client.bundle()
        package = bundle.key_package
        leaf = package.leaf_node
        leaf = self.borrowing(leaf) if self.rng.random() < 0.3 else self.change(leaf)
        if self.rng.random() < 0.7:
            leaf = replace(leaf, signature_key=client.signature_key)
        package = replace(package, leaf_node=leaf.sign(self.suite, client.signature_private_key, b"", 0))
        if self.rng.random() < 0.3:
            package = self.change(package)
        unsigned = replace(package, signature=b"").encode()[:-1]
        signature = self.suite.sign_with_label(client.signature_private_key, "KeyPackageTBS", unsigned)
        return replace(package, signature=signature)

    def library_commit(self) -> CommitResult | None:
        """A commit of hostile proposals that the library itself takes for good, None where it refuses."""
        leaf_node = (lambda leaf: self.change(leaf)) if self.rng.random() < 0.4 else None
        try:
            listed = [self.hostile_proposal() for _ in range(self.rng.choice((1, 1, 2)))]
            # What does not decode is no proposal: the caller's fault, not the library's.
            listed = [PROPOSAL_CODEC.decode(PROPOSAL_CODEC.encode(proposal)) for proposal in listed]
            return self.group.commit(
                [proposal for proposal in listed if not isinstance(proposal, Update)],
                path=True if leaf_node is not None else None,
                leaf_node=leaf_node,
                psks=self.member.psk,
                wire_format=self.live.wire_format(),
                authenticated_data=self.live.authenticated_data(),
                random=self.live.random,
            )
        except (*REFUSALS, UsageError):
            return None

    def forge_commit(self, change: Callable[[Commit], Commit]) -> bytes:
        """A commit of our own making, unchecked, with the confirmation tag that fits its transcript."""
        rng, epoch, suite, own = self.rng, self.epoch, self.suite, self.group.own_leaf_index
        waiting = rng.sample(
            list(self.member.proposals.values()), rng.randrange(len(self.member.proposals) + 1)
        )
        by_value: list[Proposal] = [self.hostile_proposal() for _ in range(rng.choice((0, 0, 1, 2)))]
        listed = [received_proposal(content) for content in waiting]
        listed += [CommittedProposal(proposal, Sender.member(own)) for proposal in by_value]
        with_path = rng.random() < 0.8
        try:
            applied = apply_proposals(
                suite, epoch.context, epoch.tree, own, listed, epoch.rules, has_path=with_path
            )
            psk_secret = find_psk_secret(suite, applied.psk_ids, self.member.psk)
        except (*REFUSALS, UsageError):
            # The others will see it too, so what stands behind it does not matter.
            applied = apply_proposals(
                suite, epoch.context, epoch.tree, own, (), epoch.rules, has_path=with_path
            )
            psk_secret = bytes(suite.hash_length)
        path = update_path = None
        tree = applied.tree
        if with_path:
            leaf = tree.leaf(own)
            assert leaf is not None
            if rng.random() < 0.4:
                leaf = self.borrowing(leaf) if rng.random() < 0.3 else self.change(leaf)
            path = create_path(
                suite, tree, own, self.group.group_id, leaf, self.signature_private_key, self.live.random
            )
            tree = path.tree
        provisional = provisional_context(suite, epoch.context, tree, applied.extensions)
        if path is not None:
            update_path = seal_path(suite, path, provisional.encode(), applied.added, self.live.random)
        entries = [ProposalOrRef.by_reference(content.reference(suite)) for content in waiting]
        entries += [ProposalOrRef.by_value(proposal) for proposal in by_value]
        content = self.frame(ContentType.COMMIT, commit=change(Commit(tuple(entries), update_path)))
        if rng.random() < 0.1:
            content = self.change(content)
        wire_format = self.live.wire_format()
        signature = self.sign(wire_format, content)
        keys = epoch.private_tree.export() | (path.secrets.private_keys if path is not None else {})
        child = enter_child(
            epoch,
            provisional,
            tree,
            commit=CommitDigest(wire_format, content, signature),
            root_path_secret=path.secrets.root_path_secret if path is not None else None,
            commit_secret=path.secrets.commit_secret if path is not None else None,
            psk_secret=psk_secret,
            private_keys=keys_in(tree, keys),
            signature_private_key=self.signature_private_key,
        ).epoch
        return self.send(content, child.confirmation_tag, wire_format=wire_format, signature=signature)

    # from outside

    def outsider(self) -> bytes:
        """A public message of somebody who is no member: an external sender or one that wants to join."""
        client = self.live.outsider if self.rng.random() < 0.6 else self.live.new_client()
        proposal = Add(client.bundle().key_package) if self.rng.random() < 0.4 else self.hostile_proposal()
        sender = self.rng.choice(
            (Sender(SenderType.EXTERNAL, None, 0), Sender(SenderType.NEW_MEMBER_PROPOSAL))
        )
        if self.rng.random() < 0.3:
            sender = self.change(sender)
        content = FramedContent(
            self.group.group_id, self.group.epoch, sender, b"", ContentType.PROPOSAL, proposal=proposal
        )
        if self.rng.random() < 0.3:
            content = self.change(content)
        tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, content, self.epoch.context_bytes)
        signature = framing.sign(self.suite, client.signature_private_key, tbs)
        tag = b"" if content.content_type == ContentType.COMMIT else None
        return MLSMessage.of(self._public(content, FramedContentAuthData(signature, tag))).encode()

    def external_commit(self, made: CommitResult, signature_private_key: bytes) -> bytes:
        """An external commit changed and signed anew by who made it."""
        held = made.content
        commit = held.content.commit
        assert commit is not None
        if self.rng.random() < 0.3:
            extra = ProposalOrRef.by_value(self.hostile_proposal())
            commit = replace(commit, proposals=(*commit.proposals, extra))
        else:
            commit = self.change(commit)
        content = replace(held.content, commit=commit)
        tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, content, self.epoch.context_bytes)
        signature = framing.sign(self.suite, signature_private_key, tbs)
        auth = FramedContentAuthData(signature, held.auth.confirmation_tag)
        return MLSMessage.of(PublicMessage(content, auth, None)).encode()

    def hostile_info(self, info: GroupInfo, sign: bool = True) -> GroupInfo:
        """A GroupInfo changed in itself or inside its tree, the tree hash made to fit, signed by us."""
        rng = self.rng
        if rng.random() < 0.6:
            nodes = _Nodes(self.group.tree.nodes)
            data = (
                self.change(nodes).encode()
                if rng.random() < 0.7
                else changed(rng, pieces(Structure(_Nodes), nodes))
            )
            info = replace(info, extensions=with_extension(info.extensions, RATCHET_TREE, data))
            try:
                tree = RatchetTree.decode(data)
                info = replace(
                    info, group_context=replace(info.group_context, tree_hash=tree_hash(self.suite, tree))
                )
            except REFUSALS:
                pass  # what is no tree has no hash
        else:
            info = self.change(info)
        return info.sign(self.suite, self.signature_private_key) if sign else info

    def hostile_welcome(self, made: CommitResult, bundle: KeyPackageBundle) -> Welcome:
        """A Welcome whose secrets or GroupInfo are changed, encrypted as it should be."""
        assert made.welcome is not None
        body = MLSMessage.decode(made.welcome).body
        assert isinstance(body, Welcome)
        secrets = open_group_secrets(self.suite, body, bundle)
        psk_secret = find_psk_secret(self.suite, secrets.psks, self.member.psk)
        info = open_group_info(self.suite, body, secrets.joiner_secret, psk_secret)
        if self.rng.random() < 0.7:
            old = self.group
            self.group = made.next
            info = self.hostile_info(info)
            self.group = old
        if self.rng.random() < 0.4:
            secrets = self.change(secrets)
            with_psks = [psk for psk in secrets.psks if self.member.psk(psk) is not None]
            psk_secret = find_psk_secret(self.suite, with_psks, self.member.psk)
        key, nonce = welcome_key_nonce(self.suite, secrets.joiner_secret, psk_secret)
        plaintext = info.encode()
        if self.rng.random() < 0.2:
            plaintext = changed(self.rng, pieces(Structure(GroupInfo), info))
        encrypted = self.suite.seal(key, nonce, b"", plaintext)
        return Welcome(self.suite.id, (self._sealed(bundle, secrets, encrypted),), encrypted)

    def _sealed(self, bundle: KeyPackageBundle, secrets: GroupSecrets, info: bytes) -> EncryptedGroupSecrets:
        data = secrets.encode()
        if self.rng.random() < 0.2:
            data = changed(self.rng, pieces(Structure(GroupSecrets), secrets))
        package = bundle.key_package
        sealed = self.suite.encrypt_with_label(package.init_key, "Welcome", info, data, self.live.random)
        return EncryptedGroupSecrets(package.reference(), sealed)
