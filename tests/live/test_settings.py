"""The settings: one object from one file, and one clear sentence for whatever is wrong with it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from live.settings import AUTO, home_of, read_settings, strategy_of
from trading_assets.core.errors import InputError

ACCOUNT = f"""
[[accounts]]
name = "paper"
token_sha256 = "{"a" * 64}"
clock = "eu"
commission_per_lot = "3.50"
symbols = {{ "EURUSD.x" = "EURUSD" }}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_a_file_gives_one_typed_object_with_its_home_beside_it(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, f'home = "var"\ntenant = "demo"\n{ACCOUNT}'))
    assert home_of(settings).raw == tmp_path / "var" / "raw"
    account = settings.accounts[0]
    assert account.symbols == {"EURUSD.x": "EURUSD"}
    assert account.commission_per_lot == Decimal("3.50")
    assert (account.mode, account.timeframe) == ("observe", "M5")


def test_single_parameters_of_the_strategy_are_overridden(tmp_path: Path) -> None:
    text = f"{ACCOUNT}\n[accounts.strategy]\nopen_threshold = 0.6\n[accounts.strategy.filters]\nmin_consensus = 0.0\n"
    strategy = strategy_of(read_settings(write(tmp_path, text)).accounts[0])
    assert (strategy.open_threshold, strategy.filters.min_consensus) == (0.6, 0.0)
    assert strategy.version != strategy_of(read_settings(write(tmp_path, ACCOUNT)).accounts[0]).version


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accounts = []", "no \\[\\[accounts\\]\\] entry"),
        ("= 1", "not TOML"),
        (f"port = 70000\n{ACCOUNT}", "port 70000"),
        (f"prot = 1\n{ACCOUNT}", "prot"),
        (ACCOUNT.replace("a" * 64, "secret"), "not the sha256"),
        (ACCOUNT.replace('"eu"', '"mars"'), "clock of account paper"),
        (ACCOUNT + ACCOUNT, "same name"),
        (ACCOUNT + ACCOUNT.replace("paper", "two"), "share a token"),
        (ACCOUNT.replace('"EURUSD.x" = "EURUSD"', ""), "no symbols"),
        (ACCOUNT.replace('"EURUSD" }', '"EURUSD", "E" = "EURUSD" }'), "two of the broker's symbols"),
        (ACCOUNT.replace("paper", "../up"), "cannot name"),
        (ACCOUNT.replace('clock = "eu"', 'clock = "eu"\nmost_ahead_s = -1.0'), "most_ahead_s of account paper is -1"),
        (f'mode = "execute"\n{ACCOUNT}', "mode"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_settings(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "settings.toml" in str(caught.value)


def test_the_clock_may_be_left_to_the_daemon(tmp_path: Path) -> None:
    (account,) = read_settings(write(tmp_path, ACCOUNT.replace('"eu"', '"auto"'))).accounts
    assert account.clock == AUTO


def test_a_token_in_plain_text_is_refused_without_being_printed(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(write(tmp_path, ACCOUNT.replace("a" * 64, "my-secret-token")))
    assert "my-secret-token" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pass the path of a settings\.toml that exists"):
        read_settings(tmp_path / "nowhere.toml")


def test_an_unknown_parameter_of_the_strategy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="open_treshold"):
        read_settings(write(tmp_path, f"{ACCOUNT}\n[accounts.strategy]\nopen_treshold = 0.6\n"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "daemon.lan"])
def test_plain_text_beyond_this_host_is_refused_unless_it_is_said(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError, match=r"tokens would travel in plain text: add \[tls\], or plaintext = true"):
        read_settings(write(tmp_path, f'host = "{host}"\n{ACCOUNT}'))
    tls = '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'
    for text in (
        f'host = "{host}"\nplaintext = true\n',
        f'host = "{host}"\n{tls}',
        'host = "::1"\n',
        'host = "localhost"\n',
    ):
        assert read_settings(write(tmp_path, text + ACCOUNT)).accounts
