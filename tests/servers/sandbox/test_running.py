"""What a confined command is to its caller: streams, status, signals, a terminal, an end."""

from __future__ import annotations

import asyncio
import hashlib
import signal

import pytest
from tests.servers.loops import FACTORIES, run_on
from tests.servers.sandbox.confined import Confined, all_of, line_of

from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.sandbox import TooManyCommands
from homeport.servers.sandbox.terminals import Size, Terminal

LOOPS = pytest.mark.parametrize("loop", sorted(FACTORIES))


@LOOPS
@pytest.mark.parametrize(
    ("argv", "given", "status", "output", "errors"),
    [
        (("true",), b"", 0, "", ""),
        (("/usr/bin/cat",), b"line\n", 0, "line\n", ""),
        (("echo out; echo err >&2; exit 42",), b"", 42, "out\n", "err\n"),
        (("kill -TERM $$; sleep 10",), b"", 143, "", ""),
        (("kill -KILL $$; sleep 10",), b"", 137, "", ""),
        (("exit 255",), b"", 255, "", ""),
        (("pwd; id -un; hostname",), b"", 0, "/home/alice\nalice\nhomeport\n", ""),
        (("echo $HOME $PATH $TERM; env | wc -l",), b"", 0, None, ""),
    ],
)
def test_a_command(
    confined: Confined,
    loop: str,
    argv: tuple[str, ...],
    given: bytes,
    status: int,
    output: str | None,
    errors: str,
) -> None:
    said = run_on(loop, confined.run(*argv, given=given))
    assert (said.status, said.errors, said.ended.reason) == (status, errors, None)
    assert output in (None, said.output)


@LOOPS
def test_bytes_pass_untouched_both_ways(confined: Confined, loop: str) -> None:
    given = bytes(range(256)) * 40_000  # 10 MB: far more than pipes hold

    async def main() -> None:
        command = await confined.start("cat")
        came, taken = await asyncio.gather(all_of(command.output), feed(command))
        assert taken
        assert hashlib.sha256(came).digest() == hashlib.sha256(given).digest()
        assert (await command.wait()).status == 0
        command.close()

    async def feed(command: object) -> bool:
        taken: bool = await command.input.write(given)  # type: ignore[attr-defined]
        command.input.close()  # type: ignore[attr-defined]
        return taken

    run_on(loop, main())


@LOOPS
def test_input_for_one_that_reads_no_more_is_dropped(confined: Confined, loop: str) -> None:
    said = run_on(loop, confined.run("head -c 1", given=b"x" * 5_000_000))
    assert (said.status, said.output) == (0, "x")


def test_a_reader_that_stops_stops_the_command(confined: Confined) -> None:
    async def main() -> None:
        command = await confined.start("yes")
        await command.output.read(10)
        before = await _quiet_cpu_s(command.cpu_s)
        assert before < 5.0
        command.kill("enough")
        assert (await command.wait()).reason == "enough"
        command.close()

    async def _quiet_cpu_s(cpu_s: object) -> float:
        """The processor time when it no longer grows: the pipe is full."""
        last, now = -1.0, 0.0
        while now != last:
            await asyncio.sleep(0.1)
            last, now = now, cpu_s()  # type: ignore[operator]
        return now

    run_on("asyncio", main())


