"""What the agent reports of a script's output: cut, marked, and made into text.

Truth: amazon-ssm-agent (mainline of October 2024), iohandler.go TruncateOutput, pluginutil.go
StringPrefix, runpluginutil.go, read and run (`agent`). All its limits count bytes, and a text that
is just as long as its limit is cut as well. Standard library only, for the agent imports it.
"""

from __future__ import annotations

from dataclasses import dataclass

PLUGIN_LIMIT = 2500
"""Of `Output` in ListCommandInvocations: both streams together (MaximumPluginOutputSize)."""
STREAM_LIMIT = 24_000
"""Of each stream by itself. The agent cuts standard error by standard output's limit too: it
passes MaxStdoutLength for both (runpluginutil.go)."""

_ERROR_TITLE = b"\n----------ERROR-------\n"
_OUTPUT_CUT = b"\n---Output truncated---"
_ERROR_CUT = b"\n---Error truncated----"
_STREAM_CUT = b"--output truncated--"


@dataclass(frozen=True, slots=True)
class Stream:
    """What a script wrote to one stream: its length in bytes, and as much of it as is reported."""

    length: int = 0
    start: bytes = b""

    def plus(self, more: bytes) -> Stream:
        """With more written to it."""
        kept = self.start + more[: STREAM_LIMIT - len(self.start)]
        return Stream(self.length + len(more), kept)

    def cut(self) -> bytes:
        """The start with a mark at its end, or all of it where it is shorter than the limit."""
        if self.length < STREAM_LIMIT:
            return self.start
        return self.start[: STREAM_LIMIT - len(_STREAM_CUT)] + _STREAM_CUT


def combined(stdout: Stream, stderr: Stream) -> bytes:
    """Both streams in one text of at most PLUGIN_LIMIT bytes, each cut where there is no room."""
    title = _ERROR_TITLE if stderr.length else b""
    room = PLUGIN_LIMIT - len(title)
    half = room // 2
    if stdout.length + stderr.length < room:
        return stdout.start + title + stderr.start
    if stdout.length > half and stderr.length > half:
        each = (room - len(_OUTPUT_CUT) - len(_ERROR_CUT)) // 2
        return stdout.start[:each] + _OUTPUT_CUT + title + stderr.start[:each] + _ERROR_CUT
    if stdout.length <= half:
        rest = room - len(_ERROR_CUT) - stdout.length
        return stdout.start + title + stderr.start[:rest] + _ERROR_CUT
    rest = room - len(_OUTPUT_CUT) - stderr.length
    return stdout.start[:rest] + _OUTPUT_CUT + title + stderr.start


def as_text(output: bytes) -> str:
    """Bytes as Go's encoding/json writes them: each that is no UTF-8 becomes U+FFFD.

    Where a cut went through a character, its first bytes become as many of them.
    """
    text = output.decode("utf-8", "surrogateescape")
    return "".join("�" if "\udc80" <= letter <= "\udcff" else letter for letter in text)
