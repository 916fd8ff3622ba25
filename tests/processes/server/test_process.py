"""The model server as a process: how it starts and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from mnist_dash.local.server.__main__ import parse_arguments
from tests.processes.server.rest_client import ONE, PREDICT, connected, predict, states
from tests.processes.server.server_process import LINEAR, TIMEOUT, ServerProcess, add_version, command, until

MANY = json.dumps({"instances": [[[0.5] * 28] * 28] * 2_000}).encode()


def refuses(port: int) -> bool:
    """Return whether a port refuses connections."""
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    return False


def test_unsupervised_it_prints_one_line_and_ends_at_ctrl_c_silently() -> None:
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


def assert_gives_up(base: Path, text: str, *more: str, port: int = 0) -> None:
    """Assert that a server ends with exit code 1 and one plain line on stderr that contains the text."""
    argv = command(base, *more, port=port)
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert text in ended.stderr


def test_a_missing_or_broken_model_is_one_plain_line_and_exit_code_1(base: Path, tmp_path: Path) -> None:
    """Whatever OpenVINO says about it."""
    assert_gives_up(tmp_path, f"{tmp_path / 'model'} does not exist.")
    (base / "model" / "1" / "saved_model.pb").write_bytes(b"no model")
    assert_gives_up(base, str(base / "model" / "1"))


def test_an_address_that_cannot_be_used_is_one_plain_line_and_exit_code_1() -> None:
    """A port in use, or an address of another machine."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_gives_up(LINEAR, f"port {port} of 127.0.0.1: Address already in use.", port=port)
    assert_gives_up(LINEAR, "Cannot listen on port 0 of 192.0.2.1: ", "--host", "192.0.2.1")


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_does_not_exist_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The system would take the first modulo 65536."""
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--model-base", "x", f"--port={port}"])

    assert ended.value.code == 2
    assert f"argument --port: invalid port value: '{port}'" in capsys.readouterr().err


def replace_by_pipe(base: Path) -> tuple[Path, bytes]:
    """Replace the model's file by a named pipe, and return its path and the content of the file."""
    path = base / "model" / "1" / "saved_model.pb"
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    return path, content


def head(length: int) -> bytes:
    """Return the head of a predict request."""
    return f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def test_no_client_can_connect_before_the_model_is_loaded(base: Path, unused_port: int) -> None:
    """A port that is open is a model that answers; here its file is a pipe, and not yet written."""
    pipe, content = replace_by_pipe(base)
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


def test_it_reports_when_it_listens_and_ends_when_its_stdin_does() -> None:
    """A request is answered at once; its stdin ends when its parent dies, however that happens."""
    with ServerProcess(LINEAR) as server, connected(server.port) as connection:
        assert predict(connection) == (200, "1")
        server.end_input()
        assert server.process.wait(TIMEOUT) == 0
        assert (server.log(), server.stray) == ("", [])


def test_it_ends_with_its_stdin_while_it_loads(base: Path) -> None:
    """Loading hangs here: the model's file is a pipe that stays empty."""
    pipe, _ = replace_by_pipe(base)
    process = subprocess.Popen(command(base, "--supervised"), stdin=subprocess.PIPE)
    with process, pipe.open("wb"):
        assert process.stdin is not None
        process.stdin.close()

        assert process.wait(TIMEOUT) == 0


def test_after_sigterm_while_it_loads_it_never_listens(base: Path) -> None:
    """It finishes loading and leaves."""
    pipe, content = replace_by_pipe(base)
    process = subprocess.Popen(command(base), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with pipe.open("wb") as writer:
        process.terminate()
        writer.write(content)
    output = process.communicate(timeout=TIMEOUT)

    assert (output, process.returncode) == ((b"", b""), 0)


def test_it_ends_with_its_stdin_in_the_middle_of_big_requests() -> None:
    """Neither a busy event loop nor a running inference is in the way."""
    with ServerProcess(LINEAR) as server:
        sockets = [socket.create_connection(("127.0.0.1", server.port), TIMEOUT) for _ in range(4)]
        for connection in sockets:
            connection.sendall(head(len(MANY)) + MANY)
        server.end_input()

        assert server.process.wait(TIMEOUT) == 0
        for connection in sockets:
            connection.close()


def test_ctrl_c_is_left_to_the_parent(base: Path) -> None:
    """It reaches every process of a terminal; this one keeps running and finds another version."""
    with ServerProcess(base) as server, connected(server.port) as connection:
        server.process.send_signal(signal.SIGINT)
        add_version(base, 2)
        server.event("VersionServed")

        assert predict(connection) == (200, "2")


def test_sigterm_lets_a_request_under_way_be_answered_and_ends_with_0() -> None:
    """Half of it had been sent; idle connections do not keep the process."""
    with ServerProcess(LINEAR) as server, connected(server.port) as idle:
        predict(idle)
        busy = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
        busy.sendall(head(len(ONE)) + ONE[:100])
        states(server.port)  # when this is answered, it has read that
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
        stuck.sendall(head(9))
        states(server.port)
        server.process.terminate()

        assert server.process.wait(TIMEOUT) == 0
        assert "Traceback" not in server.log()
        stuck.close()


def test_clients_that_go_away_leave_no_line_in_the_log() -> None:
    """In the middle of a body, or before the answer; the server keeps running."""
    with ServerProcess(LINEAR) as server:
        for body in (b"", MANY[:100_000], MANY):
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as connection:
                connection.sendall(head(len(MANY)) + body)
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
        with connected(server.port) as connection:
            assert predict(connection) == (200, "1")
        server.process.terminate()
        server.process.wait(TIMEOUT)

        assert server.log() == ""
