"""How long MLS operations take, here and in other libraries, on the same bytes.

`python -m bench --only mls`. The peers live in environments of their own under `bench/.peers`, made the first time.
Every library runs in a process of its own and answers one JSON object a line; `scenario` makes the groups, so that
all join, process and decrypt the same sort of bytes; they take turns, so that the ratios survive a noisy machine.
"""
