"""The commands of `attested-kms ssm`, one module each, as `simulator.commands.eif_commands`."""
