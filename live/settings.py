"""The daemon's settings: one typed object, read once from a TOML file.

Nothing here reads the environment. Parameters of the strategy have their defaults in `core.decisions.strategy`;
the file may override single ones. Tokens rest as sha256 and are never printed.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

import msgspec

from trading_assets.core.decisions.strategy import DEFAULT_STRATEGIES, Strategy
from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.records.record import Mode
from trading_assets.store.backup_plan import BackupPlan
from trading_assets.store.home import Home, home_at

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


AUTO = "auto"
"""Clock of an account whose rule the daemon finds out."""


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trading account: which terminal may speak for it, and what is traded on it."""

    name: str
    token_sha256: str = ""
    """sha256 of a token of the account, in hexadecimal digits; more are made with `trading token new`."""
    symbols: dict[str, str]
    """Broker's symbol → canonical symbol, in the order of deciding."""
    clock: str = "utc"
    """Rule of the broker's server time: utc, a fixed offset, eu or us; `auto` tells it from the terminal's history."""
    mode: Mode = "observe"
    timeframe: Literal["M1", "M5"] = "M5"
    login: str | None = None
    """Account number the terminal must report; when not set, that of the account's first session."""
    commission_per_lot: Decimal | None = None
    """Commission of one side of one lot; what the terminal reports when not set."""
    most_ahead_s: float = 300.0
    """How far the terminal's clock may be ahead of this machine's: what is further ahead is refused and closes no bar."""
    with_book: bool = False
    """Whether the terminal is asked for the depth of market, which is recorded and never decided on."""
    strategy: dict[str, Any] = {}
    """Parameters of the strategy that differ from the default."""


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With what the port is encrypted: files in PEM, relative to the settings file."""

    certificate: str
    """Certificate, followed by those that lead to a known one."""
    key: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the daemon is told from outside."""

    home: str = "."
    """Folder everything lives under; relative to the settings file."""
    host: str = "127.0.0.1"
    port: int = 8765
    """0 takes a free port, which the ready line names."""
    tenant: str = "default"
    accounts: tuple[AccountSettings, ...]
    quote_commit_delay_s: float = 0.2
    """Longest time an accepted quote waits for its commit."""
    heartbeat_s: float = 10.0
    """Interval of heartbeats to the terminal and into the journal."""
    reconcile_s: float = 15.0
    """Interval of asking a real terminal for its positions, orders and recent deals."""
    terminal_heartbeat_s: float = 5.0
    """Longest time between two messages of a terminal by the clock; after three times as long its connection is dead."""
    send_timeout_s: float = 5.0
    """Longest time a terminal may take to read what was sent."""
    hello_timeout_s: float = 10.0
    """Longest time a connection may take to say hello."""
    tls: TlsSettings | None = None
    plaintext: bool = False
    """Whether a port that other hosts reach may be without `tls`: something else encrypts what goes over the line."""
    allowed_hosts: tuple[str, ...] = ()
    """Names beside localhost and loopback addresses under which the pages may be asked for."""
    allowed_origins: tuple[str, ...] = ()
    """Web pages (their Origin) that may open a connection as a terminal does."""
    backups: BackupPlan | None = None
    """When the home is copied by itself; not the daemon's work, but that of `trading backup --scheduled`."""
    answer_timeout_s: float = 10.0
    """How long an answer to an order or a query may take before the order is UNKNOWN or the query is asked again."""


def read_settings(path: Path) -> Settings:
    """Read and check the settings. Raises InputError with one sentence for whatever is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            "reading settings", path, error.strerror or str(error), "pass the path of a settings.toml that exists"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("reading settings", path, f"this is not TOML ({error})", "correct the file") from error
    try:
        settings = msgspec.convert(content, Settings)
    except msgspec.ValidationError as error:
        raise InputError("reading settings", path, str(error), "compare the file with the README's example") from error
    problem = _problem(settings)
    if problem:
        raise InputError("reading settings", path, problem, "correct the file")
    for account in settings.accounts:
        strategy_of(account)
    tls = settings.tls
    if tls is not None:
        tls = TlsSettings(certificate=_beside(path, tls.certificate), key=_beside(path, tls.key))
    return msgspec.structs.replace(settings, home=_beside(path, settings.home), tls=tls)


def _beside(settings: Path, name: str) -> str:
    """Return a path of the settings file; a relative one is meant from there."""
    path = Path(name).expanduser()
    return str(path if path.is_absolute() else (settings.parent / path).resolve())


def home_of(settings: Settings) -> Home:
    """Return the paths under the settings' home."""
    return home_at(settings.home)


def strategy_of(account: AccountSettings) -> Strategy:
    """Return the account's strategy: the default of its timeframe with the overrides. Raises InputError."""
    return DEFAULT_STRATEGIES[account.timeframe].with_overrides(account.strategy)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _problem(settings: Settings) -> str:
    """Return what a type cannot say, or nothing."""
    if not settings.accounts:
        return "there is no [[accounts]] entry"
    if not 0 <= settings.port <= 65535:
        return f"port {settings.port} is not between 0 and 65535"
    if settings.tls is None and not settings.plaintext and not _is_loopback(settings.host):
        return (
            f"host {settings.host!r} can be reached from other hosts, and tokens would travel in plain text: add [tls], "
            "or plaintext = true where something else encrypts"
        )
    for name in ("terminal_heartbeat_s", "send_timeout_s", "hello_timeout_s", "heartbeat_s", "answer_timeout_s"):
        if not 0.01 <= getattr(settings, name) <= 86_400:
            return f"{name} is {getattr(settings, name):g}, it must be between 0.01 and 86400 seconds"
    names = [account.name for account in settings.accounts]
    for name in (settings.tenant, *names):
        if not _NAME.fullmatch(name):
            return f"{name!r} cannot name a tenant or an account (letters, digits, _ . -)"
    if len(set(names)) < len(names):
        return "two accounts have the same name"
    tokens = [account.token_sha256.lower() for account in settings.accounts if account.token_sha256]
    if len(set(tokens)) < len(tokens):
        return "two accounts share a token"
    return next((problem for account in settings.accounts if (problem := _account_problem(account))), "")


def _account_problem(account: AccountSettings) -> str:
    if account.token_sha256 and not _SHA256.fullmatch(account.token_sha256):
        return f"token_sha256 of account {account.name} is not the sha256 of a token (64 hexadecimal digits)"
    if not account.symbols:
        return f"account {account.name} has no symbols"
    if len(set(account.symbols.values())) < len(account.symbols):
        return f"account {account.name} maps two of the broker's symbols to one"
    if not 0.0 <= account.most_ahead_s <= 86_400:
        return f"most_ahead_s of account {account.name} is {account.most_ahead_s:g}, it must be between 0 and 86400 seconds"
    if account.clock == AUTO:
        return ""
    try:
        ClockRule.parse(account.clock)
    except InputError as error:
        return f"clock of account {account.name}: {error.problem}"
    return ""
