"""The model server as a process: how it starts and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_dash.local.server.__main__ import Options
from tests.processes.server.rest_client import ONE, PREDICT, Client, connected, predict, states
from tests.processes.server.server_process import LINEAR, TIMEOUT, ServerProcess, add_version, command, until

MANY = json.dumps({"instances": [[[0.5] * 28] * 28] * 2_000}).encode()


def refuses(port: int) -> bool:
    """Whether nobody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    return False


def test_by_itself_it_prints_one_line_and_leaves_at_ctrl_c_without_a_word() -> None:
    """The line says where; there is no traceback."""
    process = subprocess.Popen(command(LINEAR), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    with connected(int(line.split(":")[2].split("/")[0])) as connection:
        answer = predict(connection)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=TIMEOUT)

    assert line.startswith("Serving version 1 at http://127.0.0.1:")
    assert line.endswith("/v1/models/model\n")
    assert answer == (200, "1")
    assert (rest, errors, process.returncode) == ("", "", 0)


def run(base: Path, *more: str, port: int = 0) -> subprocess.CompletedProcess[str]:
    """A server that is expected to give up."""
    return subprocess.run(
        command(base, *more, port=port), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def test_a_model_that_is_not_there_is_one_plain_line_and_exit_code_1(tmp_path: Path) -> None:
    """What is missing, and what to do."""
    ended = run(tmp_path)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"{tmp_path / 'model'} does not exist."
        f" Put a SavedModel there, the first as {tmp_path / 'model' / '1'}.\n"
    )


def test_a_model_that_cannot_be_loaded_is_one_plain_line_and_exit_code_1(base: Path) -> None:
    """Whatever OpenVINO says about it."""
    (base / "model" / "1" / "saved_model.pb").write_bytes(b"no model")
    ended = run(base)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert str(base / "model" / "1") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_one_plain_line_and_exit_code_1() -> None:
    """Which port, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(LINEAR, port=port)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"Port {port} on 127.0.0.1 is taken. Choose another --port, or 0 for any free one.\n"
    )


def test_an_address_that_is_not_ours_is_one_plain_line_and_exit_code_1() -> None:
    """What is wrong with it is the system's to say."""
    ended = run(LINEAR, "--host", "192.0.2.1")

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Cannot listen on port 0 of 192.0.2.1: ")


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_does_not_exist_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The system would take the first modulo 65536."""
    with pytest.raises(SystemExit) as ended:
        Options.from_argv(["--model-base", "x", f"--port={port}"])

    assert ended.value.code == 2
    assert f"argument --port: invalid port value: '{port}'" in capsys.readouterr().err


def test_nobody_can_connect_before_the_model_is_loaded(base: Path, unused_port: int) -> None:
    """A port that is open is a model that answers; here its file is a pipe, and not yet written."""
    pipe = base / "model" / "1" / "saved_model.pb"
    content = pipe.read_bytes()
    pipe.unlink()
    os.mkfifo(pipe)
    process = subprocess.Popen(command(base, port=unused_port), stdout=subprocess.PIPE, text=True)
    with process, pipe.open("wb") as writer:  # opens when the server has opened it, too
        refused = refuses(unused_port)
        writer.write(content)
        writer.close()
        assert process.stdout is not None
        ready = process.stdout.readline()
        process.terminate()

    assert refused
    assert ready.startswith("Serving version 1")


def test_it_reports_on_stdout_when_it_listens() -> None:
    """The first event carries port and version, and a request is answered at once."""
    with ServerProcess(LINEAR) as server, connected(server.port) as connection:
        assert predict(connection) == (200, "1")

    assert server.stray == []


def test_it_ends_when_its_stdin_does() -> None:
    """As it does when its parent dies, however that happens."""
    with ServerProcess(LINEAR) as server:
        server.end_input()

        assert server.process.wait(TIMEOUT) == 0
        assert server.log() == ""


def test_it_ends_with_its_stdin_while_it_is_loading(base: Path) -> None:
    """Loading hangs here: the model's file is a pipe into which nobody writes."""
    pipe = base / "model" / "1" / "saved_model.pb"
    pipe.unlink()
    os.mkfifo(pipe)
    process = subprocess.Popen(command(base, "--supervised"), stdin=subprocess.PIPE)
    with process, pipe.open("wb"):
        assert process.stdin is not None
        process.stdin.close()

        assert process.wait(TIMEOUT) == 0


