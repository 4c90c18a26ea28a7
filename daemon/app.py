"""The daemon: identity, store, engine, network and socket put together."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import trio

from starling.daemon.config import Config
from starling.daemon.errors import DaemonError, StoreError
from starling.daemon.ipc.connection import Connection
from starling.daemon.ipc.methods import Methods
from starling.daemon.ipc.server import serve
from starling.daemon.lock import single_writer
from starling.daemon.loop import Clock, EngineLike, Loop, first_error
from starling.daemon.node_key import AskPassphrase, read_key_file
from starling.daemon.paths import Paths, private_directory
from starling.daemon.store import Store
from starling.p2p.interface import ListenError, Network, NetworkOptions, open_network, peer_id_text
from starling.protocol.distributed.identity import Identity
from starling.protocol.errors import DecodeError, UsageError

if TYPE_CHECKING:
    # The stubs that libp2p brings along hide trio's own annotations from type checkers.
    from trio_typing import TaskStatus

log = logging.getLogger("starling.daemon")

_LAST_WORDS_SECONDS = 0.3

EngineFactory = Callable[[Identity, Iterable[tuple[str, bytes, bytes]], int, Config], EngineLike]
Ready = Callable[[dict[str, Any]], None]


def real_engine(
    identity: Identity, records: Iterable[tuple[str, bytes, bytes]], now: int, config: Config
) -> EngineLike:
    """The engine of this node, a member's or an archiver's, from what is stored. Raises `DaemonError` where the store
    is the other's."""
    if config.node_role == "archiver":
        return _archiver(identity, records, now, config)
    from starling.protocol.engine.engine import Engine

    records = list(records)
    if any(table in ("archive", "offer") for table, _, _ in records):
        raise DaemonError("this node is an archiver; start it with 'starling daemon --role archiver'", "role")
    engine: EngineLike = Engine(
        identity,
        records,
        now=now,
        random=os.urandom,
        readmits_automatically=config.universe_readmit == "automatic",
    )
    return engine


def _archiver(
    identity: Identity, records: Iterable[tuple[str, bytes, bytes]], now: int, config: Config
) -> EngineLike:
    from starling.protocol.archiver.engine import ArchiverEngine
    from starling.protocol.archiver.kept_frames import quota_of

    try:
        engine: EngineLike = ArchiverEngine(
            identity, records, now=now, random=os.urandom, quota=quota_of(config.archiver_quota)
        )
    except UsageError as error:
        raise DaemonError(f"{error}; give it a directory of its own with --home", error.code) from None
    return engine


def no_passphrase() -> str:
    """For where nobody can be asked."""
    raise DaemonError("the store is locked by a passphrase, and there is nobody to ask for it", "passphrase")


async def run(
    paths: Paths,
    config: Config,
    *,
    ready: Ready,
    load: Callable[[], None] = lambda: None,
    ask_passphrase: AskPassphrase = no_passphrase,
    stdio: trio.abc.Stream | None = None,
    engine_factory: EngineFactory = real_engine,
    network_factory: Callable[[NetworkOptions], Network] = open_network,
) -> None:
    """Run the daemon until SIGTERM, SIGINT, `daemon.shutdown` or cancellation; `ready` is told where it listens.

    A client on `stdio` is served beside the socket, and the daemon ends with it. `load` is called once directory,
    keys and store are found good, `ask_passphrase` where the key file needs it; what these take does not count
    into the seconds that `ready` is told.

    Raises DaemonError where it cannot start or go on.
    """
    began = 0.0

    def told(said: dict[str, Any]) -> None:
        ready(said | {"seconds": round(time.perf_counter() - began, 3)})

    private_directory(paths.data, create=False)
    with single_writer(paths.lock):
        node_key, is_asked = read_key_file(paths.key_file, ask_passphrase)
        began = time.perf_counter()
        store = _open_store(paths, config, node_key, is_asked)
        try:
            identity = Identity.load(store.identity())
            loading = time.perf_counter()
            load()
            began += time.perf_counter() - loading
            clock = Clock()
            engine = engine_factory(identity, store.records(), clock(), config)
            await _run(paths, config, store, identity, engine, clock, network_factory, told, stdio)
        except DecodeError as error:
            raise DaemonError(
                f"the store in {paths.data} does not load ({error}): it is damaged, or of another version",
                "store",
            ) from None
        except BaseExceptionGroup as group:
            failure = first_error(group)
            if failure is None:
                raise
            raise _plain(failure) from None
        finally:
            store.close()


