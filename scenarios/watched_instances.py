"""Instances that are watched: commands, scripts and Systems Manager, each noted with its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scenarios.normalising import normalised, shape
from scenarios.notes import Notes, Step
from scenarios.target import (
    Finished,
    FreshInstance,
    Invocation,
    ParentInstance,
    ServiceRefusal,
    SystemsManager,
)

Environment = Mapping[str, str | None] | None


def _ended(step: Step, finished: Finished) -> Finished:
    step |= {
        "exit_code": finished.exit_code,
        "stdout": normalised(finished.stdout),
        "stderr": normalised(finished.stderr),
    }
    return finished


class WatchedParent:
    """Notes what nitro-cli is told and says."""

    def __init__(self, instance: ParentInstance, notes: Notes) -> None:
        self._instance = instance
        self._notes = notes
        self.folder = instance.folder
        self.cpus = instance.cpus
        self.memory_mib = instance.memory_mib

    def image(
        self, *, entrypoint: Sequence[str] | None = None, cmd: Sequence[str] | None = None
    ) -> str:
        """The URI of a container image."""
        with self._notes.timed("image", entrypoint=shape(entrypoint), cmd=shape(cmd)):
            return self._instance.image(entrypoint=entrypoint, cmd=cmd)

    def nitro_cli(self, *arguments: str, environment: Environment = None) -> Finished:
        """Run nitro-cli to its end."""
        words = [normalised(word) for word in ("nitro-cli", *arguments)]
        with self._notes.timed(
            "command", words=words, environment=shape(environment) or None
        ) as step:
            return _ended(step, self._instance.nitro_cli(*arguments, environment=environment))

    def nitro_cli_killed(self, *arguments: str, after: str) -> Finished:
        """Run nitro-cli and kill it once it has printed `after`."""
        words = [normalised(word) for word in ("nitro-cli", *arguments)]
        with self._notes.timed("command", words=words, killed_after=after) as step:
            return _ended(step, self._instance.nitro_cli_killed(*arguments, after=after))

    def read(self, path: str) -> str:
        """A text file of the instance."""
        return self._instance.read(path)

    def size(self, path: str) -> int | None:
        """The size of a file of the instance, or None."""
        return self._instance.size(path)

    def ask(self, cid: int, port: int, line: bytes) -> bytes:
        """Dial an enclave, send a line and give the line that comes back."""
        with self._notes.timed("ask", port=port, sent_bytes=len(line)) as step:
            answer = self._instance.ask(cid, port, line)
            step["answered_bytes"] = len(answer)
        return answer


class WatchedSystemsManager:
    """Notes what Systems Manager is asked and answers."""

    def __init__(self, service: SystemsManager, notes: Notes) -> None:
        self._service = service
        self._notes = notes

    def send(
        self, commands: Sequence[str], *, execution_timeout: int | None = None
    ) -> str | ServiceRefusal:
        """SendCommand of AWS-RunShellScript."""
        with self._notes.timed(
            "systems-manager",
            operation="SendCommand",
            commands=[normalised(line) for line in commands],
            execution_timeout=execution_timeout,
        ) as step:
            answer = self._service.send(commands, execution_timeout=execution_timeout)
            if isinstance(answer, ServiceRefusal):
                step |= {"code": answer.code, "message": normalised(answer.message)}
        return answer

    def invocation(self, command_id: str) -> Invocation:
        """How the command ended; waits for it."""
        with self._notes.timed("systems-manager", operation="GetCommandInvocation") as step:
            ended = self._service.invocation(command_id)
            step |= {
                "status": ended.status,
                "exit_code": ended.response_code,
                "stdout": normalised(ended.stdout),
                "stderr": normalised(ended.stderr),
            }
        return ended

    def listed_output(self, command_id: str) -> str:
        """Output of the ended command in ListCommandInvocations."""
        with self._notes.timed("systems-manager", operation="ListCommandInvocations") as step:
            output = self._service.listed_output(command_id)
            step["stdout"] = normalised(output)
        return output


class WatchedFresh:
    """Notes the scripts that are run on a bare instance."""

    def __init__(self, instance: FreshInstance, notes: Notes) -> None:
        self._instance = instance
        self._notes = notes

    def shell(self, script: str, *, environment: Environment = None) -> Finished:
        """Run `script` with bash as root to its end."""
        with self._notes.timed(
            "script", text=normalised(script), environment=shape(environment) or None
        ) as step:
            return _ended(step, self._instance.shell(script, environment=environment))

    @property
    def systems_manager(self) -> SystemsManager:
        """With the capability SYSTEMS_MANAGER."""
        return WatchedSystemsManager(self._instance.systems_manager, self._notes)
