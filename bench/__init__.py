"""Measurements of Starling, each through the parts that a user has: processes, sockets, real libp2p."""
