#!/bin/sh
# Tells on the serial console what a booted image really is. The boot tests put it in the place
# of Tiny Core's empty /opt/bootlocal.sh: bootsync.sh runs it when everything else is started.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root
exec </dev/null >/dev/ttyS0 2>&1

# check NAME EXPECTED COMMAND: one line, ok when the output matches the basic regular expression.
check() {
	out=$(eval "$3" 2>&1 | tr '\r\n\t' '   ')
	if echo "$out" | grep -q -e "$2"; then
		echo "PROBE ok $1: $(echo "$out" | cut -c1-100)"
	else
		echo "PROBE FAIL $1: $(echo "$out" | cut -c1-1000)"
	fi
}

# slow NAME EXPECTED COMMAND: a check that takes Ruby long, left out where /etc/probe-quick is and no kernel
# argument razor.fact.probe=NAME.
slow() {
	if [ ! -e /etc/probe-quick ] || grep -q "razor.fact.probe=$1" /proc/cmdline; then check "$@"; fi
}

echo
echo "PROBE begin $(cat /tmp/mk-version.yaml | tr '\n' ' ') on $(uname -r)"
echo "PROBE firmware $(test -d /sys/firmware/efi && echo UEFI || echo BIOS), arguments: $(cat /proc/cmdline)"
check release . 'cat /usr/share/doc/tc/release.txt'
check lscpu 'Architecture' 'lscpu'
check sfdisk 'util-linux' 'sfdisk --version'
check ruby '^ruby ' 'ruby -v'
slow facter 'Linux' 'facter kernel'
check gem-command 'facter' 'head -1 /usr/local/bin/facter; grep -c facter /usr/local/bin/facter >/dev/null && echo facter'
check bash '^/usr/local/bin/bash' 'readlink /bin/bash'
check bash-runs 'GNU bash' 'bash --version'
check startup-list '^gone' 'test -e /tmp/setup.lst && cat /tmp/setup.lst || echo gone'
check dmidecode . 'dmidecode -s bios-vendor'
check dmidecode-link '^/usr/local/sbin/dmidecode' 'readlink /usr/sbin/dmidecode'
check modules '^mptctl' 'modprobe mptctl && lsmod | grep ^mptctl' # of the scsi extension, through depmod at boot
series=$(cut -d. -f1 /usr/share/doc/tc/release.txt | head -n 1)
check tmp-mode "^1777 0:$([ "$series" = 8 ] && echo 50 || echo 0) " "stat -c '%a %u:%g' /tmp"
check opt-mode '^2775 0:50' "stat -c '%a %u:%g' /opt"
check root-mode '^755 0:0' "stat -c '%a %u:%g' /"
check shadow-mode '^640' "stat -c '%a' /etc/shadow"
check passwords '^all locked' "grep -v '^[^:]*:[*!]' /etc/shadow || echo all locked"
check null-device '^1:3' "stat -c '%t:%T' /dev/null"
check hostname '^box' 'hostname'
[ "$series" = 15 ] || check lshw 'product\|description\|core' 'lshw -quiet -C processor'
if [ -e /bin/busybox.suid ]; then # since 5.2
	slow gem-list 'facter.*hocon.*thor' 'gem list --local'
	check own-rubygems '^/usr/local/lib/ruby/[0-9.]*/rubygems.rb' "ruby -e 'puts \$LOADED_FEATURES.grep(/rubygems.rb/)'"
	check suid '^4755 0:0' "stat -c '%a %u:%g' /bin/busybox.suid"
	check util-linux-whole 'util-linux' 'lsblk --version'
	check os-release 'ID=' 'cat /etc/os-release'
	check no-mcollective '^none' 'ls /usr/local/mcollective 2>/dev/null || echo none'
else
	check lscpu-link '/tmp/tcloop/util-linux/usr/local/bin/lscpu' 'readlink /usr/local/bin/lscpu'
	check util-linux-rest '^none' 'ls /usr/local/bin/dmesg /usr/local/bin/mount /usr/local/sbin/fdisk 2>/dev/null | grep . || echo none'
	slow gem-list 'daemons.*facter.*json_pure.*stomp' 'gem list --local'
	slow mcollectived 'config' 'RUBYLIB=/usr/local/mcollective/lib mcollectived --help'
	check server.cfg '^640 0:0' "stat -c '%a %u:%g' /usr/local/etc/mcollective/server.cfg"
fi
echo "PROBE sshd $(pidof sshd >/dev/null && echo running || echo not running); installed: $(ls /usr/local/sbin/sshd 2>/dev/null || echo no)"
echo "PROBE console $(grep -c getty /etc/inittab) login lines"
echo "PROBE hostkeys $(ls /usr/local/etc/ssh/ssh_host_*_key 2>/dev/null | wc -l)"
echo "PROBE done"
