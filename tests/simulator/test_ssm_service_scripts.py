"""AWS-RunShellScript runs scripts as the agent does."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.machine_shell import shell
from simulator.machine_shell.layout import SEARCH_PATH
from tests.simulator.ssm_world import World, world

HAS_BASH = shutil.which("bash") is not None


@pytest.fixture(name="ssm", scope="module")
def _ssm() -> Iterator[World]:
    with world() as made:
        yield made


def test_a_script_that_succeeds(ssm: World) -> None:
    ended = ssm.run("echo one", "echo two >&2")
    assert (ended["Status"], ended["StatusDetails"], ended["ResponseCode"]) == (
        *("Success", "Success"),
        0,
    )
    assert (ended["StandardOutputContent"], ended["StandardErrorContent"]) == ("one\n", "two\n")
    assert ended["ExecutionStartDateTime"] <= ended["ExecutionEndDateTime"]


@pytest.mark.parametrize("code", [1, 2, 124])
def test_an_exit_code_is_the_response_code(ssm: World, code: int) -> None:
    ended = ssm.run("echo out", f"exit {code}")
    assert (ended["Status"], ended["StatusDetails"], ended["ResponseCode"]) == (
        *("Failed", "Failed"),
        code,
    )
    assert ended["StandardOutputContent"] == "out\n"
    assert ended["StandardErrorContent"] == f"failed to run commands: exit status {code}"


def test_the_timeout_of_coreutils_works_in_a_script(ssm: World) -> None:
    ended = ssm.run("timeout 0.1 sleep 60")
    assert (ended["Status"], ended["ResponseCode"]) == ("Failed", 124)


def test_a_failing_line_does_not_end_a_script(ssm: World) -> None:
    ended = ssm.run("false", "echo on")
    assert (ended["Status"], ended["StandardOutputContent"]) == ("Success", "on\n")


def test_exit_code_137_is_reported_as_a_timeout(ssm: World) -> None:
    ended = ssm.run("exit 137")
    assert (ended["Status"], ended["StatusDetails"], ended["ResponseCode"]) == (
        *("TimedOut", "ExecutionTimedOut"),
        137,
    )
    assert ended["StandardErrorContent"] == ""


def test_a_killed_script_has_the_response_code_of_go(ssm: World) -> None:
    ended = ssm.run("kill -9 $$")
    assert (ended["Status"], ended["ResponseCode"]) == ("Failed", -1)
    assert ended["StandardErrorContent"] == "failed to run commands: signal: killed"


def test_exit_code_168_succeeds_and_its_errors_are_dropped(ssm: World) -> None:
    ended = ssm.run("echo out", "echo bad >&2", "exit 168")
    assert (ended["Status"], ended["ResponseCode"]) == ("Success", 168)
    assert ended["StandardOutputContent"].startswith("out\n\nStep exited with code 168.")
    assert ended["StandardErrorContent"] == ""


def test_exit_code_169_fails_with_a_remark_on_both_streams(ssm: World) -> None:
    ended = ssm.run("exit 169")
    assert (ended["Status"], ended["ResponseCode"]) == ("Failed", 169)
    assert "Step exited with code 169." in ended["StandardOutputContent"]
    assert "Step exited with code 169." in ended["StandardErrorContent"]


def test_a_reboot_is_named_as_not_simulated(ssm: World) -> None:
    ended = ssm.run("exit 194")
    assert (ended["Status"], ended["ResponseCode"]) == ("Failed", 194)
    assert "a reboot, which is not simulated" in ended["StandardErrorContent"]


@pytest.fixture
def laid_out(ssm: World) -> World:
    if ssm.served.why_not_laid_out:
        pytest.skip(ssm.served.why_not_laid_out)
    return ssm


@pytest.fixture
def by_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """As where no instance can be laid over this system."""
    monkeypatch.setattr(shell, "why_not", lambda _: "not in this test")
    with world() as made:
        assert made.served.why_not_laid_out == "not in this test"
        yield made


def test_the_environment_is_that_of_a_service(laid_out: World) -> None:
    """Without HOME (bug 3 of the field notes)."""
    command = laid_out.send("env")
    lines = laid_out.wait(command)["StandardOutputContent"].splitlines()
    environment = dict(line.split("=", 1) for line in lines)
    assert {"PWD", "SHLVL", "_"} >= set(environment) - {
        *("PATH", "LANG", "SSM_COMMAND_ID", "ATTESTED_KMS_MACHINE"),
        *("AWS_SSM_INSTANCE_ID", "AWS_SSM_REGION_NAME"),
        *("AWS_SSM_PLATFORM_NAME", "AWS_SSM_PLATFORM_VERSION"),
    }
    assert environment["SSM_COMMAND_ID"] == command
    assert environment["AWS_SSM_INSTANCE_ID"] == laid_out.served.instance_id
    assert environment["ATTESTED_KMS_MACHINE"] == str(laid_out.machine)
    assert environment["PATH"] == SEARCH_PATH


def test_scripts_see_the_instances_files_and_programs(laid_out: World) -> None:
    ended = laid_out.run(
        "command -v nitro-cli dnf cc",
        "sed -i s/512/1024/ /etc/nitro_enclaves/allocator.yaml",
        "echo x > /etc/attested-kms-test",
    )
    assert ended["StandardOutputContent"] == "/usr/bin/nitro-cli\n/usr/bin/dnf\n"
    yaml = laid_out.machine / "root/etc/nitro_enclaves/allocator.yaml"
    assert "memory_mib: 1024\n" in yaml.read_text()
    assert not Path("/etc/attested-kms-test").exists()
    assert laid_out.run("cat /etc/attested-kms-test")["StandardOutputContent"] == "x\n"


def test_where_none_can_be_laid_out_its_commands_are_found(by_path: World) -> None:
    ended = by_path.run("command -v nitro-cli dnf", "echo $PATH", "pwd", "nitro-cli --version")
    first, second, path, folder, version = ended["StandardOutputContent"].splitlines()
    shims, _, rest = path.partition(":")
    assert (first, second, rest) == (f"{shims}/nitro-cli", f"{shims}/dnf", SEARCH_PATH)
    # Nothing must be left in this system's /usr/bin.
    assert folder == f"{by_path.machine}/root/usr/bin"
    assert version == "Nitro CLI 1.4.4"


def test_bug_3_as_the_field_notes_had_it(ssm: World) -> None:
    ended = ssm.run("set -u", "echo $HOME")
    assert ended["Status"] == "Failed"
    assert "HOME: unbound variable" in ended["StandardErrorContent"]


@pytest.mark.skipif(not HAS_BASH, reason="no bash here, which sh is on Amazon Linux")
def test_sh_is_bash_as_on_amazon_linux(ssm: World) -> None:
    ended = ssm.run(
        "set -o pipefail", "echo $BASH $POSIXLY_CORRECT", "shopt -qo posix && echo posix"
    )
    assert ended["StandardErrorContent"] == ""
    assert ended["StandardOutputContent"].splitlines()[-1] == "posix"


@pytest.mark.skipif(not HAS_BASH, reason="no bash here")
def test_a_first_line_may_choose_the_interpreter(ssm: World) -> None:
    ended = ssm.run("#!/usr/bin/env -S bash --norc", "shopt -qo posix || echo not posix")
    assert ended["StandardOutputContent"] == "not posix\n"


def test_a_script_has_no_input(ssm: World) -> None:
    assert ssm.run("cat", "echo end")["StandardOutputContent"] == "end\n"


def test_it_starts_in_the_agents_folder(laid_out: World) -> None:
    assert laid_out.run("pwd")["StandardOutputContent"] == "/usr/bin\n"
    # A relative folder is one of what a document has downloaded, and there is none.
    ended = laid_out.run("pwd", Parameters={"workingDirectory": ["relative"]})
    assert ended["StandardOutputContent"] == "/usr/bin\n"
    ended = laid_out.run("pwd", Parameters={"workingDirectory": ["/root"]})
    assert ended["StandardOutputContent"] == "/root\n"


def test_a_working_directory_is_the_instances_before_this_systems(
    by_path: World, tmp_path: Path
) -> None:
    asked = {"workingDirectory": [str(tmp_path)]}
    assert by_path.run("pwd -P", Parameters=asked)["StandardOutputContent"] == f"{tmp_path}\n"
    simulated = by_path.machine / "root" / str(tmp_path).lstrip("/")
    simulated.mkdir(parents=True)
    assert by_path.run("pwd -P", Parameters=asked)["StandardOutputContent"] == f"{simulated}\n"


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("/nowhere/at/all", "no such file or directory"),
        ("/etc/passwd", "not a directory"),
        ("/" + "x" * 300, "file name too long"),
        ("/nul\0nul", "invalid argument"),
        ("/surrogate\ud800", "invalid argument"),
    ],
)
def test_a_folder_that_is_none_fails_as_go_says_it(ssm: World, folder: str, reason: str) -> None:
    ended = ssm.run("true", Parameters={"workingDirectory": [folder]})
    assert (ended["Status"], ended["ResponseCode"]) == ("Failed", 1)
    message = f"failed to run commands: fork/exec /usr/bin/sh: {reason}"
    assert ended["StandardErrorContent"] == message


def test_the_whole_output_stays_on_the_instance(ssm: World) -> None:
    command = ssm.send("printf '%30000s'", "echo no >&2")
    ssm.wait(command)
    (folder,) = ssm.machine.glob(f"root/var/lib/amazon/ssm/*/document/orchestration/{command}")
    kept = folder / "awsrunShellScript" / "0.awsrunShellScript"
    assert (kept / "stdout").stat().st_size == 30_000
    assert (kept / "stderr").read_text() == "no\n"
    assert (kept / "_script.sh").read_text() == "printf '%30000s'\necho no >&2\n"


def test_a_process_in_the_background_that_holds_the_output_holds_the_command(ssm: World) -> None:
    command = ssm.send("echo started", "sleep 60 &", Parameters={"executionTimeout": ["5"]})
    assert ssm.printed(command) == "started\n"
    assert ssm.wait(command, "InProgress")["StandardOutputContent"] == ""
    ssm.client.cancel_command(CommandId=command)
    assert ssm.wait(command)["StandardOutputContent"] == "started\n"


def test_a_process_in_the_background_that_holds_nothing_lives_on(ssm: World) -> None:
    ended = ssm.run("sleep 60 > /dev/null 2>&1 &", "echo $!")
    assert ended["Status"] == "Success"
    process = int(ended["StandardOutputContent"])
    # What has been killed is gone: the agent waits for what scripts have left.
    killed = ssm.run(f"kill {process}", f"while kill -0 {process} 2> /dev/null; do :; done")
    assert killed["Status"] == "Success"


def test_commands_run_side_by_side(ssm: World, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    ssm.run(f"mkfifo {pipe}")
    reader = ssm.send(f"cat {pipe}")
    ssm.wait(reader, "InProgress")
    assert ssm.run(f"echo met > {pipe}")["Status"] == "Success"
    assert ssm.wait(reader)["StandardOutputContent"] == "met\n"


def test_more_than_five_commands_wait_for_their_turn(ssm: World, tmp_path: Path) -> None:
    pipes = [tmp_path / f"pipe-{number}" for number in range(5)]
    ssm.run(*(f"mkfifo {pipe}" for pipe in pipes))
    readers = [ssm.send(f"cat {pipe}") for pipe in pipes]
    for reader in readers:
        ssm.wait(reader, "InProgress")
    sixth = ssm.send("echo at last")
    ssm.wait(sixth, "InProgress")
    # A script is written when it is to run.
    assert not list(ssm.machine.glob(f"root/var/lib/amazon/ssm/*/document/orchestration/{sixth}"))
    pipes[0].write_text("go on\n")
    assert ssm.wait(sixth)["StandardOutputContent"] == "at last\n"
    for pipe in pipes[1:]:
        pipe.write_text("")
    assert [ssm.wait(reader)["Status"] for reader in readers] == ["Success"] * 5


def test_a_script_of_the_field_notes_length_runs_to_its_end(ssm: World) -> None:
    """Bug 5: 10.9 KB are no length at all."""
    script = "\n".join(f"# line {number:05}" for number in range(830)) + "\necho DONE"
    assert len(script) > 10_700
    assert ssm.run(script)["StandardOutputContent"] == "DONE\n"


def test_a_script_may_refer_to_parameter_store(ssm: World) -> None:
    ssm.client.put_parameter(Name="/team/colour", Value="red", Type="String")
    ended = ssm.run("echo {{ssm:/team/colour}} '{{ workingDirectory }}' '{{other}}'")
    assert ended["StandardOutputContent"] == "red {{ workingDirectory }} {{other}}\n"


def test_letters_of_all_kinds_come_through(ssm: World) -> None:
    ended = ssm.run("echo 'grün 🔑 \\ \"'")
    assert ended["StandardOutputContent"] == 'grün 🔑 \\ "\n'


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files: prlimit(2)")
def test_a_full_disk_cuts_the_output_and_not_the_script(tmp_path: Path) -> None:
    """The agent goes on, and reports what it could keep."""
    import resource

    with world() as ssm:
        agent = int(ssm.run("echo $PPID")["StandardOutputContent"])
        resource.prlimit(agent, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        done = tmp_path / "done"
        ended = ssm.run("printf %05000d 0", f"mkdir {done}")
        assert (ended["Status"], ended["StandardOutputContent"]) == ("Success", "0" * 1000)
        assert done.exists()
        too_long = ssm.run("true", "#" * 2000)
        assert (too_long["Status"], too_long["ResponseCode"]) == ("Failed", 1)
        assert "failed to create script file. write " in too_long["StandardErrorContent"]
        assert ssm.run("echo lives")["StandardOutputContent"] == "lives\n"


def test_an_instance_that_has_no_room_for_a_script() -> None:
    with world() as ssm:
        folder = ssm.machine / "root" / "var" / "lib" / "amazon"
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("in the way")
        ended = ssm.run("true")
        assert (ended["Status"], ended["ResponseCode"]) == ("Failed", 1)
        said = ended["StandardErrorContent"]
        assert said.startswith("failed to create orchestrationDir directory, ")
