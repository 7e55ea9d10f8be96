#!/bin/sh
# Runs once, at the first boot, from the card. Installs the gate's package if the card carries one, removes every copy of
# what was secret, and lets the gate enrol. GATE_ROOT is for tests.
set -eu

root=${GATE_ROOT:-}
boot=$root/boot/firmware

for package in "$boot"/gate/*.deb; do
    [ -e "$package" ] || continue
    apt-get install --yes --no-download "$package"
    rm -f "$package"
done

# Passwords and keys are in these; the instance's id stays, so that nothing runs again.
printf '#cloud-config\n{}\n' >"$boot/user-data"
printf 'version: 2\n' >"$boot/network-config"
rm -f "$boot/firstrun.sh"
find "$root/var/lib/cloud/instances" "$root/var/lib/cloud/seed" "$root/run/cloud-init" -type f \
    \( -name 'user-data*' -o -name 'vendor-data*' -o -name 'cloud-config*' -o -name 'network-config*' \
    -o -name 'obj.pkl' -o -name 'instance-data*' -o -name 'part-*' \) -exec rm -f {} + 2>/dev/null || :
sync

systemctl daemon-reload
systemctl enable --now --no-block gate-enrol.service