@LOOPS
def test_signals_reach_the_command(confined: Confined, loop: str) -> None:
    async def main() -> None:
        command = await confined.start("trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
        await line_of(command.output, b"ready\n")
        assert command.signal(signal.SIGTERM)
        assert await all_of(command.output) == b"got it\n"
        assert (await command.wait()).status == 3
        assert not command.signal(signal.SIGTERM)
        command.kill("too late")
        command.close()

    run_on(loop, main())


@LOOPS
def test_a_terminal(confined: Confined, loop: str) -> None:
    async def main() -> None:
        command = await confined.start("bash", "-l", terminal=Terminal(Size(100, 30), {53: 0}))
        await line_of(command.output, b"$ ")
        await command.input.write(b"tty; stty size; cd /tmp; pwd; echo E''ND\r")
        came = await line_of(command.output, b"END\r\n")
        assert b"/dev/console\r\n30 100\r\n/tmp\r\n" in came
        await command.input.write(b"pwd; trap 'stty size; echo S''IZED' WINCH; echo N''EXT\r")
        assert b"/tmp\r\n" in await line_of(command.output, b"NEXT\r\n")  # the same shell still
        command.resize(Size(120, 40))
        await command.input.write(b"\r")
        assert b"40 120" in await line_of(command.output, b"SIZED")
        await command.input.write(b"exit 7\r")
        await all_of(command.output)
        assert (await command.wait()).status == 7
        command.resize(Size(1, 1))
        command.close()

    run_on(loop, main())


@LOOPS
@pytest.mark.parametrize("by_key", [True, False])
def test_ctrl_c_ends_what_runs_and_not_the_shell(confined: Confined, loop: str, by_key: bool) -> None:
    async def main() -> None:
        command = await confined.start("bash", "-l", terminal=Terminal())
        await line_of(command.output, b"$ ")
        await command.input.write(b"sh -c 'echo S''TARTED; exec sleep 1000'\r")
        await line_of(command.output, b"STARTED\r\n")
        if by_key:
            await command.input.write(b"\x03")
        else:
            command.signal(signal.SIGINT)
        await line_of(command.output, b"$ ")
        await command.input.write(b"echo status $?; exit\r")
        assert b"status 130" in await all_of(command.output)
        await command.wait()
        command.close()

    run_on(loop, main())


def test_top_runs(confined: Confined) -> None:
    async def main() -> None:
        command = await confined.start("top", terminal=Terminal())
        await line_of(command.output, b"PID")
        await command.input.write(b"q")
        await all_of(command.output)
        assert (await command.wait()).status == 0
        command.close()

    run_on("asyncio", main())


def test_nobody_runs_more_at_once_than_he_may(confined: Confined) -> None:
    place = confined.sandbox.place
    with place("alice", 1), place("bob", 1), pytest.raises(TooManyCommands) as refused, place("alice", 1):
        pass
    assert str(refused.value) == "this account runs 1 commands already; end one and try again"
    with place("alice", 1):
        pass


def test_a_start_that_nobody_waits_for_leaves_nothing(confined: Confined) -> None:
    async def main() -> None:
        await confined.sandbox.prepare()
        starting = asyncio.ensure_future(confined.start("sleep", "1000"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await confined.sandbox.idle()

    run_on("asyncio", main())


def test_work_under_way_is_waited_for(confined: Confined) -> None:
    async def main() -> None:
        done: list[bool] = []

        async def work() -> None:
            await asyncio.sleep(0.05)
            done.append(True)

        waiting = asyncio.ensure_future(confined.sandbox.see_through(work()))
        await asyncio.sleep(0)
        waiting.cancel()
        await confined.sandbox.idle()
        assert done == [True]

    run_on("asyncio", main())


def test_commands_may_not_be_started_with_more_than_the_machine_allows(confined: Confined) -> None:
    said = run_on("asyncio", confined.run("ulimit -n; ulimit -c; ulimit -t", limits=Limits(open_files=64, cpu_s=7)))
    assert said.output == "64\n0\n7\n"


def test_signals_that_the_server_ignores_are_not_ignored_by_commands(confined: Confined) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as workers do
    try:
        said = run_on("asyncio", confined.run("grep SigIgn /proc/self/status; kill -INT $$; sleep 10"))
        ignored = int(said.output.removeprefix("SigIgn:"), 16)
        assert ignored & 0x7FFF_FFFF == 0  # above are signals without names, as whoever runs the tests left them
        assert said.status == 130
    finally:
        signal.signal(signal.SIGINT, before)
