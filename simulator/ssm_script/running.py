"""One run: bring the script there, run it, fetch its output, clean up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.ssm_script import answers
from simulator.ssm_script.answers import BadAnswer, Report
from simulator.ssm_script.errors import Ended, RunFailed
from simulator.ssm_script.limits import ROUNDS, SLICE_CHARACTERS
from simulator.ssm_script.plan import Plan, Request
from simulator.ssm_script.service import Invocation, Service

_AGENTS_OWN = "failed to run commands: "
"""What the agent adds to standard error where the exit code is not 0. Inferred: runscript.go."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    `script_exit_code` is None where nobody knows one; `stdout` and `stderr` are bytes as written;
    `message` has sentences where it did not simply end; `folder` is what is left on the instance;
    `commands` are the ids of all that was sent.
    """

    ended: Ended
    script_exit_code: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    message: str = ""
    folder: str | None = None
    commands: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        """Of `attested-kms ssm run`."""
        own = self.ended.exit_code
        return own if own is not None else self.script_exit_code or 0


class Run:
    """A plan carried out by a service."""

    def __init__(self, plan: Plan, service: Service, *, clean: bool = True) -> None:
        self._plan = plan
        self._service = service
        self._clean = clean
        self._output = (b"", b"")
        self._told: Report | None = None
        self._foreign = False  # The folder, which then is left alone.
        self._wanted = True  # What is on the instance, where the outcome is lost.

    def carry_out(self) -> Result:
        """Do it all. KeyboardInterrupt and SystemExit pass, after the run has been cancelled."""
        try:
            return self._carried_out()
        except (KeyboardInterrupt, SystemExit):
            self._abandon()
            raise

    def _carried_out(self) -> Result:
        ended, message = Ended.SCRIPT, ""
        try:
            self._bring(self._plan.bring())
            timed_out = self._run()
            ended, message = self._judged(timed_out)
        except RunFailed as failure:
            ended, message = failure.ended, f"{failure}{self._called_off()}"
        folder, said = self._tidy(ended)
        return Result(
            ended,
            self._told.exit_code if self._told else None,
            *self._output,
            " ".join(filter(None, (message, said))),
            folder,
            tuple(self._service.sent),
        )

    def _bring(self, requests: Sequence[Request]) -> None:
        def doing(number: int) -> str:
            return f"sending the script, command {number} of {len(requests)}"

        for invocation in self._service.execute_all(requests, doing):
            if invocation.cancelled:
                raise _cancelled(invocation, Ended.NOT_STARTED)
            # What did not arrive is found when the parts are counted.

    def _run(self) -> bool:
        """Run it and set the report; whether it was stopped by executionTimeout."""
        left = ROUNDS
        while True:
            left -= 1
            self._service.progress.begin("running the script")
            invocation = self._service.execute(self._plan.run())
            if invocation.cancelled:
                raise _cancelled(invocation, Ended.CANCELLED)
            try:
                answer = answers.read(invocation.stdout)
            except BadAnswer:
                self._ask(timed_out=invocation.timed_out)
                return invocation.timed_out
            match answer.problem:
                case []:
                    self._told = _told(answer)
                    return False
                case ["missing", *numbers] if left:
                    self._bring(self._plan.bring(self._known(numbers)))
                case problem:
                    raise self._cannot(problem, invocation)

    def _known(self, numbers: Iterable[str]) -> list[int]:
        """Part numbers that an instance named, without what it may have made up."""
        there = {str(part.number): part.number for part in self._plan.payload.parts}
        return [there[number] for number in numbers if number in there]

    def _cannot(self, problem: Sequence[str], invocation: Invocation) -> RunFailed:
        match problem:
            case ["lacks", tool]:
                why = f"the instance has no {tool}, which is needed to bring the script there"
            case ["missing", *numbers]:
                why = (
                    f"parts of it did not arrive whole, though they were sent {ROUNDS} times: "
                    f"{' '.join(numbers[:20])} of {len(self._plan.payload.parts)}"
                )
            case ["folder", *reason]:
                self._foreign = True
                why = f"the folder {self._plan.folder} cannot be used: {' '.join(reason)}"
            case ["space"]:
                return RunFailed(
                    Ended.OUTCOME_LOST,
                    "The script has run, but its output could not be prepared to be fetched; "
                    f"usually the disk of {self._plan.folder} is full. {_said(invocation)}",
                )
            case ["gone"]:
                return RunFailed(
                    Ended.OUTCOME_LOST,
                    f"The script has run, but {self._plan.folder} is no longer there: its outcome "
                    "is not known.",
                )
            case _:
                why = "it could not be put together; usually the disk of /var/tmp is full"
        return RunFailed(
            Ended.NOT_STARTED, f"The script was not started: {why}. {_said(invocation)}"
        )

    def _ask(self, *, timed_out: bool) -> None:
        """Get the report that the run's own command could not give."""
        self._service.progress.begin("asking how the script ended")
        invocation = self._service.execute(self._plan.report())
        try:
            self._told = answers.report(answers.read(invocation.stdout))
        except BadAnswer as error:
            if timed_out:
                return
            raise RunFailed(
                Ended.OUTCOME_LOST,
                f"How the script ended is not known: {error}. {_said(invocation)}",
            ) from error

    def _judged(self, timed_out: bool) -> tuple[Ended, str]:
        """Fetch the output; what end it was, and what there is to say."""
        told = self._told
        stopped = (
            f"The script was stopped: it took longer than {self._plan.timeout} seconds "
            "(executionTimeout). Give it more with --timeout."
        )
        if told is None:
            return Ended.TIMED_OUT, f"{stopped} It left no output."
        try:
            self._output = self._fetched(told)
        except BadAnswer as error:
            return Ended.OUTCOME_LOST, f"{_ending(told)} {str(error).capitalize()}."
        self._wanted = told.state == "running" or not (told.complete and told.kept)
        if told.exit_code is None:
            return (Ended.TIMED_OUT, stopped) if timed_out else (Ended.OUTCOME_LOST, _ending(told))
        if not told.kept:
            return Ended.OUTCOME_LOST, (
                f"{_ending(told)} Not all that it wrote could be kept: usually the disk of "
                f"{self._plan.folder} is full, or somebody ended what reads its output."
            )
        if not told.complete:
            written = told.stdout.written + told.stderr.written
            return Ended.OUTCOME_LOST, (
                f"{_ending(told)} It wrote {written:,} bytes, more than --max-output "
                f"{self._plan.output_bytes:,}: only the first {told.stdout.fetched:,} of standard "
                f"output and {told.stderr.fetched:,} of standard error were fetched."
            )
        return Ended.SCRIPT, ""

    def _fetched(self, told: Report) -> tuple[bytes, bytes]:
        """Standard output and error. Raises BadAnswer where they cannot be had whole."""
        total = -(-told.characters // SLICE_CHARACTERS)
        pieces = {0: told.first}
        for _ in range(ROUNDS):
            wanted = [n for n in range(total) if len(pieces.get(n, "")) != _length(told, n)]
            self._fetch(wanted, total, pieces)
        if len(pieces) < total:
            raise BadAnswer(f"slices of the output came damaged {ROUNDS} times")
        return answers.output(told, "".join(pieces[number] for number in range(total)))

    def _fetch(self, wanted: Sequence[int], total: int, pieces: dict[int, str]) -> None:
        def doing(number: int) -> str:
            return f"fetching the output, slice {wanted[number - 1] + 1} of {total}"

        requests = (self._plan.fetch(number) for number in wanted)
        came = self._service.execute_all(requests, doing)
        for number, invocation in zip(wanted, came, strict=True):
            try:
                pieces[number] = answers.piece(answers.read(invocation.stdout), number)
            except BadAnswer:
                pieces.pop(number, None)  # It is asked for again.

    def _called_off(self) -> str:
        """Cancel what has not ended, lest it runs when nobody looks any more; a sentence."""
        if not self._service.running:
            return ""
        which = " ".join(self._service.running)
        try:
            self._service.cancel_all()
        except RunFailed:
            return f" It could not be cancelled and may still run: {which}."
        return f" Systems Manager was asked to cancel {which}."

    def _tidy(self, ended: Ended) -> tuple[str | None, str]:
        """Remove what is on the instance, unless it is wanted; what is left, and a sentence."""
        folder = self._plan.folder
        if not self._service.sent:
            return None, ""
        if self._foreign:
            return None, ""
        if not self._clean or (ended is Ended.OUTCOME_LOST and self._wanted):
            return folder, f"Its files are in {folder} on the instance."
        if ended in (Ended.UNREACHABLE, Ended.REFUSED):
            return folder, f"What was sent before is in {folder} on the instance."
        return self._removed(kill=ended is not Ended.SCRIPT)

    def _removed(self, *, kill: bool) -> tuple[str | None, str]:
        folder = self._plan.folder
        self._service.progress.begin("cleaning up")
        try:
            invocation = self._service.execute(self._plan.clean(kill=kill))
            problem = answers.read(invocation.stdout).problem
        except (RunFailed, BadAnswer) as error:
            problem = [str(error)]
        if problem:
            return folder, f"{folder} on the instance could not be removed: {' '.join(problem)}"
        return None, ""

    def _abandon(self) -> None:
        """End what runs on the instance; a second interrupt leaves it as it is."""
        say = self._service.progress.say
        if not self._service.sent:
            return
        say("cancelling the command on the instance; interrupt again to leave it running")
        try:
            self._service.cancel_all()
            folder, said = self._removed(kill=True)
        except RunFailed as failure:
            folder, said = self._plan.folder, str(failure)
        except KeyboardInterrupt:
            commands = " ".join(self._service.running) or "none"
            say(f"left as it is: {self._plan.folder} on the instance, commands {commands}")
            return
        say(said if folder else "cancelled, and its files are removed")


def _told(answer: answers.Answer) -> Report:
    try:
        return answers.report(answer)
    except BadAnswer as error:
        raise RunFailed(
            Ended.OUTCOME_LOST, f"How the script ended is not known: {error}."
        ) from error


def _length(told: Report, number: int) -> int:
    return min(SLICE_CHARACTERS, told.characters - number * SLICE_CHARACTERS)


def _ending(told: Report) -> str:
    if told.exit_code is not None:
        return f"The script ended with exit code {told.exit_code}."
    if told.state == "running":
        return (
            "The shell that waited for the script was killed; the script still runs, and its exit "
            "code will not be known."
        )
    return (
        "The script was killed together with the shell that waited for it, and has no exit code: "
        "by kill -9 0 in the script itself, for want of memory, or by a restart."
    )


def _cancelled(invocation: Invocation, ended: Ended) -> RunFailed:
    return RunFailed(
        ended, f"Somebody cancelled command {invocation.command_id} ({invocation.details})."
    )


def _said(invocation: Invocation) -> str:
    lines = invocation.stderr.strip().splitlines()
    last = [line for line in lines if not line.startswith(_AGENTS_OWN)][-1:]
    return f"Its shell said: {last[0]}" if last else f"Command {invocation.command_id}."
