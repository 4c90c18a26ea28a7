"""One universe as this node holds it: plain state, and the rows that keep it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from starling.protocol.decentralized.epoch_graph import EpochGraph
from starling.protocol.decentralized.settling import Reported
from starling.protocol.distributed import policy
from starling.protocol.distributed.denial import Sighting
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.heads import HeadsReport
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import MemberId, member_id
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.psk_ledger import PskLedger
from starling.protocol.distributed.roster import MemberInfo, Roster
from starling.protocol.distributed.universe_component import read_roster_digest
from starling.protocol.engine.archiver_link import ArchiverLink
from starling.protocol.engine.bundles import BundleStore
from starling.protocol.engine.contacts import ContactBook
from starling.protocol.engine.context import Context
from starling.protocol.engine.delivered import Delivered
from starling.protocol.engine.door import Door
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.healing_vectors import Healing
from starling.protocol.engine.kept_evidence import EvidenceStore
from starling.protocol.engine.leaving import Leaving
from starling.protocol.engine.links import Behind, GoneFrames, Lack, Link
from starling.protocol.engine.name_claims import NameClaims
from starling.protocol.engine.outbox import Outbox
from starling.protocol.engine.places import Places
from starling.protocol.engine.profiles import ProfileStore
from starling.protocol.engine.standing import Standing
from starling.protocol.engine.stuck import StuckBook
from starling.protocol.engine.under_way import AsksAgain, Boot, Joining, Timers
from starling.protocol.engine.watch import Watch
from starling.protocol.exchange.frame_log import KeptFrames
from starling.protocol.exchange.waiting import Waiting
from starling.protocol.packed import Blob, Either, Uint, pack, shape, unpack

_ROW = (Blob.of(32), Uint(0xFFFF), Uint(2**32 - 1), Blob(32), Either(None, Uint()), bool)

MAX_MADE = 256


class Universe:
    """All of one universe: roster, send groups, ledger, what waits, what is due."""

    def __init__(
        self,
        identity: Identity,
        universe_id: bytes,
        *,
        group_id: bytes,
        cipher_suite: int,
        incarnation: int,
        signature_private_key: bytes,
        now: int,
    ) -> None:
        self.identity = identity
        self.universe_id = universe_id
        self.group_id = group_id
        self.cipher_suite = cipher_suite
        self.incarnation = incarnation
        self.signature_private_key = signature_private_key
        self.removed = False
        self.roster = Roster(universe_id)
        self.groups: dict[bytes, GroupState] = {}
        self.kept = KeptFrames()
        self.unswept: set[bytes] = set()
        """The groups in which something changed since they were last looked at for what may go."""
        self.ledger = PskLedger()
        self.profiles = ProfileStore(universe_id)
        self.claims = NameClaims(universe_id)
        self.bundles = BundleStore(universe_id)
        self.outbox = Outbox(universe_id)
        self.delivered = Delivered(universe_id)
        self.evidence = EvidenceStore(universe_id)
        self.healing = Healing()
        self.stuck = StuckBook(universe_id)
        self.standing = Standing(universe_id, now)
        self.places = Places(universe_id)
        self.reports: dict[bytes, HeadsReport] = {}
        """By member, the newest that could be completed."""
        self.unread_reports: set[bytes] = set()
        """Who told in its newest report only what is different from one that is not held here."""
        self.told: HeadsReport | None = None
        """What this node last reported, in this run: None where somebody in its group may not hold it."""
        self.waiting = Waiting()
        self.turned_away = 0
        """How many frames found no room there."""
        self.behind: dict[bytes, Behind] = {}
        self.lacks: dict[bytes, Lack] = {}
        """By group, of members and of former ones that this node follows."""
        self.gone: dict[bytes, GoneFrames] = {}
        self.links: dict[bytes, Link] = {}
        self.archivers: dict[bytes, ArchiverLink] = {}
        """By peer id, of the archivers that were met."""
        self.archivers_revision = 0
        self.farewells: dict[bytes, int] = {}
        """By peer id, when a former archiver was last told that it is one."""
        self.list_id = b""
        """Names the list of this node's frames in this run, once an archiver is told of it."""
        self.floors_serial = 0
        self.boot = Boot(deadline=now)
        self.timers = Timers(last_update=now, full_sweep=now + policy.SWEEP_INTERVAL)
        self.watch = Watch()
        self.catching_up: set[bytes] = set()
        """Who came or went, and some owner has not followed yet (`catching_up`)."""
        self.trees_changed = False
        """Whether some send group has other members since that was last looked at."""
        self.converged = False
        self.agreed: set[bytes] = set()
        """The members whose newest report was found to say just what this node has, since that last changed."""
        self.refused: dict[str, int] = {}
        self.was_put_back = False
        """Whether anything in this run spoke for it, also where the node has started anew since."""
        self.suspected: set[bytes] = set()
        """The peers that named an epoch of our own group that we do not know."""
        self.rollbacks: dict[bytes, HeadStatement] = {}
        """The commits that we signed and do not know, by hash, as far as told in this run."""
        self.foreign_heads: dict[bytes, set[bytes]] = {}
        """Heads of our own group that members name and that we do not know, with who names them."""
        self.branched_at: int | None = None
        """The number of the oldest epoch of ours that a commit follows which we do not know."""
        self.began_at = 0
        """The number of the head of our own group when this run began."""
        self.made: deque[bytes] = deque(maxlen=MAX_MADE)
        """The newest epochs of our own group that this run's commits started."""
        self.given_up: frozenset[bytes] = frozenset()
        """The epochs that this node knew of the group which it gave up to start anew."""
        self.shown_heads: dict[bytes, bytes] = {}
        """By member, the newest head that it named of that group and that is none of these."""
        self.told_twice = b""
        """The roster entry under which a member was told to run twice of whose group nothing is held here."""
        self.sightings: dict[bytes, tuple[int, Sighting]] = {}
        """Of members that start anew, by identity, when it came and what they were shown last."""
        self.resolves = 0
        """How often we have closed heads of our own group in this run."""
        self.floors: dict[bytes, int] = {}
        """By member: the oldest epoch of our own group of which it could enter another child, by number."""
        self.joining: Joining | None = None
        self.leaving: Leaving | None = None
        """Where this node was not removed by others, but has left."""
        self.door = Door()
        self.silenced = False
        """The roster does not name our send group: it was superseded, or is not admitted yet. Nothing is sent in it."""
        self.asks_again: dict[bytes, tuple[AsksAgain, ...]] = {}
        """Of members, by identity; oldest first."""
        self.readmits_automatically = False
        self.readmitted: dict[bytes, tuple[int, ...]] = {}
        """By member, when nobody was asked, of the last day."""
        self.own_address: PeerAddress | None = None
        self.connected: set[bytes] = set()
        """All connected peers, members or not; shared with the engine."""
        self.contacts = ContactBook()
        """What is noted of people; shared with the engine."""
        self.name_due = True
        """Whether it is to be seen if the own name has to be said in the own send group."""
        self.display: tuple[object, Any] | None = None
        """The names to show, with what they were made from (`people`)."""

    def __repr__(self) -> str:
        return f"<Universe {self.universe_id.hex()[:8]}>"

    @property
    def is_active(self) -> bool:
        """Whether this node is a member: neither still joining nor removed."""
        return self.joining is None and not self.removed

    @property
    def leaves_word(self) -> bool:
        """Whether somebody has still to be told that this node has left."""
        return self.joining is None and self.leaving is not None and bool(self.leaving.peers)

    @property
    def is_admitted(self) -> bool:
        """Whether the roster names this node's own send group."""
        info = self.roster.members.get(self.me)
        return info is not None and info.send_group_id == self.group_id

    @property
    def is_asking(self) -> bool:
        """Whether this node waits to be admitted anew, with a higher incarnation than the roster knows (5.6 B7)."""
        info = self.roster.members.get(self.me)
        return (
            self.is_active
            and info is not None
            and info.incarnation < self.incarnation
            and self.group_id not in self.roster.send_groups
        )

    @property
    def rollback_suspected(self) -> bool:
        """Whether a member named, or proved, an epoch or commit of the own group that this node does not know."""
        return bool(self.suspected or self.rollbacks)

    @property
    def network_revision(self) -> tuple[object, ...]:
        """What differs whenever the topics or peers of the universe do."""
        revisions = self.roster.revision, self.profiles.revision, self.archivers_revision
        return self.joining is None, self.removed, self.leaves_word, *revisions

    # who is who

    @property
    def own(self) -> GroupState:
        """This node's own send group."""
        return self.groups[self.group_id]

    @property
    def me(self) -> bytes:
        return self.identity.identity_public_key

    @property
    def own_member_id(self) -> MemberId:
        return MemberId(self.me, self.incarnation)

    def others(self) -> Iterator[MemberInfo]:
        """The current members but this node."""
        return (info for identity, info in self.roster.members.items() if identity != self.me)

    def following(self) -> Iterator[MemberInfo]:
        """The other members that this node is to hear of: neither are they suspended here, nor has their owner removed
        this node from its group, in which alone it reports."""
        return (
            info
            for info in self.others()
            if info.identity not in self.standing.suspended
            and info.send_group_id not in self.standing.excluded
        )

    def incarnation_of(self, identity: bytes) -> int:
        """The incarnation by which a current member is to be in all groups: the roster's, or a higher one that it has
        shown in its own group (B7)."""
        return max(self.roster.members[identity].incarnation, self.profiles.incarnation(identity))

    def member_of_peer(self, peer_id: bytes) -> MemberInfo | None:
        """The current member that a libp2p peer is."""
        return self.roster.peers.get(peer_id)

    def may_forward(self, peer_id: bytes) -> bool:
        """Whether frames of this universe are taken from a peer: a member's node, or an archiver."""
        return peer_id in self.roster.peers or self.roster.archiver_of_peer(peer_id) is not None

    def owner_of(self, group_id: bytes) -> MemberInfo | None:
        """Whose group it is: another member's, or a former member's while this node still has to follow it.

        That is as long as a group held here has its leaf, or a waiting commit imports from it (X-15).
        """
        info = self.roster.send_groups.get(group_id)
        if info is None or info.identity == self.me:
            return None
        if self.is_current(group_id) or self.waiting.imports_from(group_id):
            return info
        return info if any(self.has_leaf(state, info) for state in self.groups.values()) else None

    def has_leaf(self, state: GroupState, former: MemberInfo) -> bool:
        """Whether the head of a send group has a former member's leaf, of the incarnation that it then had."""
        if former.identity not in state.graph.head_info.members:
            return False
        if former.identity not in self.roster.members:
            return True
        leaf = MemberId(former.identity, former.incarnation)
        return any(member_id(node) == leaf for _, node in state.head.tree.leaves())

    def is_current(self, group_id: bytes) -> bool:
        """Whether the send group is a current member's."""
        info = self.roster.send_groups.get(group_id)
        member = self.roster.members.get(info.identity) if info is not None else None
        return member is not None and member.send_group_id == group_id

    def was_own(self, group_id: bytes) -> bool:
        """Whether the send group is another one of this node's own: it was given up, or a copy's."""
        info = self.roster.send_groups.get(group_id)
        return info is not None and info.identity == self.me and group_id != self.group_id

    def name_of(self, identity: bytes) -> str:
        """What a member or former member calls itself, for people; empty where none is known."""
        if identity == self.me:
            return self.identity.name
        info = self.roster.members.get(identity) or self.roster.former.get(identity)
        if info is None:
            return ""
        claim = self.claims.get(identity)
        return claim.name if claim.name and claim.group_id == info.send_group_id else info.name

    def knows_group(self, group_id: bytes) -> bool:
        """Whether the group is a member's, as far as the roster or a Welcome told."""
        return group_id in self.groups or group_id == self.group_id or self.owner_of(group_id) is not None

    def shares(self, state: GroupState, identity: bytes) -> bool:
        """Whether a member is in a send group, on any branch, as far as this node knows: then it may have its
        frames."""
        return identity == state.owner or any(identity in tip.members for tip in state.graph.tips.values())

    def leaves_out(self, state: GroupState, identity: bytes) -> bool:
        """Whether the owner of a group has no leaf for a current member in it although it knows the roster: it has
        blocked or suspended the member, or lacks its KeyPackage."""
        if identity in state.graph.head_info.members or identity not in self.roster.members:
            return False
        if state.is_own:
            return self.standing.keeps_out(identity)
        return read_roster_digest(state.head.context.extensions) == self.roster.digest

    def graphs(self) -> dict[bytes, EpochGraph]:
        """The epochs of every send group."""
        return {group_id: state.graph for group_id, state in self.groups.items()}

    def is_frozen(self, state: GroupState) -> bool:
        """Whether nothing is imported from a group because its owner runs twice, until the roster says otherwise of
        the owner (B6)."""
        member = self.roster.members.get(state.owner)
        return bool(state.frozen_by) and member is not None and member.entry_id == state.frozen_by

    def forget_group_before(self) -> None:
        """The own group is a new one: what was said in the one before, and what members say of it, does not matter."""
        self.told = None
        self.foreign_heads.clear()
        self.floors.clear()
        self.branched_at = None
        self.began_at = 0
        self.resolves = 0

    def reported(self, identity: bytes, group_id: bytes) -> Reported | None:
        """What a member last reported of one group."""
        report = self.reports.get(identity)
        rows = report.heads.get(group_id, ()) if report is not None else ()
        if not rows:
            return None
        first, *others = rows
        branches = tuple(Reported(row.head, row.past, row.count) for row in others)
        return Reported(first.head, first.past, first.count, branches)

    def wanted_reports(self) -> list[bytes]:
        """The members that are to tell their report whole."""
        return sorted(self.unread_reports & self.roster.members.keys()) if self.unread_reports else []

    def sweep_soon(self, group_id: bytes, now: int) -> None:
        """Something changed in a group: it is to be looked at for what may go."""
        self.unswept.add(group_id)
        due = now + policy.sweep_delay(len(self.roster.members))
        self.timers.retention = min(self.timers.retention or due, due)

    def refuse(self, word: str) -> None:
        """Count a refused frame by the rule it broke."""
        if word in self.refused or len(self.refused) < 64:
            self.refused[word] = self.refused.get(word, 0) + 1

    # rows

    def save(self, ctx: Context) -> None:
        row = [
            self.group_id, self.cipher_suite, self.incarnation, self.signature_private_key,
            self.timers.first_path, self.removed,
        ]  # fmt: skip
        ctx.put("universe", self.universe_id, pack(row))

    @classmethod
    def load(cls, identity: Identity, universe_id: bytes, row: bytes, now: int) -> Universe:
        group_id, cipher_suite, incarnation, private_key, first_path, removed = shape(
            unpack(row, max_bytes=4096), _ROW
        )
        universe = cls(
            identity,
            universe_id,
            group_id=group_id,
            cipher_suite=cipher_suite,
            incarnation=incarnation,
            signature_private_key=private_key,
            now=now,
        )
        universe.removed = removed
        universe.timers.first_path = first_path
        return universe
