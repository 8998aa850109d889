"""What runs on the instance, in plain `sh` with nothing but coreutils and gzip.

Each command is a list of lines, as AWS-RunShellScript takes them. The first sets values, the
others are the same for every script. No line has an apostrophe, so that `--dry-run` can put a whole
command between two; none has `{{`, which Systems Manager would replace.

All files are in one folder of the run, which only its owner can enter:

    part.N    a chunk whose SHA-256 was right           run/NAME    the script; `run` exists once
    stdout    what the script wrote                     rc          its exit code
    stderr    the same                                  sent        both, gzip, base64, one line
    pid       the script's process                      report      sizes and SHA-256 of both
    o, e      the pipes that the script writes into     o.ok        a reader has had all, as e.ok

Every command prints lines of a word and values, and last `DONE rc=N`: without it, output is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from simulator.ssm_script.limits import SLICE_CHARACTERS
from simulator.ssm_script.payload import BORN, Part, Payload

FOLDER = "/var/tmp/attested-kms-ssm."  # noqa: S108  # The folder is refused unless it is ours.
PROBLEM = 3
"""The exit code of a command of ours that could not do its work."""

_STOP = """\
stop() { echo "PROBLEM $*"; echo "DONE rc=3"; exit 3; }
"""

_FOLDER = """\
w=$(mkdir -m 700 "$d" 2>&1)
if [ ! -d "$d" ] || [ -h "$d" ] || [ ! -O "$d" ]; then stop folder "$w"; fi
for t in base64 gzip sha256sum; do command -v "$t" >/dev/null 2>&1 || stop lacks "$t"; done
"""

_PUT = """\
put() {
[ ! -f "$d/part.$1" ] || return 0
printf %s "$3" > "$d/new.$1.$$" && [ "$(sha256sum < "$d/new.$1.$$")" = "$2  -" ] || return 0
mv -f "$d/new.$1.$$" "$d/part.$1"
}
"""

# The number of a process that still runs, in p.
_ALIVE = f"""\
{BORN}\
alive() {{
p=; t=
[ ! -f "$d/$1" ] || read -r p t < "$d/$1"
[ -n "$p" ] && [ "$(born "$p")" = "$t" ] || p=
}}
"""

# To a script, a file is not as a pipe: `> /dev/stderr` would cut off what it has. So it has pipes
# as from the agent, which others read. They live in a session of their own where they can, so that
# what ends the script does not end them too: they end when nobody holds the pipe any more.
_READ = f"""\
mkfifo "$d/o" "$d/e"
cat > "$d/reader" <<\\end
{BORN}\
trap "" HUP INT TERM
echo "$$ $(born "$$")" > "$1/$2.pid"
cat < "$1/$2" > "$1/$3" && mkdir "$1/$2.ok"
end
z=$(command -v setsid)
for x in "o stdout" "e stderr"; do
$z sh "$d/reader" "$d" $x </dev/null >/dev/null 2>&1 &
done
"""

# A part that is damaged or cannot be written is a part that is missing. Nothing runs unless the
# files that will be run have the right SHA-256. `mkdir` decides who runs them, once: the same
# command may have arrived twice, and the second waits for the first one's report. It does not come
# if the first was killed, by a restart of the instance say, after which the agent runs its command
# again: then there has been no such process for a minute.
_CHECK = """\
if [ ! -d "$d/run" ]; then
i=1; w=
while [ "$i" -le "$n" ]; do [ -f "$d/part.$i" ] || w="$w $i"; i=$((i + 1)); done
[ -z "$w" ] || [ -d "$d/run" ] || stop missing $w
i=1
while [ "$i" -le "$n" ]; do cat "$d/part.$i"; i=$((i + 1)); done \\
| base64 -d | gzip -dc > "$d/all.$$"
head -c "$l" "$d/all.$$" > "$d/launch.$$"
tail -c "+$((l + 1))" "$d/all.$$" > "$d/script.$$"
[ "$(cat "$d/launch.$$" "$d/script.$$" | sha256sum)" = "$h  -" ] \\
|| [ -d "$d/run" ] || stop sha256
fi
"""

_RUN = f"""\
if mkdir "$d/run" 2>/dev/null; then
mv "$d/script.$$" "$d/run/$f" && rm -f "$d"/part.* "$d"/all.*
{_READ}\
trap : HUP INT TERM
sh "$d/launch.$$" "$d/run/$f" "$d/pid" </dev/null >"$d/o" 2>"$d/e"
rc=$?
echo "$rc" > "$d/rc.new" && mv "$d/rc.new" "$d/rc"
else
i=0
while [ -d "$d/run" ] && [ ! -f "$d/report" ] && [ ! -d "$d/lost" ] && [ "$i" -lt 60 ]; do
sleep 1; i=$((i + 1)); alive pid; [ -z "$p" ] || i=0
done
[ -d "$d/run" ] || stop gone
rc=$(cat "$d/rc" 2>/dev/null)
[ -n "$rc" ] || rc=none
fi
"""

# A process in the background may hold the pipes: nothing for a second is the end then, and what it
# writes later is left out. Readers that ended before the pipes did have lost something.
_SETTLE = """\
i=0; q=
while alive o.pid; w=$p; alive e.pid; [ -n "$w$p" ] && [ "$i" -lt 10 ]; do
s="$(wc -c < "$d/stdout") $(wc -c < "$d/stderr")"
[ "$s" = "$q" ] || i=0
q=$s; i=$((i + 1)); sleep 0.1 2>/dev/null || sleep 1
done
y=1
for x in o e; do alive $x.pid; [ -n "$p" ] || [ -d "$d/$x.ok" ] || y=0; done
"""

# Where it is too much, standard error may have half, or what standard output leaves.
_REPORT = f"""\
both() {{ head -c "$a" "$d/stdout"; head -c "$b" "$d/stderr"; }}
if [ ! -f "$d/report" ]; then
: >> "$d/stdout"; : >> "$d/stderr"
{_SETTLE}\
o=$(($(wc -c < "$d/stdout"))); e=$(($(wc -c < "$d/stderr"))); a=$o; b=$e
if [ "$((a + b))" -gt "$m" ]; then
r=$((m - a)); [ "$r" -gt "$((m / 2))" ] || r=$((m / 2))
[ "$b" -le "$r" ] || b=$r
[ "$a" -le "$((m - b))" ] || a=$((m - b))
fi
s=$(both | sha256sum)
both | gzip -nc | base64 | tr -d "\\n" > "$d/sent"
[ "$(base64 -d < "$d/sent" | gzip -dc | sha256sum)" = "$s" ] \\
|| {{ mkdir "$d/lost"; stop space; }}
printf "stdout %s %s\\nstderr %s %s\\n" "$o" "$a" "$e" "$b" > "$d/report.new"
printf "kept %s\\nsha256 %s\\n" "$y" "${{s%% *}}" >> "$d/report.new"
mv "$d/report.new" "$d/report"
fi
cat "$d/report"
echo "sent $(($(wc -c < "$d/sent")))"
echo "data $(head -c "$k" "$d/sent")"
echo "DONE rc=$rc"
"""

# To the agent, 194 is a wish to restart the instance, 137 a timeout, 168 a success.
_END = """\
case $rc in 137|168|169|194|none) exit 1;; *) exit "$rc";; esac
"""


_AFTERWARDS = """\
[ -d "$d/run" ] || stop gone
alive pid
rc=$(cat "$d/rc" 2>/dev/null)
[ -n "$rc" ] || rc=${p:+running}
[ -n "$rc" ] || rc=none
"""

_SLICE = """\
[ -f "$d/sent" ] || stop gone
s=$(tail -c "+$((i * k + 1))" "$d/sent" | head -c "$k")
w=$(printf %s "$s" | sha256sum)
echo "slice $i ${w%% *}"
echo "data $s"
echo "DONE rc=0"
"""

_KILL = """\
alive pid
[ -z "$p" ] || kill -9 "$p" 2>/dev/null
"""

_CLEAN = """\
w=$(rm -rf "$d" 2>&1)
[ ! -e "$d" ] || stop left "$w"
echo "DONE rc=0"
"""


def bring(folder: str, parts: Iterable[Part]) -> list[str]:
    """Write these chunks, where they are not there yet."""
    return [*_lines({"d": folder}, _STOP, _FOLDER, _PUT), *map(_put, parts), 'echo "DONE rc=0"']


def run(
    folder: str, payload: Payload, name: str, parts: Iterable[Part], output_bytes: int
) -> list[str]:
    """Write the last chunks, check the whole, run it once, report."""
    values = {
        "d": folder,
        "n": len(payload.parts),
        "h": payload.sha256,
        "l": payload.launcher_bytes,
        "f": name,
        "m": output_bytes,
        "k": SLICE_CHARACTERS,
    }
    before = _lines(values, _STOP, _FOLDER, _PUT, _ALIVE)
    return [*before, *map(_put, parts), *_lines({}, _CHECK, _RUN, _REPORT, _END)]


def report(folder: str, output_bytes: int) -> list[str]:
    """Report a run whose own command did not: it was stopped, or its answer was cut."""
    values = {"d": folder, "m": output_bytes, "k": SLICE_CHARACTERS}
    return _lines(values, _STOP, _ALIVE, _AFTERWARDS, _REPORT)


def fetch(folder: str, number: int) -> list[str]:
    """Print one slice of what is to be fetched; the report printed number 0."""
    return _lines({"d": folder, "i": number, "k": SLICE_CHARACTERS}, _STOP, _SLICE)


def clean(folder: str, *, kill: bool) -> list[str]:
    """Remove the folder; `kill` ends a script first that has outlived its cancellation."""
    return _lines({"d": folder}, _STOP, *((_ALIVE, _KILL) if kill else ()), _CLEAN)


def _put(part: Part) -> str:
    return f"put {part.number} {part.sha256} {part.characters}"


def _lines(values: Mapping[str, object], *texts: str) -> list[str]:
    set_them: Sequence[str] = [" ".join(f"{name}={value}" for name, value in values.items())]
    return [*(set_them if values else ()), *(line for text in texts for line in text.splitlines())]
