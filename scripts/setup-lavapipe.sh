#!/usr/bin/env bash
# Installs Mesa's lavapipe (a software Vulkan driver) of version 25 or newer on Debian 12, whose own Mesa is too old
# for Dawn. Adds the backports suite of the mirror that this machine already uses. Does nothing where Mesa is new
# enough.
set -euo pipefail

oldest=25
suite=bookworm-backports
sources=/etc/apt/sources.list.d/ld3m-backports.sources

fail() {
  printf 'setup-lavapipe: %s\n' "$@" >&2
  exit 1
}

installed_mesa() {
  dpkg-query --show --showformat '${db:Status-Status} ${Version}' mesa-vulkan-drivers 2>/dev/null |
    sed -n 's/^installed \(.*\)$/\1/p' || true
}

new_enough() {
  local major=${1%%.*}
  [[ $major =~ ^[0-9]+$ ]] && ((major >= oldest))
}

# "repository|suite|file:place" of every binary source with the suite $1; apt itself parses both formats.
entries_of() {
  apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(SOURCESENTRY)' \
    'Created-By: Packages' 'Component: main' | awk -F'|' -v suite="$1" '$2 == suite'
}

# What indextargets does not tell: how the source in file $1 at place $2 for the repository $3 is trusted, as
# deb822 fields. A key may be a file name or stand in the source itself, over several lines.
trust_of() {
  if [[ $1 == *.sources ]]; then
    awk -v RS= -v repository="${3%/}" '
      !done && index($0, repository) && /(^|\n)Suites:([^\n]*[ \t])?bookworm([ \t\n]|$)/ {
        done = 1
        count = split($0, lines, "\n")
        for (i = 1; i <= count; i++) {
          if (lines[i] !~ /^[ \t#]/) wanted = lines[i] ~ /^(Signed-By|Trusted):/
          if (wanted) print lines[i]
        }
      }' "$1"
  else
    sed -n "${2}p" "$1" | sed -n \
      -e 's/^[^#[]*\[[^]#]*signed-by=\([^] ]*\).*/Signed-By: \1/p' \
      -e 't' \
      -e 's/^[^#[]*\[[^]#]*trusted=yes.*/Trusted: yes/p'
  fi
}

add_backports() {
  local entry mirror place
  entry=$(entries_of bookworm | sed -n 1p)
  [[ -n $entry ]] || fail "apt has no source for the suite 'bookworm' from which to take the mirror." \
    "Add one, or add $suite yourself, and run this again."
  IFS='|' read -r mirror _ place <<<"$entry"
  {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$mirror" "$suite"
    trust_of "${place%:*}" "${place##*:}" "$mirror"
  } >"$sources"
  echo "setup-lavapipe: added $suite in $sources"
}

mesa=$(installed_mesa)
if new_enough "$mesa"; then
  echo "setup-lavapipe: Mesa $mesa is installed; nothing to do."
  exit 0
fi

. /etc/os-release 2>/dev/null || fail 'cannot read /etc/os-release; this script knows Debian 12 only.'
[[ ${ID:-} == debian && ${VERSION_ID:-} == 12 ]] ||
  fail "this is ${PRETTY_NAME:-an unknown system}; this script knows Debian 12 only." \
    "Install your system's lavapipe (Debian and Ubuntu: mesa-vulkan-drivers), version $oldest or newer."
((EUID == 0)) || fail "Mesa is ${mesa:-not installed} and installing $oldest needs root; run this with sudo." \
  'Without root, the library falls back to SwiftShader by itself.'

[[ -n $(entries_of "$suite") ]] || add_backports
apt-get update || fail "apt-get update failed; see above. If the mirror has no $suite, remove $sources."
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --target-release "$suite" \
  mesa-vulkan-drivers libvulkan1 || fail 'apt-get could not install mesa-vulkan-drivers; see above.'

mesa=$(installed_mesa)
new_enough "$mesa" || fail "the mirror's $suite gave Mesa ${mesa:-nothing}, which is older than $oldest."
echo "setup-lavapipe: Mesa $mesa is installed."
