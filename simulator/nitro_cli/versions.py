"""The versions of nitro-cli that are simulated, and what they print differently.

Read in the sources of v1.4.4 and v1.5.0: `inferred`. Beside `HASH_ALGORITHMS` the newer one says
more when an image cannot be pulled or built, and builds none that it cannot sign
(`simulator.nitro_cli.build`).
"""

from __future__ import annotations

VERSIONS = ("1.4.4", "1.5.0")
"""The first is the default."""

HASH_ALGORITHMS = {"1.4.4": "Sha384 { ... }", "1.5.0": "Sha512_48 { .. }"}
"""`HashAlgorithm` by version: how Rust's sha2 0.9 and 0.10 show themselves."""
