"""`nitro-cli describe-enclaves`.

Measurements are the image's own in debug mode too, while a debug enclave attests zeros: issue #695
of aws-nitro-enclaves-cli. Source: v1.4.4, src/main.rs and src/common/json_output.rs: `inferred`.
"""

from __future__ import annotations

from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.enclaves import all_enclaves, ask, no_answers, pretty
from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.session import Session, within

_ONLY_WITH_METADATA = ("ImageName", "ImageVersion", "Metadata")


def run(session: Session, given: Given) -> int:
    """List the enclaves."""
    with within(action="Describe Enclave"):
        all_enclaves(session, "DescribeEnclave")
    session.info("src/main.rs:203", "Sent command: Describe")
    with_metadata = "metadata" in given
    answer = ask(session, "display", {"metadata": with_metadata})
    for failure in answer["failures"]:
        session.fail(Failure.from_json(failure))
    without = len(answer["failures"])
    if without:
        session.say(f"Failed connections: {without}")
    left_out = () if with_metadata else _ONLY_WITH_METADATA
    session.print(
        pretty(
            [
                {name: value for name, value in enclave.items() if name not in left_out}
                for enclave in answer["enclaves"]
            ]
        )
    )
    if without:
        raise no_answers(
            without, "Failed to handle all enclave process replies", action="Describe Enclave"
        )
    return 0
