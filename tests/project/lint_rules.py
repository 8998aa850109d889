"""docs/reference/lint-rules.md, made from the table of the rules. Run it to write the page."""

from __future__ import annotations

from pathlib import Path

from simulator.lint.findings import Rule
from simulator.lint.rules import RULES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "lint-rules.md"

_HEAD = """\
# What `attested-kms lint` looks for

Made from `simulator/lint/rules.py` by `python -m tests.project.lint_rules`.

`attested-kms lint INPUT` looks in an image for what makes an enclave die at once, or differ from a
container. INPUT is a Dockerfile, an archive of `docker save`, an OCI layout, a folder with
`rootfs`, what `docker inspect` prints, or an EIF. Nothing is run. Each finding comes with the boot
that it gives: what init executes, the lines of the console, and what nitro-cli shows.

- **error**: the enclave is not built, or is gone at once. **warning**: it may be gone, or does
  something else than the image says. **info**: something of the image does not count in an enclave.
- A finding that may be wrong says `may`. What an input does not tell is listed as not decided, and
  is no finding (`--strict` makes the exit code 1 for it): a Dockerfile does not show what its base
  image and its RUN lines bring, the built image does.
- Exit code: 0 for nothing at or above `--fail-on` (default: warning), 1 for findings, 2 for an
  unreadable input.
- Evidence is that of the behaviour of a real enclave: **documented**, **reported** (somebody's
  run), **inferred** (read in the sources of nitro-cli, init or the kernel).

| rule | severity | what it is | source |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(map(_row, RULES)) + "".join(map(_section, RULES))


def _row(rule: Rule) -> str:
    severities = ", ".join(severity.value for severity in rule.severities)
    return (
        f"| [`{rule.id}`](#{rule.id}) | {severities} | {rule.title} | {rule.source} "
        f"({rule.evidence.value}) |\n"
    )


def _section(rule: Rule) -> str:
    return f"\n## {rule.id}\n\n{rule.title}. {rule.why}\n\n**Fix:** {rule.fix}\n"


if __name__ == "__main__":
    PAGE.write_text(page())
