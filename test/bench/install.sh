#!/usr/bin/env bash
# What the benchmark `daemon` needs besides test/lab/install.sh, on Debian and as root.
set -euo pipefail

command -v mta-sts-daemon >/dev/null && exit 0
if [ "$(id -u)" != 0 ]; then
  echo 'test/bench/install.sh: needs root to install postfix-mta-sts-resolver' >&2
  exit 2
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postfix-mta-sts-resolver >/dev/null