def _open_store(paths: Paths, config: Config, node_key: bytes, is_asked: bool) -> Store:
    try:
        return Store(paths.data, node_key, keep_events=config.events_keep)
    except StoreError as error:
        if error.code == "wrong_key" and is_asked:
            raise DaemonError(
                f"this passphrase does not open the store in {paths.data}; try again", "wrong_passphrase"
            ) from None
        raise


def _plain(error: Exception) -> DaemonError:
    """The one line for whatever ended the daemon."""
    if isinstance(error, DaemonError):
        return error
    if isinstance(error, ListenError):
        return DaemonError(
            f"{error}; set another under network.listen, or stop the program that has it", "listen"
        )
    log.error("the daemon failed", exc_info=error)
    return DaemonError(
        f"internal error ({type(error).__name__}); the log says where, please report it", "internal"
    )


async def _run(
    paths: Paths,
    config: Config,
    store: Store,
    identity: Identity,
    engine: EngineLike,
    clock: Clock,
    network_factory: Callable[[NetworkOptions], Network],
    ready: Ready,
    stdio: trio.abc.Stream | None,
) -> None:
    async with trio.open_nursery() as nursery:
        stop = nursery.cancel_scope.cancel
        await nursery.start(_stop_on_signal, stop)
        network, addresses = await _start_network(nursery, store, config, identity, network_factory)
        loop = Loop(engine, store, network, clock=clock)
        methods = Methods(loop, network, identity, str(paths.socket), stop)

        def connect(stream: trio.abc.Stream) -> Connection:
            return Connection(stream, methods.handlers, loop.hub)

        nursery.start_soon(_run_loop, loop, addresses)
        await nursery.start(serve, paths.socket, connect)
        ready(
            {
                "ready": True,
                "socket": str(paths.socket),
                "peer_id": peer_id_text(identity.peer_id),
                "addresses": list(addresses),
            }
        )
        if stdio is not None:
            await connect(stdio).run()
            stop()


async def _run_loop(loop: Loop, addresses: tuple[str, ...]) -> None:
    try:
        await loop.run(addresses)
    except Exception:
        # The clients that wait are told why before the socket goes.
        await trio.sleep(_LAST_WORDS_SECONDS)
        raise


async def _stop_on_signal(
    stop: Callable[[], None], *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            stop()
            return


async def _start_network(
    nursery: trio.Nursery,
    store: Store,
    config: Config,
    identity: Identity,
    network_factory: Callable[[NetworkOptions], Network],
) -> tuple[Network, tuple[str, ...]]:
    """Start the network where configured; a port 0 becomes a free one that is kept in the store."""
    kept: dict[str, str] = json.loads(store.note("listen") or b"{}")
    wanted = {address: kept.get(address) or with_free_port(address) for address in config.network_listen}
    for attempt in (1, 2):
        options = NetworkOptions(identity.peer_private_key, tuple(wanted.values()), config.network_mdns)
        network = network_factory(options)
        try:
            addresses = await nursery.start(network.run)
            break
        except (ListenError, BaseExceptionGroup) as error:
            found = first_error(error) if isinstance(error, BaseExceptionGroup) else error
            if not isinstance(found, ListenError):
                raise
            # A kept port that another program has meanwhile taken is replaced, a configured one is not.
            if attempt == 2 or all(address == actual for address, actual in wanted.items()):
                raise found from None
            log.warning("%s; taking another port", found)
            wanted = {address: with_free_port(address) for address in wanted}
    chosen = {address: actual for address, actual in wanted.items() if address != actual}
    if chosen != kept:
        store.set_note("listen", json.dumps(chosen).encode())
    return network, tuple(addresses)


def with_free_port(address: str) -> str:
    """The address with a port that is free now in place of 0; unchanged where it names a port."""
    head, port = address.rsplit("/", 1)
    if port != "0":
        return address
    family = socket.AF_INET6 if address.startswith("/ip6/") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address.split("/")[2], 0))
        except OSError:
            return address
        return f"{head}/{probe.getsockname()[1]}"


def configure_logging(level: str) -> None:
    """Log to standard error: the daemon's own lines at `level`, libraries from warnings on."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("starling").setLevel(level.upper())
