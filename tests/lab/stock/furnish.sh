#!/bin/sh
# furnish.sh: run inside a Debian folder that holds Lite's packages; gives it Raspberry Pi OS's own settings and the state of
# its first boot, as pi-gen, rpi-cloud-init-mods and raspberrypi-sys-mods leave them. Nothing of the gate is in it.
set -eu
put() { mkdir -p "$(dirname "$1")"; cat >"$1"; chmod "${2:-644}" "$1"; }

echo raspberrypi >/etc/hostname
printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t\traspberrypi\n' >/etc/hosts
put /etc/fstab <<'F'
proc            /proc           proc    defaults          0       0
LABEL=bootfs  /boot/firmware  vfat    defaults          0       2
LABEL=rootfs  /               ext4    defaults,noatime  0       1
F
mkdir -p /boot/firmware
id pi >/dev/null 2>&1 || adduser --quiet --disabled-login --gecos "" pi
for group in input spi i2c gpio; do groupadd -f -r $group; done
for group in adm dialout cdrom audio users sudo video games plugdev input gpio spi i2c netdev render; do adduser --quiet pi $group; done
usermod --pass='*' root
for unit in ssh.service ssh.socket apt-listchanges.timer systemd-networkd.service systemd-networkd.socket \
    systemd-networkd-wait-online.service rsync.service; do
    systemctl -q disable $unit 2>/dev/null || :
done
systemctl -q enable systemd-timesyncd NetworkManager
rm -f /etc/ssh/ssh_host_*_key*

# raspberrypi-sys-mods: host keys at the first boot, the journal in memory, radios off
put /usr/lib/systemd/system/regenerate_ssh_host_keys.service <<'F'
[Unit]
Description=Regenerate SSH host keys
Before=ssh.service
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
ExecStartPost=/usr/bin/systemctl disable regenerate_ssh_host_keys
[Install]
WantedBy=multi-user.target
F
systemctl -q enable regenerate_ssh_host_keys
printf '[Journal]\nStorage=volatile\n' | put /usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf
echo 'options rfkill default_state=0' | put /etc/modprobe.d/rfkill_default.conf
printf '[main]\nWirelessEnabled=false\n' | put /var/lib/NetworkManager/NetworkManager.state

# The machine's id is "uninitialized", so systemd applies presets; Debian's would enable ssh, which Raspberry Pi OS does not
echo 'disable *' | put /usr/lib/systemd/system-preset/00-rpi.preset
ln -sf /dev/null /etc/systemd/network/99-default.link
install -m 755 -d /var/lib/systemd/timesync
touch -d "2026-06-16 12:00 UTC" /var/lib/systemd/timesync/clock

# rpi-cloud-init-mods: where the seed lies, wait for the boot partition, NetworkManager through netplan
put /etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg <<'F'
datasource_list: [ NoCloud, None ]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware
ssh:
  emit_keys_to_console: false
no_ssh_fingerprints: true
ssh_deletekeys: false
ssh_genkeytypes: []
F
printf '[Unit]\nRequiresMountsFor=/boot/firmware\n' | put /usr/lib/systemd/system/cloud-init-main.service.d/41-rpi-firmware-mount.conf
sed -i '/^After=systemd-networkd-wait-online.service/d' /usr/lib/systemd/system/cloud-init-network.service
printf 'network:\n  version: 2\n  renderer: NetworkManager\n' | put /lib/netplan/00-network-manager-all.yaml 600

# cloud-init's variant raspberry-pi-os, which upstream has since 25.2 and Debian 13's 25.1 has not
python3 - <<'F'
import pathlib, re
path = pathlib.Path("/etc/cloud/cloud.cfg")
text = path.read_text()
for module in (" - growpart\n", " - resizefs\n", " - grub-dpkg\n"):
    text = text.replace(module, "")
user = """   default_user:
     name: pi
     lock_passwd: True
     gecos: Raspberry Pi OS
     groups: [adm, dialout, cdrom, audio, users, sudo, video, games, plugdev, input, gpio, spi, i2c, netdev, render, lpadmin]
     sudo: ["ALL=(ALL) NOPASSWD:ALL"]
     shell: /bin/bash
   network:
     renderers: ['netplan', 'network-manager']
     activators: ['netplan', 'network-manager']
"""
path.write_text(re.sub(r"   default_user:\n.*?(?=   # Other config)", user, text, flags=re.S))
distro = pathlib.Path("/usr/lib/python3/dist-packages/cloudinit/distros/debian.py")
with distro.open("a") as file:
    file.write('''

_Debian = Distro


class Distro(_Debian):
    def generate_fallback_config(self):
        return None

    def add_user(self, name, **kwargs):
        made = super().add_user(name, **kwargs)
        if made:
            subp.subp(["/usr/bin/rename-user", "-f", "-s"], update_env={"SUDO_USER": name})
        return made
''')
F
# shellcheck disable=SC2016  # meant for the shell that it becomes
printf '#!/bin/sh\necho "rename-user $* for $SUDO_USER" >>/var/log/lab-rename-user\n' | put /usr/bin/rename-user 755

# The laboratory's own: the journal on the second serial port, a root shell on the third, a light and a radio
put /etc/systemd/system/lab-journal.service <<'F'
[Unit]
DefaultDependencies=no
After=systemd-journald.service
[Service]
ExecStart=/usr/bin/journalctl --follow --no-tail --output=short-monotonic
StandardOutput=file:/dev/ttyS1
Restart=always
[Install]
WantedBy=sysinit.target
F
put /etc/systemd/system/lab-shell.service <<'F'
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/python3 /usr/local/sbin/lab-shell
Restart=always
[Install]
WantedBy=sysinit.target
F
put /usr/local/sbin/lab-shell 755 <<'F'
# A line is a number and a shell command in base64; the answer is the number, the exit code and what was said, in base64.
import base64, os, subprocess, tty
port = os.open("/dev/ttyS2", os.O_RDWR | os.O_NOCTTY)
tty.setraw(port)
line = b""
while True:
    byte = os.read(port, 1)
    if byte not in b"\r\n":
        line += byte
        continue
    words, line = line.split(), b""
    if len(words) != 2:
        continue
    try:
        done = subprocess.run(["/bin/sh", "-c", base64.b64decode(words[1])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280)
        code, out = done.returncode, done.stdout[-60000:]
    except Exception as error:
        code, out = 255, repr(error).encode()
    os.write(port, b"LAB %s %d %s\n" % (words[0], code, base64.b64encode(out)))
F
systemctl -q enable lab-journal lab-shell
mkdir -p /var/lib/lab/frames
printf '[Service]\nEnvironment=GATE_LED=input0::scrolllock\n' | put /etc/systemd/system/gate-first-boot.service.d/lab.conf
echo mac80211_hwsim | put /etc/modules-load.d/lab.conf
echo 'options mac80211_hwsim radios=1' | put /etc/modprobe.d/lab.conf

rm -f /var/lib/dbus/machine-id /etc/resolv.conf
echo uninitialized >/etc/machine-id
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
