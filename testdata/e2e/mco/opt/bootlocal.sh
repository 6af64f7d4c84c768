#!/bin/sh
# Shows MCollective's own log on the serial console. The MCollective boot test puts it in the
# place of Tiny Core's empty /opt/bootlocal.sh. It starts nothing: mk-client does.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/null >/dev/ttyS0 2>&1
echo "MCO begin"
until [ -e /var/log/mcollective.log ]; do sleep 1; done
tail -n +1 -f /var/log/mcollective.log
