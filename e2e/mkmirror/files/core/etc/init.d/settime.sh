#!/bin/sh
# Sets the system clock from the hardware clock: UTC, or local time with the boot code noutc.
. /etc/init.d/tc-functions
[ -e /dev/rtc0 ] || exit 0
if bootflag noutc; then
	hwclock -l -s
else
	hwclock -u -s
fi
