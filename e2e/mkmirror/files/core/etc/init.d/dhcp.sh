#!/bin/sh
# Asks for an address on every wired interface, in the background.
. /etc/init.d/tc-functions
for dev in $(awk -F: '/eth|enp|ens/ {gsub(" ", "", $1); print $1}' /proc/net/dev); do
	ifconfig "$dev" up
	udhcpc -b -i "$dev" -x hostname:"$(hostname)" -s /usr/share/udhcpc/default.script \
		-p "/var/run/udhcpc.$dev.pid" >/dev/null 2>&1 &
done
wait
