"""Measurements of Starling, each through the parts that a user has: processes, sockets, real libp2p.

Its nodes are run by the module that runs those of the demos, which lies beside them.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "examples"))
