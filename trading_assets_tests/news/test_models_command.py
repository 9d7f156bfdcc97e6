"""``trading-assets models``: what is here is told, a model is fetched from a hub that really serves it, and tried."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from trading_assets.cli import app
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.news.model_config import FINBERT_REVISION
from trading_assets_tests.news.tiny_bert import trained_folder

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """Plays the hub on loopback: one model at one commit. ``broken`` is a file whose answer breaks off."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.asked: list[str] = []
        self.broken: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/acme/tiny"):
            names = sorted(each.name for each in self.server.folder.iterdir())
            if "/tree/" in path and COMMIT in path:
                sizes = {name: (self.server.folder / name).stat().st_size for name in names}
                tree = [{"type": "file", "path": name, "size": sizes[name], "oid": "e" * 40} for name in names]
                return self._json(200, tree)
            answer = {"id": "acme/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            if COMMIT in path or path.endswith("tiny"):
                return self._json(200, answer)
            return self._json(404, {"error": "Revision Not Found"}, code="RevisionNotFound")
        if path.startswith("/api/"):
            return self._json(404, {"error": "Repository Not Found"}, code="RepoNotFound")
        return self._file(body=True)

    def _json(self, status: int, answer: Any, code: str | None = None) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, body: bool) -> None:
        name = self.path.split("?")[0].rsplit("/", 1)[1]
        target = self.server.folder / name
        if COMMIT not in self.path or not target.is_file():
            return self._json(404, {"error": "Entry not found"}, code="EntryNotFound")
        content = target.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.server.asked.append(name)
            broken = name == self.server.broken
            self.wfile.write(content[: len(content) // 2] if broken else content)
            self.close_connection = broken


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def command(tmp_path: Path, endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: the hub's address is read when its library is imported."""
    env = {
        **os.environ,
        "TRADING_ASSETS_HOME": str(tmp_path / "home"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    env.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", "models", *words],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        timeout=300,
    )


def only_line(said: subprocess.CompletedProcess[str]) -> str:
    """The refusal: one line, exit status 2."""
    assert said.returncode == 2, (said.stdout, said.stderr)
    (line,) = [each for each in said.stderr.splitlines() if each.startswith("trading-assets:")]
    assert "Traceback" not in said.stderr
    return line


@pytest.mark.patient
def test_a_model_is_fetched_from_a_hub_at_its_revision_and_then_used_without_one(
    run_folder: Path, tmp_path: Path
) -> None:
    hub = Hub(trained_folder(run_folder))
    with running(hub):
        fetched = command(tmp_path, hub.url, "fetch", "--name", "acme/tiny", "--revision", COMMIT, "--json")
        assert fetched.returncode == 0, fetched.stderr
        told = json.loads(fetched.stdout)
        assert (told["name"], told["revision"]) == ("acme/tiny", COMMIT)
        assert (Path(told["folder"]) / "model.safetensors").is_file()
        assert hub.asked.count("model.safetensors") == 1
        again = command(tmp_path, hub.url, "fetch", "--name", "acme/tiny", "--revision", COMMIT)
        assert again.returncode == 0 and hub.asked.count("model.safetensors") == 1, "it is here already"
    words = ("check", "--name", "acme/tiny", "--revision", COMMIT, "--path", "torch", "--path", "int8", "--json")
    checked = command(tmp_path, "http://127.0.0.1:9", *words)
    assert checked.returncode == 0, checked.stderr
    torch, int8 = json.loads(checked.stdout)
    assert (torch["path"], torch["revision"], int8["revision"]) == ("torch", COMMIT, f"{COMMIT}+int8")
    assert torch["sound"] and int8["sound"] and int8["difference"] > 0 and torch["per_second"] > 0


@pytest.mark.patient
def test_F42_a_hub_that_fails_is_told_in_one_line(run_folder: Path, tmp_path: Path) -> None:
    hub = Hub(trained_folder(run_folder))
    with running(hub):
        line = only_line(command(tmp_path, hub.url, "fetch", "--name", "acme/tiny", "--revision", "d" * 40))
        assert "could not be fetched" in line and hub.url in line and "HF_ENDPOINT" in line
        assert "could not be fetched" in only_line(
            command(tmp_path, hub.url, "fetch", "--name", "acme/other", "--revision", COMMIT)
        )
        hub.broken = "model.safetensors"
        broken = only_line(command(tmp_path, hub.url, "fetch", "--name", "acme/tiny", "--revision", COMMIT))
        assert "could not be fetched" in broken
    # Nobody listens: the published model of the configuration.
    nobody = only_line(command(tmp_path, "http://127.0.0.1:9", "fetch"))
    assert FINBERT_REVISION in nobody and "127.0.0.1:9" in nobody
    listed = json.loads(command(tmp_path, "http://127.0.0.1:9", "list", "--json").stdout)
    assert [each["folder"] for each in listed] == [None, None], "half a model is no model"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRADING_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_says_what_is_configured_and_what_is_here(home: Path) -> None:
    said = CliRunner().invoke(app, ["models", "list"])
    assert said.exit_code == 0, said.output
    assert "lexicon: vader-finance" in said.output and "configured, built in" in said.output
    assert f"finbert: ProsusAI/finbert {FINBERT_REVISION}, not configured, not on this machine" in said.output
    folder = home / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x" * 1_000_000)
    (home / "strategy.yaml").write_text(f"news: {{model: {{kind: finbert, name: {folder}, path: int8}}}}")
    found = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).output)
    assert [(each["kind"], each["configured"]) for each in found] == [
        ("lexicon", False),
        ("finbert", True),
        ("finbert", False),
    ]
    mine = found[1]
    assert mine["revision"].startswith("sha256:") and mine["revision"].endswith("+int8") and mine["path"] == "int8"
    assert mine["bytes"] == 1_000_002 and mine["paths"]["onnx"] == []
    assert not (home / "home" / "models").exists(), "a look changes nothing"


def test_the_lexicon_is_checked_and_a_path_of_it_refused(home: Path) -> None:
    said = CliRunner().invoke(app, ["models", "check", "--json"])
    assert said.exit_code == 0, said.output
    (trial,) = json.loads(said.output)
    assert trial["sound"] and trial["scores"][0] > 0 > trial["scores"][1] and trial["per_second"] > 0
    assert CliRunner().invoke(app, ["models", "check", "--path", "int8"]).exit_code == 2
    assert CliRunner().invoke(app, ["models", "check", "--path", "abacus"]).exit_code == 2


def test_F42_what_cannot_be_had_is_refused_with_how_to_mend_it(home: Path) -> None:
    for words, why in (
        (["fetch", "--name", "someone/else"], "no revision"),
        (["fetch", "--name", str(home)], "nothing to fetch"),
        (["fetch", "--revision", "main"], "is no commit"),
        (["check", "--name", "ProsusAI/finbert", "--path", "torch"], "not on this machine"),
    ):
        said = CliRunner().invoke(app, ["models", *words])
        assert isinstance(said.exception, TradingAssetsError) and why in str(said.exception), said.output
        assert said.exception.mend
