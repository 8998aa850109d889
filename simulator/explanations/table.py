"""All explanations, in the order in which equally good ones are shown."""

from __future__ import annotations

from simulator.explanations import (
    allocator,
    authorization,
    boot,
    clients,
    documents,
    envelopes,
    host,
    keys,
    nitro_cli,
    recipient,
    requests,
    servers,
    systems_manager,
)
from simulator.explanations.model import Explanation

EXPLANATIONS: tuple[Explanation, ...] = (
    *recipient.EXPLANATIONS,
    *documents.EXPLANATIONS,
    *authorization.EXPLANATIONS,
    *keys.EXPLANATIONS,
    *requests.EXPLANATIONS,
    *servers.EXPLANATIONS,
    *clients.EXPLANATIONS,
    *envelopes.EXPLANATIONS,
    *boot.EXPLANATIONS,
    *nitro_cli.EXPLANATIONS,
    *allocator.EXPLANATIONS,
    *host.EXPLANATIONS,
    *systems_manager.EXPLANATIONS,
)

BY_ID = {explanation.id: explanation for explanation in EXPLANATIONS}
