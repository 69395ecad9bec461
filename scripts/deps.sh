#!/bin/sh
# Installs the Debian packages the labs use, if they are missing. No daemon
# is started, now or at boot: the labs start their own, inside namespaces.
set -eu
want=""
[ -x /usr/lib/frr/bgpd ] || want="$want frr"
command -v bird >/dev/null 2>&1 || [ -x /usr/sbin/bird ] || want="$want bird2"
command -v ip >/dev/null 2>&1 || [ -x /usr/sbin/ip ] || want="$want iproute2"
command -v nft >/dev/null 2>&1 || [ -x /usr/sbin/nft ] || want="$want nftables"
command -v ping >/dev/null 2>&1 || want="$want iputils-ping"
[ -n "$want" ] || exit 0
command -v apt-get >/dev/null 2>&1 || { echo "missing:$want; install them with your package manager" >&2; exit 2; }
sudo=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || { echo "missing:$want; as root: apt-get install$want" >&2; exit 2; }
	sudo=sudo
fi
echo "installing:$want"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	# It must not stay: it would keep every package's services from starting.
	trap '$sudo rm -f "$policy"' EXIT
	trap 'exit 130' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
	$sudo chmod +x "$policy"
fi
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want >/dev/null
for package in $want; do
	case $package in
	frr) $sudo systemctl disable --quiet frr 2>/dev/null || true ;;
	bird2) $sudo systemctl disable --quiet bird 2>/dev/null || true ;;
	esac
done
