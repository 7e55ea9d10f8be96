#!/bin/sh
# Makes the emulated PC look like a Pi to whoever asks for pins: a chip with the label of a Pi 4's, which is not the first
# one, and the revision of a Pi 4 in /proc/cpuinfo, from which gpiozero knows the board.
set -eu
for module in configfs gpio-sim watchdog i6300esb; do insmod "/usr/lib/modules/lab/$module.ko" 2>/dev/null || :; done
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
chip() {
    mkdir -p "/sys/kernel/config/gpio-sim/$1/bank0"
    echo "$3" >"/sys/kernel/config/gpio-sim/$1/bank0/num_lines"
    echo "$2" >"/sys/kernel/config/gpio-sim/$1/bank0/label"
    echo 1 >"/sys/kernel/config/gpio-sim/$1/live"
}
chip other an-expander 8
chip pi pinctrl-bcm2711 58
# The technician's button joins its pin to ground; nobody presses it.
config=/sys/kernel/config/gpio-sim/pi
echo pull-up >"/sys/devices/platform/$(cat "$config/dev_name")/$(cat "$config/bank0/chip_name")/sim_gpio26/pull"
{ cat /proc/cpuinfo; printf 'Hardware\t: BCM2835\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n'; } >/run/cpuinfo
mount --bind /run/cpuinfo /proc/cpuinfo
