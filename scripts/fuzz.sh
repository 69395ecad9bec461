#!/bin/sh
# Runs every fuzz target for a while: fuzz.sh 10s
set -eu
time=${1:-10s}
go=$(command -v go || echo /usr/local/go/bin/go)
git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | while read -r file; do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzz $(dirname "$file") $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"
	done
done
