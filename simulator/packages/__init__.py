"""The packages and units of a simulated parent instance: `dnf`, `rpm -q` and `systemctl`.

Only what the way to an enclave needs, so that a set-up script written for Amazon Linux 2023 runs,
and fails as it fails there. What is installed are files below the machine's `root/`; which packages
are, stands in the machine's `packages.json`. No package's own program is here, but for those that
the simulator has. Standard library only.

Evidence: what dnf says and how it ends is compared with dnf 4.14 on a repository with the same
names (tests/interop/test_dnf.py); Amazon Linux 2023 has a dnf 4 too. Which packages there are and
what they hold is read in the package's spec file, v1.4.4. systemctl is `inferred` throughout.
"""
