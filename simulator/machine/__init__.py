"""The simulated parent instance: its CPUs, huge pages and driver, its allocator, its enclaves.

One broker process per machine holds what outlives a command, boots enclaves through the supervisor
and answers `nitro-cli` (`simulator.nitro_cli.connection` has the protocol). It runs outside of
every supervised tree, for the kernel allows one supervisor per tree: a script that itself runs
supervised asks it to boot, and never boots.
"""
