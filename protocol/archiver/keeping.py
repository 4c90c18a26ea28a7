"""Taking frames in, and letting go of them: by floors that all members signed, by age, by the end of the universe."""

from __future__ import annotations

from dataclasses import replace

from starling.protocol.archiver.archive import Archive
from starling.protocol.archiver.checking import check_signed, kind_of, open_commit, read_frame
from starling.protocol.archiver.kept_frames import ArchivedFrame, Opening
from starling.protocol.decentralized.dmls_message import DMLSMessage
from starling.protocol.distributed import policy
from starling.protocol.distributed.member import leaf_identity, read_member
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.engine.context import Context
from starling.protocol.errors import DecodeError, Invalid, ProtocolError, Unsupported
from starling.protocol.exchange.feed import FrameKind, ListedFrame, Verdict
from starling.protocol.exchange.frame import Announcement, CommitFrame, decode_frame, frame_id
from starling.protocol.mls.key_package import KeyPackage


def judge(archive: Archive, peer_id: bytes, listed: ListedFrame) -> Verdict:
    """What to do about a frame that a member lists."""
    if listed.frame_id in archive.frames:
        return Verdict.LEAVE
    if listed.group_id not in archive.roster.send_groups:
        return Verdict.LATER
    floor = archive.floor(listed.group_id)
    if floor is None or listed.number < floor:
        return Verdict.LEAVE
    no_room = listed.kind == FrameKind.MESSAGE and peer_id in archive.frames.crowded
    return Verdict.LATER if no_room else Verdict.TAKE


def take_frame(ctx: Context, archive: Archive, peer_id: bytes, data: bytes) -> tuple[bool, bool]:
    """Check a frame of a member and keep it; whether it was decodable, and whether it need not come again."""
    name = frame_id(data)
    if name in archive.frames:
        return True, True
    try:
        frame = decode_frame(data)
        if isinstance(frame, Announcement):
            return True, True  # the lists bring what is announced
        message = read_frame(frame)
    except DecodeError:
        archive.refuse("undecodable")
        return False, True
    except Unsupported:
        archive.refuse("Unsupported")
        return True, True
    owner = archive.roster.send_groups.get(message.group_id)
    if owner is None:
        return True, False  # the roster may name it later
    kind = kind_of(frame)
    floor = archive.floor(message.group_id)
    if floor is None or message.epoch < floor:
        return True, True
    kept = ArchivedFrame(
        name, message.group_id, message.epoch, message.dmls_epoch, kind, len(data), peer_id, ctx.now
    )
    if not archive.frames.has_room(kept):
        _note_full(ctx, archive, peer_id)
        return True, False
    try:
        if isinstance(frame, CommitFrame):
            check_signed(archive, owner, frame, message)
    except Invalid as refusal:
        archive.refuse(refusal.rule.name)
        return True, True
    except (ProtocolError, Unsupported) as refusal:
        # Its author's fault, not that of the member who brings it.
        archive.refuse(type(refusal).__name__)
        return True, True
    if kept.is_commit and archive.frames.has_siblings(kept):
        archive.refuse("siblings")
        return True, True
    archive.frames.add(ctx, replace(kept, opening=_open(ctx, archive, owner, message)), data)
    return True, True


def _open(ctx: Context, archive: Archive, owner: MemberInfo, message: DMLSMessage) -> Opening:
    """Open a commit where it is sealed to this archiver; what it tells of the owner's new KeyPackages is noted."""
    try:
        content = open_commit(archive, owner, message)
        if content is not None:
            learn_key_packages(ctx, archive, content.key_packages)
    except (ProtocolError, Unsupported) as refusal:
        word = refusal.rule.name if isinstance(refusal, Invalid) else type(refusal).__name__
        archive.refuse(word)
        if owner.identity not in archive.told_bad:
            archive.told_bad.add(owner.identity)
            body = {"owner": owner.identity, "epoch": message.epoch, "reason": word}
            ctx.event("archive.bad_commit", archive.universe_id, body)
        return Opening.BAD
    return Opening.CLOSED if content is None else Opening.OPENED


def learn_key_packages(ctx: Context, archive: Archive, packages: tuple[KeyPackage, ...]) -> None:
    """Keep a member's newest KeyPackages, to pass them on to members that do not meet it. Raises `ProtocolError` for
    any that is not the member's own."""
    if not packages:
        return
    identity = leaf_identity(packages[0].leaf_node)
    incarnation = read_member(packages[0].leaf_node).incarnation
    if identity in archive.roster.members and incarnation >= archive.profiles.incarnation(identity):
        archive.profiles.learn_key_packages(ctx, identity, incarnation, packages)


def _note_full(ctx: Context, archive: Archive, peer_id: bytes) -> None:
    if not archive.frames.full:
        ctx.event("archive.full", archive.universe_id, _fill(archive))
    if peer_id not in archive.frames.crowded:
        archive.frames.crowded.add(peer_id)
        archive.pulse_soon(ctx.now)


def _fill(archive: Archive) -> dict[str, int]:
    frames = archive.frames
    return {"frames": len(frames), "bytes": frames.size, "quota": frames.quota.size}


def sweep(ctx: Context, archive: Archive) -> None:
    """Let go of what no member wants any more, and of what is too old, which is told."""
    archive.sweep_at = ctx.now + policy.SWEEP_INTERVAL
    frames = archive.frames
    for group_id in frames.groups():
        floor = archive.floor(group_id)
        for frame in [f for f in frames if f.group_id == group_id] if floor is None else ():
            frames.remove(ctx, frame)
        for frame in frames.below(group_id, floor or 0):
            frames.remove(ctx, frame)
    for frame in frames.up_to(archive.read):
        frames.remove(ctx, frame)
    old = [frame for frame in frames if ctx.now - frame.stored_at > policy.FRAME_RETENTION]
    for frame in old:
        frames.remove(ctx, frame)
    if old:
        body = {"frames": len(old), "bytes": sum(frame.size for frame in old), "reason": "age"}
        ctx.event("archive.dropped", archive.universe_id, body)
    if frames.forget_crowded():
        if not frames.full:
            ctx.event("archive.room", archive.universe_id, _fill(archive))
        archive.pulse_soon(ctx.now)
        for feed in archive.feeds.values():
            feed.progressed(ctx.now)


def forget(ctx: Context, archive: Archive) -> None:
    """The universe has ended here: nothing of it stays."""
    for frame in archive.frames:
        archive.frames.remove(ctx, frame)
    archive.forget(ctx)
