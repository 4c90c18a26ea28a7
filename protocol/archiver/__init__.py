"""A node that is no member: it keeps ciphertext for members who are away, and can read none of it (PROTOCOL 6, 7).

`engine.ArchiverEngine` has the interface of the member's engine, so one loop and one store run either.
"""
