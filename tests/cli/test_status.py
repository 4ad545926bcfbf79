"""`trading status` beside a running daemon: health, readiness and components, as an object and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from said import Say

from trading_assets.cli.processes import Daemon, LiveSettings, send_command, write_settings
from trading_assets.cli.report import _ready_words
from trading_assets.core.job_health import JobLimits, JobRun, job_health
from trading_assets.store.home import Home
from trading_assets.store.job_health import JobsReport, write_jobs
from trading_assets.store.journal_disk import WriterLock

LIVE = LiveSettings(symbols={"EURUSD": "EURUSD"}, clock="eu", timeframe="M5")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, int]]:
    """A home with a daemon to which no terminal has come."""
    home = Home(tmp_path_factory.mktemp("running"))
    settings, _ = write_settings(home, LIVE)
    daemon = Daemon(home, settings)
    try:
        yield home, daemon.port
    finally:
        assert daemon.stop() == 0


def test_status_has_health_readiness_and_components(say: Say, running: tuple[Home, int]) -> None:
    home, port = running
    said = say("status", "--json", "--home", home.root)
    assert said.code == 0
    daemon = json.loads(said.out)["daemon"]
    assert daemon["is_running"]
    assert daemon["metrics"] == f"http://127.0.0.1:{port}/metrics"
    assert daemon["health"] == {"is_healthy": True, "reasons": []}
    assert daemon["ready"] == {"is_ready": False, "missing": {"paper": ["no terminal is connected"]}}
    components = daemon["accounts"]["paper"]["components"]
    assert components["commands"]["is_healthy"]
    assert not components["bridge"]["is_healthy"]


def test_a_person_reads_what_is_wrong(say: Say, running: tuple[Home, int]) -> None:
    said = say("status", "--home", running[0].root)
    assert said.code == 0
    words = " ".join(said.out.split())
    assert "it does its work" in words
    assert "not yet: paper: no terminal is connected" in words
    assert "NOT healthy" in words
    assert "{" not in said.out


def test_the_daemon_is_asked_directly_whatever_proxy_the_environment_names(
    say: Say, running: tuple[Home, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert json.loads(say("status", "--json", "--home", running[0].root).out)["daemon"]["port"] == running[1]


def test_a_daemon_that_cannot_be_asked_is_not_said_to_be_away(say: Say, running: tuple[Home, int]) -> None:
    home, port = running
    (home.root / "daemon.port").write_text("9")
    try:
        assert "running, but its pages could not be asked" in " ".join(say("status", "--home", home.root).out.split())
    finally:
        (home.root / "daemon.port").write_text(str(port))


def test_a_copied_home_is_not_told_by_the_daemon_of_the_original(
    say: Say, running: tuple[Home, int], tmp_path: Path
) -> None:
    home, port = running
    (tmp_path / "raw").mkdir()
    (tmp_path / "daemon.port").write_text(f"{port}\n{home.root}\n")
    assert json.loads(say("status", "--json", "--home", tmp_path).out)["daemon"] == {"is_running": False}
    # Its settings name the port, too: what answers there says whose it is.
    (tmp_path / "settings.toml").write_text(f"port = {port}")
    assert json.loads(say("status", "--json", "--home", tmp_path).out)["daemon"] == {"is_running": False}
    lock = WriterLock(tmp_path / "raw", "live")
    told = json.loads(say("status", "--json", "--home", tmp_path).out)["daemon"]
    lock.release()
    assert told["is_running"]
    assert f"on port {port} listens the one of {home.root}" in told["problem"]


def test_a_halt_a_waiting_one_and_a_damaged_pointer_each_have_their_line(say: Say, tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.raw.mkdir()
    home.releases.mkdir()
    (home.releases / "CURRENT").write_text("../../nowhere")
    send_command(home, "halt", "news")
    said = say("status", "--home", home.root)
    assert said.code == 0
    words = " ".join(said.out.split())
    assert "Daemon not running" in words
    assert "news; no daemon has taken it" in words
    assert "Release problem" in words
    page = {
        "ready": {"missing": {}},
        "accounts": {
            "paper": {"tripped_breakers": {"halt": "news", "model_absent": "none", "slippage_anomaly:EURUSD": "x"}}
        },
    }
    assert _ready_words(page).startswith("connected, but paper: no entries (halt: news)")
    page["accounts"]["paper"]["tripped_breakers"] = {"model_absent": "none"}
    assert _ready_words(page) == "every account can be traded"


def test_status_says_how_the_jobs_do_and_does_not_take_what_is_old_for_now(say: Say, running: tuple[Home, int]) -> None:
    home, at = running[0], datetime.now(UTC)
    assert "no Dagster has watched over them here" in " ".join(say("status", "--home", home.root).out.split())
    limits = JobLimits(job="ingest", cadence="*/5 * * * *", patience=timedelta(minutes=30), longest=timedelta(hours=4))
    died = JobRun(run_id="r", status="failed", started_at=at, ended_at=at, error="its process died")
    unwell = job_health(limits, [died], at, since=at, looked_at=None)
    write_jobs(home, JobsReport(at=at, since=at, told_at=at, jobs=(unwell,)))
    jobs = json.loads(say("status", "--json", "--home", home.root).out)["jobs"]
    assert jobs["is_known"]
    assert (jobs["jobs"]["ingest"]["failures"], jobs["jobs"]["ingest"]["last_error"]) == (1, "its process died")
    assert "NOT healthy: the last run failed" in " ".join(say("status", "--home", home.root).out.split())
    old = at - timedelta(hours=1)
    write_jobs(home, JobsReport(at=old, since=old, told_at=old, jobs=(unwell,)))
    assert not json.loads(say("status", "--json", "--home", home.root).out)["jobs"]["is_known"]
    assert "its database does not answer" in " ".join(say("status", "--home", home.root).out.split())


def test_the_log_of_the_daemon_is_json_lines(running: tuple[Home, int]) -> None:
    lines = (Path(running[0].logs) / "daemon.log").read_text().splitlines()
    assert json.loads(lines[0])["event"] == "the daemon listens"


def test_status_reads_pages_of_an_encrypted_port_and_trusts_the_settings_certificate_alone(
    say: Say, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    settings, _ = write_settings(home, LIVE)
    issued = trustme.CA().issue_cert("trading.example")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for pem in issued.cert_chain_pems:
        pem.write_to_path(tmp_path / "certificate.pem", append=True)
    tls = '[tls]\ncertificate = "certificate.pem"\nkey = "key.pem"\n[[accounts]]'
    settings.write_text(settings.read_text().replace("[[accounts]]", tls))
    daemon = Daemon(home, settings)
    try:
        seen = json.loads(say("status", "--json", "--home", home.root).out)["daemon"]
        assert (seen["is_running"], seen["metrics"]) == (True, f"https://127.0.0.1:{daemon.port}/metrics")
        assert seen["health"]["is_healthy"]
        # Whoever listens there with another certificate is not the daemon.
        other = trustme.CA().issue_cert("trading.example")
        (tmp_path / "other.pem").write_bytes(other.cert_chain_pems[0].bytes())
        settings.write_text(settings.read_text().replace("certificate.pem", "other.pem"))
        unsure = json.loads(say("status", "--json", "--home", home.root).out)["daemon"]
        assert unsure["is_running"]
        assert "certificate" in unsure["problem"]
    finally:
        assert daemon.stop() == 0
