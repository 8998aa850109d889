"""Actions that are done: real commands and processes, and AWS over a real socket."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from real_hw.actions import ActionFailed, Call, CallRefused, Command, Question, Started
from real_hw.aws import Aws
from real_hw.doing import RealActions
from real_hw.interruption import Interruption
from scenarios.target import NotSent, RawAnswer

PYTHON = sys.executable


@pytest.fixture
def actions() -> RealActions:
    return RealActions(Aws("eu-west-1"), Interruption(print), time.sleep)


def python(code: str, **changes: Any) -> Command:
    return Command((PYTHON, "-I", "-S", "-c", code), "a test", "", **changes)


def test_a_command_with_its_variables(
    actions: RealActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONE", "1")
    code = "import os, sys; print(os.environ.get('GONE'), os.environ['NEW']); sys.exit(3)"
    finished = actions.run(python(code, environment={"GONE": None, "NEW": "2"}))
    assert (finished.exit_code, finished.stdout, finished.stderr) == (3, "None 2\n", "")


def test_a_command_that_does_not_end_or_is_not_there(actions: RealActions) -> None:
    with pytest.raises(ActionFailed, match=r"did not end within 0 seconds"):
        actions.run(python("import time; time.sleep(60)", seconds=0.1))
    with pytest.raises(ActionFailed, match=r"no-such-program cannot be run: No such file.*a test"):
        actions.run(Command(("no-such-program",), "a test", ""))


def test_a_command_is_killed_once_it_has_said_something(actions: RealActions) -> None:
    code = "import time; print('one', flush=True); print('two', flush=True); time.sleep(60)"
    finished = actions.run(python(code, kill_after="two"))
    assert (finished.exit_code, finished.stdout) == (-9, "one\ntwo\n")
    silent = actions.run(python("import time; time.sleep(60)", kill_after="x", seconds=0.1))
    assert silent.exit_code == -9


ECHO = """
import json, sys
def answer(number, said):
    print(json.dumps({"id": number, "said": said}), flush=True)
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    match asked["say"]:
        case "end":
            sys.exit("over")
        case "late":
            late = asked["id"]
        case "on":
            answer(late, "late")
            answer(asked["id"], "on")
        case said:
            answer(asked["id"], said)
"""


def ask(say: str, seconds: float = 30.0) -> Question:
    return Question({"say": say}, f"a test of {say}", {}, seconds)


def test_a_process_answers_and_a_late_answer_is_nobodys(
    actions: RealActions, tmp_path: Path
) -> None:
    process = actions.start(Started(python(ECHO), tmp_path / "log"))
    try:
        process.wait_until_ready()
        assert process.ask(ask("one"))["said"] == "one"
        with pytest.raises(ActionFailed, match="no answer within 0 seconds to this: a test of lat"):
            process.ask(ask("late", seconds=0.1))
        assert process.ask(ask("on"))["said"] == "on"
        with pytest.raises(ActionFailed, match="it said: over"):
            process.ask(ask("end"))
    finally:
        process.end()
    process.end()


def test_a_process_that_is_never_ready_says_why(actions: RealActions, tmp_path: Path) -> None:
    process = actions.start(Started(python("import sys; sys.exit('no port')"), tmp_path / "log"))
    with pytest.raises(ActionFailed, match=r"did not become ready.*code 1; it said: no port"):
        process.wait_until_ready()


def test_the_output_of_a_process_is_kept(actions: RealActions, tmp_path: Path) -> None:
    output = tmp_path / "console"
    process = actions.start(Started(python("print('hello')"), tmp_path / "log", output=output))
    while not output.read_text():
        os.sched_yield()
    process.end()
    assert output.read_text() == "hello\n"


def test_files(actions: RealActions, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    actions.make_folder(folder, "why")
    actions.write(folder / "f", "text", "why", mode=0o755)
    actions.append(folder / "f", "more")
    assert actions.read(folder / "f", "") == "textmore\n"
    assert actions.size(folder / "f", None) == 9
    assert os.access(folder / "f", os.X_OK)
    actions.remove(tmp_path / "a", "why")
    actions.remove(tmp_path / "a", "why")
    assert actions.size(folder / "f", None) is None
    with pytest.raises(ActionFailed, match="cannot be read: No such file"):
        actions.read(folder / "f", "")
    with pytest.raises(ActionFailed, match="cannot be written: No such file"):
        actions.append(folder / "f", "")


class Server(HTTPServer):
    answers: list[tuple[int, dict[str, object]]]
    bodies: list[bytes]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        status, told = self.server.answers.pop(0)
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.answers, made.bodies = [], []
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def aws(server: Server) -> Iterator[Aws]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        made = Aws("eu-west-1")
        yield made
        made.close()


def decrypt(**changes: Any) -> Call:
    return Call("kms", "Decrypt", {"CiphertextBlob": b"blob"}, "why", "", attempts=1, **changes)


def test_an_answer_a_refusal_and_what_is_neither(server: Server, aws: Aws) -> None:
    server.answers += [(200, {"KeyId": "k"}), (400, {"__type": "X", "message": "the text"})]
    assert aws.call(decrypt()) == {"KeyId": "k"}
    with pytest.raises(CallRefused) as refused:
        aws.call(decrypt())
    assert (refused.value.code, refused.value.message) == ("X", "the text")
    assert refused.value.http_status == 400
    for code in ("ExpiredTokenException", "ThrottlingException"):
        server.answers.append((400, {"__type": code, "message": "m"}))
        with pytest.raises(ActionFailed, match=code):
            aws.call(decrypt())
    assert server.answers == []


def test_what_boto3_does_not_send_is_told_apart(aws: Aws) -> None:
    with pytest.raises(NotSent, match="Invalid type for parameter CiphertextBlob"):
        aws.call(Call("kms", "Decrypt", {"CiphertextBlob": 1}, "why", "", attempts=1))


def test_json_as_it_stands_and_the_answer_as_it_came(server: Server, aws: Aws) -> None:
    server.answers += [(200, {}), (200, {"Plaintext": None}), (200, {})]
    server.bodies.clear()
    aws.call(Call("kms", "Decrypt", {"Any": [1]}, "why", "", attempts=1, as_it_stands=True))
    assert json.loads(server.bodies[0]) == {"Any": [1]}
    came: list[RawAnswer] = []
    aws.call(decrypt(raw=came.append))
    assert came == [RawAnswer(200, '{"Plaintext": null}')]
    aws.call(decrypt())
    assert len(came) == 1
    assert json.loads(server.bodies[2]) == {"CiphertextBlob": "YmxvYg=="}


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    cut = Aws("eu-west-1")
    with pytest.raises(ActionFailed, match=r"kms Decrypt got no answer.*Could not connect.*why"):
        cut.call(decrypt())
    cut.close()
