#!/usr/bin/env bash
# s3-up.sh DIR PORT KEY SECRET: a one-node Ceph, all in memory, as an S3 server on 127.0.0.1. Pids: DIR/pids (the last is S3's).
set -euo pipefail
dir=$1 port=$2 key=$3 secret=$4
mkdir -p "$dir"/{mon,osd,run} && cd "$dir" && : >pids
fsid=$(cat /proc/sys/kernel/random/uuid) monitor="[v1:127.0.0.1:$((port + 10000))/0]"
cat >ceph.conf <<C
[global]
fsid = $fsid
mon host = $monitor
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
mon allow pool size one = true
mon max pg per osd = 1000
monmap = $dir/monmap
mon data = $dir/mon
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 1073741824
log file = $dir/\$name.log
admin socket = $dir/run/\$name.\$pid.asok
run dir = $dir/run
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
osd max object name len = 2048
osd max object namespace len = 256
paxos propose interval = 0.05
mon osd min in ratio = 0
rgw frontends = beast endpoint=127.0.0.1:$port
rgw crypt require ssl = false
rgw enable apis = s3
rgw enable usage log = false
rgw run sync thread = false
C
background() { "$@" >>"$1.out" 2>&1 & echo $! >>pids; }
# Each wait has an end: a step that hangs is asked again.
until_ok() { for _ in $(seq 60); do timeout 5 "$@" >/dev/null 2>&1 && return; sleep .1; done; echo "gave up: $*" >&2; exit 1; }

monmaptool --create --fsid "$fsid" --addv a "$monitor" monmap >/dev/null
ceph-mon -i a --mkfs --monmap monmap -c ceph.conf >/dev/null 2>&1
background ceph-mon -i a -c ceph.conf -f
until_ok ceph -c ceph.conf --connect-timeout 2 mon stat
osd=$(cat /proc/sys/kernel/random/uuid)
ceph-osd -i 0 --mkfs -c ceph.conf --osd-uuid "$osd" >/dev/null 2>&1
until_ok ceph -c ceph.conf osd new "$osd"
until_ok ceph -c ceph.conf osd crush add osd.0 1 root=default host=localhost
background ceph-osd -i 0 -c ceph.conf -f
until_ok bash -c "ceph -c ceph.conf osd stat | grep -q '1 up'"
background radosgw -c ceph.conf -n client.admin -f
for _ in 1 2 3 4 5; do
  timeout 20 radosgw-admin -c ceph.conf user create --uid=test --display-name=test --access-key="$key" --secret-key="$secret" >/dev/null 2>&1 && break
done
until_ok curl -s -o /dev/null "http://127.0.0.1:$port/"
