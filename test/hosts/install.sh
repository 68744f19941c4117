#!/usr/bin/env bash
# What `npm run test:hosts` needs, on Debian and as root. Fast when all of it is there already.
# Haraka and ZoneMTA themselves come from npm, by the run itself.
set -euo pipefail

packages=(iproute2 redis-server util-linux)

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
    grep -qx installed || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "test/hosts/install.sh: needs root to install: ${missing[*]}" >&2
  exit 2
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
