#!/usr/bin/env bash
# Installs Chromium from Debian's packages, unless there is a browser that the site can be tried in.
# Where that cannot be, `make site-test` skips what needs one, and says so.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null || true
fi
command -v chromium >/dev/null || echo 'No Chromium, and no right to install it: pages are not tried.'
