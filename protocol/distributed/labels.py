"""Labels of everything that is signed, authenticated or derived outside MLS (PROTOCOL 5).

All are used with the labelled functions of RFC 9420 (§5.1.2, §8), which put "MLS 1.0 " in front.
One label has one use, so that a signature made for one purpose never serves another.
"""

from __future__ import annotations

MEMBER_IDENTITY = "Starling member identity"
"""The identity key over a leaf's `dmls_member` (X-1)."""
MEMBER_PEER = "Starling member peer"
"""The libp2p key over a leaf's `dmls_member` (X-1)."""
HEAD = "Starling head"
"""An owner over one of its commits (5.1 R4)."""
ROSTER = "Starling roster"
"""The author over a roster entry (6)."""
TICKET_PROOF = "Starling ticket"
"""The ticket's key over the joiner's keys (6, joining)."""
TICKET_ISSUE = "Starling ticket issue"
"""The inviter over the text of a ticket."""
ADDRESS = "Starling address"
"""The libp2p key over the addresses of its node."""

ARCHIVER_OFFER = "Starling archiver offer"
"""An archiver's identity key over the text by which a universe names it."""
FLOOR = "Starling floor"
"""A member's identity key over what it wants no more of archivers."""

EXTERNAL_ENCRYPTION_INFO = "Starling external encryption info"
"""A member's identity key over the key by which outsiders write to its send group (P-4)."""
JOIN_ANSWER = "Starling join answer"
"""Sealed to the key that a joiner has sent, by HPKE: the answer of its sponsor (6)."""

READMIT = "Starling readmit request"
"""A member's identity key over its request to start anew (5.6 B7)."""

SIGHTING = "Starling sighting"
"""A member's identity key over the heads of its former send group that it was shown when it started anew (5.6 B6)."""
DENIAL = "Starling denial"
"""An owner over the sighting of another node with its keys (5.6 B6)."""

TICKET_KEY = "Starling ticket key"
"""Derives the ticket's Ed25519 seed from its secret."""
TICKET_MAC_KEY = "Starling ticket mac"
"""Derives the ticket's MAC key from its secret."""

SPONSOR_MAC = "Starling sponsor"
"""First field of what a sponsor authenticates with the ticket's MAC key."""
UNIVERSE_ID = "Starling universe"
"""First field of what a universe id is the hash of."""
READMIT_NUMBER = "Starling readmit number"
"""The salt of the number that two people compare (5.6 B7)."""
PAIR_NUMBER = "Starling pair number"
"""The salt of the number that belongs to two identity keys."""
INVITE_ID = "Starling invite"
"""First field of what an invite's id is the hash of."""
SEND_GROUP = "Starling send group"
"""First field of what half of a send group's id is the hash of."""
TOPIC = "Starling topic"
"""First field of what a gossip topic is the hash of."""
ROSTER_DIGEST = "Starling roster digest"
"""First field of what a roster's digest is the hash of."""
SECURITY_DIGEST = "Starling security digest"
"""First field of what two people compare is the hash of."""
