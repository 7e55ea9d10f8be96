#!/bin/sh
# Process 1 of a user-mode Linux whose root is the laboratory's folder: a workload on ext4 on a disk whose every write
# is logged. The kernel's command line says what: job=MODULE ARGUMENTS with commas for spaces, and mount options.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/lab HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
# shellcheck disable=SC2013  # words are what is wanted
for word in $(cat /proc/cmdline); do
    case $word in
        job=*) job=$(printf '%s' "${word#job=}" | tr , ' ') ;;
        options=*) options=${word#options=} ;;
    esac
done
# Debian keeps the modules of user-mode Linux apart from those of its other kernels.
mkdir -p /lib/modules
ln -sfn "/usr/lib/uml/modules/$(uname -r)" "/lib/modules/$(uname -r)"
for module in crc16 mbcache jbd2 ext4 dm_mod dm_log_writes; do modprobe "$module"; done
dmsetup create log --noudevsync --table "0 $(blockdev --getsz /dev/ubda) log-writes /dev/ubda /dev/ubdb"
dmsetup mknodes
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 -J size=4 /dev/mapper/log
mount -t ext4 -o "${options:-defaults}" /dev/mapper/log /mnt
dmsetup message log 0 mark begin
cd /lab || exit
# shellcheck disable=SC2086  # words of our own
/opt/gate/current/bin/python -m $job && echo "the workload is done"
dmsetup message log 0 mark end
umount -l /mnt
dmsetup remove --force log
echo o >/proc/sysrq-trigger
sleep 10
