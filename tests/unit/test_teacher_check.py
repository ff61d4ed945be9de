"""The check before a run: what each kind of endpoint makes of it, and what it never does."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint
from snakemake.exceptions import WorkflowError

from lamini.errors import LaminiError, SettingsError
from lamini.settings import load_settings
from lamini.settings.endpoints import Endpoint
from lamini.settings.shutdowns import SHUTDOWNS, shutdown_of
from lamini.settings.teacher import Teacher
from lamini.teacher import check
from lamini.teacher.check import Verdict, check_endpoints
from lamini.teacher.endpoints import base_url_of
from lamini.workflow.teacher_check import check_teacher, teacher_lines

KEY = "sk-secret-of-the-test"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def teacher(base_url: str | None, model: str = "m", **changes) -> Teacher:
    values = {
        "model": model,
        "endpoints": [{"base_url": base_url}],
        "responses": {
            "system_message": "Be brief.",
            "sampling": {"extra_body": {"max_completion_tokens": 7}},
        },
    }
    return Teacher.model_validate(values | changes)


def verdict(base_url: str | None, model: str = "m", with_request: bool = False) -> tuple[str, str]:
    (found,) = check_endpoints(teacher(base_url, model), with_request)
    assert KEY not in str(found)
    return found.state, found.text


LISTED = ["a", "models/gemini-9", "llama9:latest", "vendor/open"]


@pytest.mark.parametrize(
    "model", ["a", "gemini-9", "models/gemini-9", "llama9", "vendor/open:free"]
)
def test_a_listed_model_is_served_and_one_request_tells(model):
    with FakeEndpoint(models=LISTED) as endpoint:
        assert verdict(endpoint.base_url, model, with_request=True) == (
            "serves",
            "served, by its list of 4 models",
        )
    assert (endpoint.lists, endpoint.asked.total()) == (1, 0)


@pytest.mark.parametrize("model", ["b", "A", "open", "llama9:70b", "gemini"])
def test_an_unlisted_model_is_told_and_nothing_is_asked(model):
    with FakeEndpoint(models=LISTED) as endpoint:
        assert verdict(endpoint.base_url, model) == (
            "wrong",
            "not in its list of 4 models (a, models/gemini-9, llama9:latest, vendor/open);"
            " correct teacher.model",
        )
    assert (endpoint.lists, endpoint.asked.total()) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "state", "text"),
    [
        (None, "serves", ", but a request was answered"),
        ("404", "wrong", ", and a request was refused (404: the endpoint's own words on 404"),
        ("400", "wrong", "; correct teacher.model and the sampling settings"),
        ("503", "unknown", ", and a request was refused (503: "),
    ],
)
def test_before_a_run_one_short_request_settles_what_the_list_does_not(fault, state, text):
    with FakeEndpoint(models=["b"], fault=lambda *_: fault, record=True) as endpoint:
        found = verdict(endpoint.base_url, with_request=True)
    assert (found[0], text in found[1]) == (state, True), found
    assert found[1].startswith("not in its list of 1 model (b), ")
    (request,) = endpoint.requests
    assert request["body"] | {"messages": []} == {
        "model": "m",
        "messages": [],
        "max_completion_tokens": 7,
    }


@pytest.mark.parametrize("models", [302, 403, 404, 405, 429, 500])
def test_an_endpoint_without_a_list_is_no_error(models):
    with FakeEndpoint(models=models) as endpoint:
        assert verdict(endpoint.base_url, with_request=True) == (
            "unknown",
            f"its list of models could not be asked (status {models})",
        )
    assert endpoint.asked.total() == 0


@pytest.mark.parametrize(
    "models",
    [{"data": [{"id": "b"}], "has_more": True}, {"data": []}, {"data": None}, {"data": [3]}, {}],
)
def test_a_list_that_is_not_complete_tells_nothing(models):
    with FakeEndpoint(models=models) as endpoint:
        assert verdict(endpoint.base_url)[0] == "unknown"


def test_a_refused_key_is_told_without_the_key():
    with FakeEndpoint(models=401) as endpoint:
        state, text = verdict(endpoint.base_url)
    assert state == "wrong"
    assert text.startswith("the key in OPENAI_API_KEY is refused (401: the endpoint's own words")
    assert text.endswith("; set a valid key")


@pytest.mark.parametrize(("secret", "shown"), [("0123456789abcdef", "[key]"), ("none", "none")])
def test_a_key_of_any_form_is_hidden_and_a_word_is_none(monkeypatch, secret, shown):
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    said = {"error": f"Incorrect key: {secret}"}
    monkeypatch.setattr(check, "_send", lambda *_: (401, said))
    assert f"(401: Incorrect key: {shown});" in verdict("http://127.0.0.1:1/v1")[1]


def test_a_key_without_the_right_to_read_the_list_is_no_error(monkeypatch):
    message = {"error": {"message": "Missing scopes: api.model.read"}}
    monkeypatch.setattr(check, "_send", lambda *_: (401, message))
    assert verdict("http://127.0.0.1:1/v1")[0] == "unknown"


def test_without_a_key_nothing_is_asked(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with FakeEndpoint(models=["m"]) as endpoint:
        expected = "unknown", "not asked (no key in OPENAI_API_KEY)"
        assert verdict(endpoint.base_url, with_request=True) == expected
    assert endpoint.lists == 0


def test_nothing_is_asked_in_a_replay():
    with FakeEndpoint(models=[]) as endpoint:
        assert check_endpoints(teacher(endpoint.base_url, mode="replay")) == []
    assert endpoint.lists == 0


def test_a_local_server_is_checked_without_starting_it(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"weights")
    commit = "0123456789" * 4
    command = ["sh", "-c", "exit 1"]
    for server, state, text in (
        ({"model_path": "m.gguf"}, "wrong", "teacher.server.model_path: m.gguf: no such file"),
        (
            {"model_path": f"{tmp_path}/m.gguf"},
            "serves",
            f"weights {tmp_path}/m.gguf",
        ),
        (
            {"model_path": "a/m", "command": command, "revision": commit},
            "serves",
            f"weights a/m from the hub, commit {commit}",
        ),
        (
            {"model_path": "a/m", "command": ["no-such-program"], "revision": commit},
            "wrong",
            "teacher.server.command: no-such-program: no such program; install it"
            " (`make install-teacher` for vLLM), or give its path",
        ),
    ):
        changes = {"backend": "local", "server": server, "endpoints": [{}]}
        (verdict,) = check_endpoints(teacher("http://127.0.0.1:1/v1", **changes))
        assert (verdict.state, verdict.text) == (state, text)


def test_a_key_that_no_header_can_hold_is_told(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "“quoted”")
    state, text = verdict("http://127.0.0.1:1/v1")
    assert (state, "not allowed in an HTTP header" in text) == ("wrong", True)


# --- Addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errno", "state", "text"),
    [
        (socket.EAI_NONAME, "wrong", "its host name is unknown; correct base_url"),
        (socket.EAI_AGAIN, "unknown", "cannot be reached now ("),
    ],
)
def test_an_unknown_host_is_told(monkeypatch, errno, state, text):
    def fail(*arguments, **options):
        raise socket.gaierror(errno, "of the test")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    found = verdict("https://no-such-host.invalid/v1")
    assert (found[0], found[1].startswith(text)) == (state, True), found


def test_a_server_that_is_not_there_yet_is_no_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert verdict(f"http://127.0.0.1:{port}/v1") == (
        "unknown",
        "cannot be reached now ([Errno 111] Connection refused)",
    )


def test_an_address_that_cannot_be_sent_is_told_at_once():
    state, text = verdict("http://127.0.0.1:1/ü")
    assert (state, text.startswith("cannot be reached now (")) == ("unknown", True)
    assert check.SECONDS < 10


def test_https_to_a_server_of_http_is_told():
    with FakeEndpoint(models=["m"]) as endpoint:
        found = verdict(endpoint.base_url.replace("http:", "https:"))
    assert found == ("wrong", "it does not speak https; write http:// in base_url")


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate with openssl")
def test_an_untrusted_certificate_is_told_and_a_trusted_one_taken(tmp_path, monkeypatch):
    pem = tmp_path / "both.pem"
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        f" -addext subjectAltName=IP:127.0.0.1 -keyout {tmp_path}/key -out {tmp_path}/certificate",
        shell=True,
        check=True,
        capture_output=True,
    )
    pem.write_text((tmp_path / "key").read_text() + (tmp_path / "certificate").read_text())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'[{"id": "m"}]')

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}/v1"
    state, text = verdict(url)
    assert (state, text.startswith("its certificate is not trusted (self")) == ("wrong", True), text
    assert text.endswith("; set SSL_CERT_FILE to the certificates of its authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert verdict(url) == ("serves", "served, by its list of 1 model")
    server.shutdown()
    server.server_close()
    thread.join()


def test_all_endpoints_together_take_no_longer_than_the_limit(monkeypatch):
    monkeypatch.setattr(check, "SECONDS", 0.5)
    with socket.socket() as silent, FakeEndpoint(models=["m"]) as endpoint:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        urls = [hanging, endpoint.base_url, hanging]
        started = time.monotonic()
        settings = teacher(None, endpoints=[{"base_url": url} for url in urls])
        states = [found.state for found in check_endpoints(settings)]
        seconds = time.monotonic() - started
    assert states == ["unknown", "serves", "unknown"]
    assert seconds < 2


def test_a_slow_name_server_holds_nothing_up(monkeypatch):
    monkeypatch.setattr(check, "SECONDS", 0.2)
    ended = threading.Event()
    monkeypatch.setattr(check, "_send", lambda *_: (404, ended.wait(20)))
    started = time.monotonic()
    assert verdict("http://127.0.0.1:1/v1") == ("unknown", "no reply within 0 s")
    assert time.monotonic() - started < 5
    ended.set()


def test_the_key_does_not_follow_a_redirect():
    with FakeEndpoint(models=["m"]) as other:

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(307)
                self.send_header("Location", f"{other.base_url}/models")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Print nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        found = verdict(f"http://127.0.0.1:{server.server_port}/v1")
        server.server_close()
    assert found == ("unknown", "its list of models could not be asked (status 307)")
    assert other.lists == 0


# --- Shutdown dates -------------------------------------------------------------------------------

TODAY = date(2026, 11, 26)


def test_the_announced_dates_are_those_of_the_vendors_own_address():
    assert {
        **dict.fromkeys(("gpt-3.5-turbo", "gpt-3.5-turbo-0125"), date(2026, 10, 23)),
        **dict.fromkeys(("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"), date(2027, 1, 14)),
    } == SHUTDOWNS
    assert shutdown_of("gpt-4o", "api.openai.com") == date(2027, 1, 14)
    assert shutdown_of("gpt-4o", "mine.openai.azure.com") is None
    assert shutdown_of("gpt-5.6-terra", "api.openai.com") is None


@pytest.mark.parametrize(
    ("state", "end", "expected"),
    [
        ("serves", None, ("serves", "t")),
        (
            "serves",
            date(2027, 1, 14),
            ("serves", "t; the vendor shuts it down on 14 January 2027"),
        ),
        ("serves", TODAY, ("serves", "t")),
        (
            "unknown",
            TODAY,
            (
                "wrong",
                "t; the vendor shut it down on 26 November 2026: choose another teacher.model",
            ),
        ),
    ],
)
def test_a_date_is_added(state, end, expected):
    dated = check._dated(Verdict("m at host", state, "t"), end, TODAY)
    assert (dated.state, dated.text) == expected


# --- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variable",
    ["sk-proj-abc123", "gsk_Abc123", "abcdef0123456789", "MY KEY", "1KEY", "", "A" * 65, "KEY\n"],
)
def test_a_pasted_key_is_refused_without_being_shown(variable):
    with pytest.raises(ValueError, match="not the name of an environment variable") as error:
        Endpoint(api_key_variable=variable)
    assert error.value.errors()[0]["loc"] == ("api_key_variable",)
    with pytest.raises(SettingsError) as shown:
        load_settings({"teacher": {"endpoints": [{"api_key_variable": variable}]}})
    lines = [line for line in str(shown.value).splitlines() if "api_key_variable" in line]
    assert len(lines) == 1 and (not variable or variable not in lines[0])


@pytest.mark.parametrize(
    "base_url",
    [
        "api.openai.com/v1",
        "localhost:8000/v1",
        "ftp://host/v1",
        "http:///v1",
        "http://h:x",
        "http://h/v 1",
        " http://h",
    ],
)
def test_an_address_without_scheme_or_host_is_an_error(base_url, monkeypatch):
    with pytest.raises(ValueError, match="not a URL with scheme and host; write it like https://"):
        Endpoint(base_url=base_url)
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    with pytest.raises(LaminiError, match="OPENAI_BASE_URL is not a URL with scheme and host"):
        base_url_of(Endpoint())
    assert verdict(None)[0] == "wrong"


@pytest.mark.parametrize("base_url", ["https://[::1]:8000/v1/", "http://gpu-node:8000/v1", None])
def test_other_addresses_are_taken(base_url):
    expected = base_url or "https://api.openai.com/v1"
    assert base_url_of(Endpoint(base_url=base_url)) == expected


# --- The start of a run ---------------------------------------------------------------------------


def workflow(*outputs: str, resource: str = "teacher"):
    """What the check reads of Snakemake's workflow: planned jobs, their rule's resources."""
    jobs = [
        SimpleNamespace(output=[path], rule=SimpleNamespace(resources={resource: 1}))
        for path in outputs
    ]
    return SimpleNamespace(dag=SimpleNamespace(needrun_jobs=lambda: jobs))


def flow(settings: Teacher) -> Any:
    """What the check reads of the configuration."""
    return SimpleNamespace(
        teacher_of=lambda folder, name: settings.of_stage(folder),
        sampling_of=lambda folder, name: (
            getattr(settings, {"pairs": "responses"}.get(folder, folder)).sampling
        ),
    )


PAIRS = "results/pairs/alpaca/0000.jsonl", "results/pairs/alpaca/0001.jsonl"


def test_a_run_ends_before_its_first_job_and_only_if_it_must_ask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with FakeEndpoint(models=401) as endpoint:
        settings = teacher(endpoint.base_url)
        with pytest.raises(WorkflowError) as error:
            check_teacher(workflow(*PAIRS), flow(settings))
        assert "The teacher cannot answer; no job was started:\n  m at 127.0.0.1:" in str(
            error.value
        )
        assert "config/overlays/" in str(error.value) and "mode: replay" in str(error.value)
        assert endpoint.lists == 1
        check_teacher(workflow(*PAIRS, resource="gpu"), flow(settings))
        check_teacher(workflow(), flow(settings))
        assert endpoint.lists == 1
        folder = Path("results/pairs/alpaca")
        folder.mkdir(parents=True)
        (folder / "0000.ledger.jsonl").touch()
        with pytest.raises(WorkflowError):
            check_teacher(workflow(*PAIRS), flow(settings))
        (folder / "0001.ledger.jsonl.zst").touch()
        check_teacher(workflow(*PAIRS), flow(settings))


def test_lines_name_each_endpoint():
    with FakeEndpoint(models=["m"]) as one, FakeEndpoint(models=404) as two:
        urls = [one.base_url, two.base_url]
        settings = teacher(None, endpoints=[{"base_url": u} for u in urls])
        lines = teacher_lines(flow(settings), {("pairs", "alpaca"): True, ("pairs", "p3"): True})
    assert lines == [
        f"Teacher: m at 127.0.0.1:{one.port}: served, by its list of 1 model",
        f"Teacher: m at 127.0.0.1:{two.port}: its list of models could not be asked (status 404)",
    ]


WRITTEN = "results/instructions/alpaca/0000.jsonl", "results/instructions/alpaca/0000.report.json"


def test_each_model_of_the_planned_jobs_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with FakeEndpoint(models=["m"]) as shared, FakeEndpoint(models=["other"]) as own:
        responses = teacher(shared.base_url).responses.as_params()
        settings = teacher(
            shared.base_url,
            instructions={
                "model": "writer",
                "endpoints": [{"base_url": own.base_url}],
                "sampling": {"extra_body": {"max_completion_tokens": 9}},
            },
            responses=responses,
        )
        check_teacher(workflow(*PAIRS), flow(settings))
        assert (shared.lists, own.lists) == (1, 0)
        own.fault = lambda prompt, attempt: "404"
        own.record = True
        with pytest.raises(WorkflowError) as error:
            check_teacher(workflow(*PAIRS, *WRITTEN[:1]), flow(settings))
        assert (shared.lists, own.lists) == (2, 1)
        text = str(error.value)
        assert f"  writer at 127.0.0.1:{own.port}: not in its list of 1 model (other)" in text
        assert "  m at" not in text
        # The request has the sampling of its stage.
        assert [r["body"]["max_completion_tokens"] for r in own.requests if r["body"]] == [9]
        lines = teacher_lines(flow(settings), {("instructions", "a"): False, ("pairs", "a"): False})
    assert [line.split(":")[1] for line in lines] == [" writer at 127.0.0.1", " m at 127.0.0.1"]


def test_the_vendor_s_end_of_each_model_is_told(monkeypatch):
    """Without a key, only the dates are known; they are those of the stages' models."""
    monkeypatch.delenv("OPENAI_API_KEY")
    settings = teacher(None, "gpt-3.5-turbo", instructions={"model": "gpt-4.1"})
    lines = teacher_lines(flow(settings), {("instructions", "a"): False, ("pairs", "a"): False})
    assert [line.partition("; the vendor ")[2] for line in lines] == [
        "shuts it down on 14 January 2027",
        "shut it down on 23 October 2026: choose another teacher.model",
    ]