def test_told_to_end_while_it_is_loading_it_never_listens(base: Path) -> None:
    """It finishes loading and leaves."""
    pipe = base / "model" / "1" / "saved_model.pb"
    content = pipe.read_bytes()
    pipe.unlink()
    os.mkfifo(pipe)
    process = subprocess.Popen(command(base), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with pipe.open("wb") as writer:
        process.terminate()
        writer.write(content)
    said = process.communicate(timeout=TIMEOUT)

    assert (said, process.returncode) == ((b"", b""), 0)


def test_it_ends_with_its_stdin_in_the_middle_of_big_requests() -> None:
    """Neither a busy event loop nor a running inference is in the way."""
    with ServerProcess(LINEAR) as server:
        sockets = [socket.create_connection(("127.0.0.1", server.port), TIMEOUT) for _ in range(4)]
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(MANY)}\r\n\r\n".encode()
        for connection in sockets:
            connection.sendall(head + MANY)
        server.end_input()

        assert server.process.wait(TIMEOUT) == 0
        for connection in sockets:
            connection.close()


def test_ctrl_c_is_for_the_parent_to_decide(base: Path) -> None:
    """It reaches every process of a terminal; this one goes on, long enough to find another version."""
    with ServerProcess(base) as server, connected(server.port) as connection:
        server.process.send_signal(signal.SIGINT)
        add_version(base, 2)
        server.event("version")

        assert predict(connection) == (200, "2")


def test_sigterm_lets_a_request_under_way_be_answered_and_ends_with_0() -> None:
    """Half of it had been sent; idle connections do not keep the process."""
    with ServerProcess(LINEAR) as server, connected(server.port) as idle:
        predict(idle)
        busy = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ONE)}\r\n\r\n".encode()
        busy.sendall(head + ONE[:100])
        states(server.port)  # by now it has read that
        server.process.terminate()
        until(lambda: refuses(server.port))
        busy.sendall(ONE[100:])
        answer = busy.makefile("rb").read()
        busy.close()

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"connection: close" in answer
        assert server.process.wait(TIMEOUT) == 0
        assert server.log() == ""


def test_sigterm_does_not_wait_for_a_request_that_never_ends() -> None:
    """After some seconds it ends all the same."""
    with ServerProcess(LINEAR) as server:
        stuck = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
        stuck.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
        states(server.port)
        server.process.terminate()

        assert server.process.wait(TIMEOUT) == 0
        assert "Traceback" not in server.log()
        stuck.close()


def test_clients_that_go_away_leave_no_word_in_the_log() -> None:
    """In the middle of a body, or before the answer; and the server goes on."""
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(MANY)}\r\n\r\n".encode()
    with ServerProcess(LINEAR) as server:
        for body in (b"", MANY[:100_000], MANY):
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as connection:
                connection.sendall(head + body)
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
        with connected(server.port) as connection:
            assert predict(connection) == (200, "1")
        server.process.terminate()
        server.process.wait(TIMEOUT)

        assert server.log() == ""


def test_who_served_is_said_in_every_answer() -> None:
    """As it was told; also by those that no model has to do with, and what is no HTTP."""
    name = "role=new, release=blue, replica=mnist-blue-1"
    with ServerProcess(LINEAR, "--served-by", name) as server:
        client = Client(server.port)
        answers = [
            client.ask("GET", "/v1/models/model"),
            client.ask("GET", "/nowhere"),
            client.predict({"instances": []}),
            client.predict({"instances": [[[0.5] * 28] * 28]}),
        ]
        client.connection.close()
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as junk:
            junk.sendall(b"no HTTP\r\n\r\n")
            refusal = junk.makefile("rb").read().decode()
    assert [answer.status for answer in answers] == [200, 404, 400, 200]
    assert {answer.headers["x-served-by"] for answer in answers} == {name}
    assert f"x-served-by: {name}\r\n" in refusal


@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "ä", "a\tb"])
def test_a_name_that_no_header_can_hold_is_refused(text: str) -> None:
    """At the start, by its flag."""
    ended = subprocess.run(
        command(LINEAR, "--served-by", text), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert ended.returncode == 2
    assert "argument --served-by: invalid header value" in ended.stderr


def test_a_folder_is_served_without_google_s_libraries() -> None:
    """They take longer to import than all the rest."""
    code = "import sys; from mnist_dash.local.server import process; print('google.auth' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    assert ended.stdout == "False\n"
