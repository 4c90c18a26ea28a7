"""What an archiver can show of itself: plain values for the socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starling.protocol.archiver.archive import Archive

View = dict[str, Any]


def archive_view(archive: Archive) -> View:
    """One universe in short: what is kept of it, and how much may be."""
    frames = archive.frames
    return {
        "universe_id": archive.universe_id,
        "name": archive.roster.universe_name or "",
        "state": "full" if frames.full else "archiving",
        "founder": archive.roster.founder,
        "members": len(archive.roster.members),
        "send_groups": len(frames.groups()),
        "frames": len(frames),
        "commits": frames.commits,
        "opened": frames.opened,
        "used": frames.size,
        "quota": frames.quota.size,
        "quota_frames": frames.quota.frames,
        "full": frames.full,
        "floors": len(archive.floors),
        "refused": dict(archive.refused),
    }


def members_view(archive: Archive) -> list[View]:
    """The members as the roster names them, who is connected, and who has signed floors."""
    return [
        {
            "identity": info.identity,
            "name": info.name,
            "petname": None,
            "display_name": info.name,
            "role": info.role,
            "peer_id": info.peer_id,
            "is_self": False,
            "connected": info.peer_id in archive.links,
            "cipher_suite": info.cipher_suite,
            "floors_at": floors.serial if (floors := archive.floors.get(info.identity)) is not None else None,
            "addresses": list(archive.profiles.addresses(info.identity)),
        }
        for info in archive.roster.members.values()
    ]


def peer_view(peer_id: bytes, archives: Iterable[Archive]) -> View:
    """One connected peer, and the members that it is."""
    names = [
        (archive.universe_id, info.identity, info.name)
        for archive in archives
        if (info := archive.roster.peers.get(peer_id)) is not None
    ]
    return {"peer_id": peer_id, "members": names, "archivers": []}
