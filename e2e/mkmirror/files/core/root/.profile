# The autologin comes in as root; unless the boot code superuser was given, it goes on as the user.
if [ -f /etc/sysconfig/newbooting ]; then
	rm -f /etc/sysconfig/newbooting
	exec su - "$(cat /etc/sysconfig/tcuser)"
fi
