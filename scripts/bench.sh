#!/bin/sh
# The figures of docs/benchmarks.md. Everything is measured side by side in
# one run: these are ratios and medians, not records. bench.sh [PART…]
set -eu
cd "$(dirname "$0")/.."
go=$(command -v go || echo /usr/local/go/bin/go)
n=${N:-10}
runs=$(mktemp -d)
trap 'rm -rf "$runs"; bin/gwlab sweep >/dev/null' EXIT
trap 'exit 130' HUP INT TERM
parts=${*:-build probe repair updown failover prefixes compare restart}
say() { printf '\n## %s\n' "$1"; }
gwlab() { bin/gwlab run --runs "$runs" --retry-invalid 3 "$@" 2>/dev/null | sed -n '/^SCENARIO/,$p'; }
median() { sort -n | awk -v what="$1" '{v[NR]=$1} END {printf "%s: median %.2f s, max %.2f s, n=%d\n", what, v[int((NR+1)/2)], v[NR], NR}'; }
gobench() { GWLAB_REQUIRE_ROOT=1 "$go" test -run '^$' "$@" | grep -v '^ok\|^PASS\|^goos\|^goarch\|^pkg\|^cpu'; }
bench=scripts/bench

for part in $parts; do
	case $part in
	build)
		say "a line of 200 nodes against one ip -batch run"
		gobench ./lab -bench Line -benchtime 1x -count 5
		;;
	probe)
		say "the probe against 30 known outages, idle and with 4 busy loops"
		gobench ./lab/probe -bench KnownOutages -benchtime 1x
		;;
	repair)
		say "a next hop taken out of the kernel's groups, by number of routes"
		gobench ./gateway/kernel -bench 'Fail$' -benchtime 200x
		;;
	updown)
		say "up of dual-isp until every session is up, and down: seconds"
		for _ in $(seq "$n"); do
			a=$(date +%s.%N); bin/gwlab up -t dual-isp >/dev/null 2>&1
			b=$(date +%s.%N); bin/gwlab down dual-isp >/dev/null 2>&1
			c=$(date +%s.%N); echo "$a $b $c"
		done >"$runs/updown"
		awk '{print $2-$1}' "$runs/updown" | median up
		awk '{print $3-$2}' "$runs/updown" | median down
		;;
	failover)
		say "gatewayd: cut and silent loss"
		gwlab --repeat "$n" UPLINK-01 UPLINK-02
		;;
	prefixes)
		for count in 1000 100000; do
			say "$count prefixes from each ISP"
			gwlab --repeat "$n" --set isp1.feed.ipv4=$count --set isp2.feed.ipv4=$count $bench/silent.scenario.yaml $bench/cut.scenario.yaml
		done
		;;
	compare)
		say "gatewayd, FRR and BIRD in turns on the same lab"
		gwlab --repeat "$n" --gateway gatewayd,frr,bird --set isp1.bgp.graceful-restart=false --set isp2.bgp.graceful-restart=false \
			$bench/silent.scenario.yaml $bench/cut.scenario.yaml $bench/killed.scenario.yaml
		;;
	restart)
		say "gatewayd killed and restarted"
		gwlab --repeat "$n" GATEWAY-04
		;;
	*) echo "unknown part $part: build probe repair updown failover prefixes compare restart" >&2; exit 2 ;;
	esac
done
