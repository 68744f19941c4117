#!/usr/bin/env bash
# What `npm run test:lab` needs, on Debian and as root. Fast when all of it is there already.
#
# Postfix and Exim conflict as packages: both are "the" mail system of a host. So Postfix is
# installed, and Exim's package is unpacked into a folder of its own and run from there.
set -euo pipefail

exim_dir=/opt/mta-sts-lab/exim
packages=(
  bind9 bind9-dnsutils iproute2 nginx postfix unbound
  # What Exim's binary is linked with
  libdb5.3 libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
    grep -qx installed || missing+=("$package")
done
[ -x "$exim_dir/usr/sbin/exim4" ] || exim=missing
[ "${#missing[@]}" -gt 0 ] || [ "${exim:-}" = missing ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "test/lab/install.sh: needs root to install: ${missing[*]} ${exim:+exim4}" >&2
  exit 2
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
if [ "${#missing[@]}" -gt 0 ]; then
  echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ "${exim:-}" = missing ]; then
  download=$(mktemp -d)
  trap 'rm -rf "$download"' EXIT
  chmod 755 "$download"
  (cd "$download" && apt-get download -qq exim4-daemon-light 2>/dev/null)
  mkdir -p "$exim_dir"
  dpkg-deb -x "$download"/exim4-daemon-light_*.deb "$exim_dir"
  # The lab starts it as root; nobody else needs it
  chmod u-s "$exim_dir/usr/sbin/exim4"
fi
