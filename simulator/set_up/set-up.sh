#!/bin/bash
# Makes an instance of Amazon Linux 2023 ready for Nitro Enclaves. Written by attested-kms user-data.
#
# At its first start:
#   aws ec2 run-instances --enclave-options Enabled=true --user-data file://THIS-FILE ...
# Later, as often as you like:
#   sudo bash THIS-FILE
#
# It stops at the first command that fails and says which. Its last line is "set-up: DONE"; as user
# data it writes to /var/log/cloud-init-output.log.
set -Eeuo pipefail

# (settings)

say() { echo "set-up: $*"; }
fail() {
    echo "set-up: FAILED: $*" >&2
    exit 1
}
trap 'echo "set-up: FAILED: line $LINENO, exit code $?: $BASH_COMMAND" >&2' ERR

# Neither user data nor SSM has a HOME, and without one nitro-cli build-enclave ends with E51.
export HOME="${HOME:-/root}"

[ "$(id -u)" = 0 ] || fail "only root can do this: sudo bash $0"
. /etc/os-release
[ "$ID $VERSION_ID" = "amzn 2023" ] ||
    fail "this is $PRETTY_NAME; the packages are those of Amazon Linux 2023"

# One unknown name, and dnf installs none of them. So there is no "|| true" here, and no
# aws-nitro-enclaves-allocator: the allocator is in aws-nitro-enclaves-cli.
say "packages: $PACKAGES"
# shellcheck disable=SC2086  # They are words.
dnf install -y $PACKAGES
command -v nitro-cli >/dev/null || fail "nitro-cli is not there, though dnf has ended well"

[ -e /dev/nitro_enclaves ] || fail "there is no /dev/nitro_enclaves: the instance was launched" \
    "without --enclave-options Enabled=true (or the driver is not loaded: modprobe nitro_enclaves)"

# The allocator is no YAML parser: the line --- must be there, and each key on a line of its own.
wanted=$(printf -- '---\nmemory_mib: %s\n%s' "$MEMORY_MIB" "$CPUS")
config=/etc/nitro_enclaves/allocator.yaml
allocator=nitro-enclaves-allocator.service
systemctl enable "$allocator"
if [ "$(cat "$config")" = "$wanted" ] && systemctl is-active --quiet "$allocator"; then
    say "allocator: as it is, $MEMORY_MIB MiB, $CPUS"
else
    # An enclave that was forgotten holds its CPUs, and the allocator then changes nothing.
    [ "$(nitro-cli describe-enclaves)" = "[]" ] ||
        fail "enclaves run, and the allocator is to change: nitro-cli terminate-enclave --all"
    say "allocator: $MEMORY_MIB MiB, $CPUS"
    printf '%s\n' "$wanted" >"$config"
    # A start does nothing where it has been started: what has been written since is not read.
    systemctl restart "$allocator" || {
        journalctl -u "$allocator" -n 20 --no-pager >&2
        fail "the allocator has not started; why is above"
    }
fi

# build-enclave asks Docker for images.
say "docker, and the groups of $ENCLAVE_USER"
systemctl enable --now docker.service
usermod -aG ne,docker "$ENCLAVE_USER"

# For scripts without HOME that are run by a login shell, bash -l.
cat >/etc/profile.d/nitro-cli-artifacts.sh <<'END'
if [ -z "${HOME:-}" ]; then
    export NITRO_CLI_ARTIFACTS="${NITRO_CLI_ARTIFACTS:-/var/tmp/nitro-cli-artifacts-$(id -u)}"
    mkdir -p "$NITRO_CLI_ARTIFACTS"
fi
END

say "$(nitro-cli --version), enclaves get CPUs $(cat /sys/module/nitro_enclaves/parameters/ne_cpus)"
say "DONE"
