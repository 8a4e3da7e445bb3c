#!/usr/bin/env bash
# A virtual machine whose kernel has OpenZFS, for machines whose own has not.
#
#   zfs-vm.sh build             fetch Debian's kernel and OpenZFS, build the modules (once; some minutes)
#   zfs-vm.sh run -- CMD...     run CMD as root in there, in this directory; its exit code
#
# The guest sees this machine's files, read only; what it writes goes to its memory and is lost with it. It has a blank
# disk /dev/vda1 for a pool, no network, OpenZFS' commands, and libzfs_core's directory in $PYTHON_PYZFS.
# What was built is kept in $ZFS_VM_CACHE (~/.cache/jupyterlab-casa/zfs-vm). Nothing is installed on this machine; see
# system-packages.sh zfs-vm for what has to be there.
# Environment: ZFS_VM_MEMORY=3072 (MiB), ZFS_VM_TIMEOUT=2400 (s), ZFS_VM_ACCEL=kvm|tcg (default: kvm if a guest boots)
set -euo pipefail
cache=${ZFS_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jupyterlab-casa/zfs-vm}
memory=${ZFS_VM_MEMORY:-3072}
release=bookworm
flavour=cloud-amd64 # the smallest Debian kernel that has virtiofs

say() { echo "[zfs-vm] $*" >&2; }
die() {
  say "$*"
  exit 3
}

# apt with lists of its own: the machine's sources stay as they are, and nothing needs root.
apt_own() {
  local command=$1
  shift
  "$command" -q -o Dir::Etc::sourcelist="$cache/apt/sources" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache" -o APT::Sandbox::User=root \
    -o Dir::State::status="$cache/apt/status" -o Debug::NoLocking=1 "$@"
}

build() {
  [ ! -e "$cache/complete" ] || return 0
  local started=$SECONDS uri kernel version headers keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null | awk -v r=$release '$1 == r { print $2; exit }')
  [ -n "$uri" ] || die "the virtual machine is made from Debian 12's packages; apt here knows none"
  rm -rf "$cache"
  mkdir -p "$cache"/apt/{lists,cache}/partial "$cache"/{debs,root,initrd/lib,initrd/bin}
  : >"$cache/apt/status"
  printf "deb [signed-by=$keyring] $uri %s main contrib\n" $release $release-backports >"$cache/apt/sources"
  apt_own apt-get update >"$cache/apt.log" 2>&1 || die "apt: $(tail -n 3 "$cache/apt.log")"
  kernel=$(apt_own apt-cache depends linux-image-$flavour | grep -m1 -oP 'Depends: linux-image-\K.*')
  version=$(apt_own apt-cache madison zfs-dkms | awk -F ' *[|] *' -v r=$release-backports/ '$3 ~ r { print $2; exit }')
  say "Debian's kernel $kernel and OpenZFS $version"
  (
    cd "$cache/debs"
    headers=linux-headers-$kernel
    # shellcheck disable=SC2046
    apt_own apt-get download linux-image-"$kernel" "$headers" busybox-static \
      $(apt_own apt-cache depends "$headers" | grep -oP 'Depends: \Klinux-(headers|kbuild)-\S+') \
      $(apt_own apt-cache depends "zfsutils-linux=$version" "python3-pyzfs=$version" |
        grep -oP 'Depends: \Klib(zfs|zpool|nvpair|uutil)\d+linux$' | sort -u | sed "s/\$/=$version/") \
      {zfs-dkms,zfsutils-linux,python3-pyzfs}="$version" >>"$cache/apt.log" 2>&1
    for deb in *.deb; do dpkg -x "$deb" "$cache/root"; done
  ) || die "could not fetch: $(tail -n 3 "$cache/apt.log")"
  # The headers name each other by absolute paths.
  local sources="$cache/root/usr/src"
  headers="$sources/linux-headers-$kernel"
  grep -rlI /usr/src --include=Makefile "$headers" | xargs -r sed -i "s|/usr/src|$sources|g"
  say "building the modules (some minutes)"
  (
    cd "$sources"/zfs-*/
    ./configure -q --with-config=kernel --with-linux="$sources/linux-headers-${kernel%-$flavour}-common" \
      --with-linux-obj="$headers"
    make -s -j"$(nproc)"
    for module in spl zfs; do
      strip --strip-debug -o "$cache/initrd/lib/$module.ko" "$(find . -name $module.ko | head -n 1)"
    done
  ) >"$cache/build.log" 2>&1 || die "the modules could not be built: $(tail -n 5 "$cache/build.log")"
  cp "$cache/root/boot/vmlinuz-$kernel" "$cache/vmlinuz"
  local modules="$cache/root/lib/modules/$kernel/kernel"
  cp "$modules"/drivers/virtio/virtio{,_ring,_pci_modern_dev,_pci_legacy_dev,_pci}.ko "$modules/drivers/block/virtio_blk.ko" \
    "$modules"/fs/fuse/{fuse,virtiofs}.ko "$modules/fs/overlayfs/overlay.ko" "$cache/initrd/lib/"
  cp "$cache/root/bin/busybox" "$cache/initrd/bin/"
  mkdir -p "$cache"/initrd/{proc,sys,dev,host,memory,new} "$cache/zfs"
  init >"$cache/initrd/init"
  chmod +x "$cache/initrd/init"
  (cd "$cache/initrd" && find . | cpio -o -H newc --quiet | gzip -1 >"$cache/initrd.gz")
  # Of all that was fetched the guest needs the user's part of OpenZFS.
  local part
  for part in sbin usr/sbin lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu usr/lib/python3; do
    [ ! -d "$cache/root/$part" ] || { mkdir -p "$cache/zfs/$part" && cp -a "$cache/root/$part/." "$cache/zfs/$part/"; }
  done
  # libzfs_core is found by way of ld.so's cache; the guest gets one that has it.
  { cat /etc/ld.so.conf.d/*.conf; echo "$cache/zfs/lib/x86_64-linux-gnu"; echo "$cache/zfs/usr/lib/x86_64-linux-gnu"; } \
    >"$cache/ld.so.conf"
  PATH=$PATH:/sbin:/usr/sbin ldconfig -X -f "$cache/ld.so.conf" -C "$cache/ld.so.cache" 2>/dev/null
  rm -rf "$cache"/{root,debs,apt,initrd}
  echo "$kernel, OpenZFS $version" >"$cache/complete"
  say "built in $((SECONDS - started)) s; $(du -sh "$cache" | cut -f1) in $cache"
}

# The guest's first process: loads the modules, lays a tmpfs over the host's files, and starts the job.
init() {
  cat <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc p /proc; $b mount -t sysfs s /sys; $b mount -t devtmpfs d /dev
for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk fuse virtiofs overlay spl zfs; do
  $b insmod /lib/$m.ko
done
$b mount -t virtiofs -o ro host /host
$b mount -t tmpfs -o size=60% t /memory; $b mkdir /memory/upper /memory/work
$b mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work o /new
$b mkdir -p /new/proc /new/sys /new/dev /new/run
$b mount -t tmpfs t /new/run; $b mkdir -p /new/run/zfs-vm /new/run/lock
$b mount -t virtiofs job /new/run/zfs-vm
for d in proc sys dev; do $b mount --move /$d /new/$d; done
$b mkdir -p /new/dev/shm /new/dev/pts; $b mount -t tmpfs t /new/dev/shm; $b mount -t devpts p /new/dev/pts
exec $b switch_root /new /run/zfs-vm/guest
INIT
}

guest() {
  cat <<GUEST
#!/bin/bash
cp '$cache/ld.so.cache' /etc/ld.so.cache
ip link set lo up 2>/dev/null
rm -f /etc/mtab; ln -s /proc/self/mounts /etc/mtab; mkdir -p /etc/zfs
chmod 666 /dev/zfs # what udev does where there is one
export HOME=/root TERM=dumb PYTHONDONTWRITEBYTECODE=1 PYTHON_PYZFS='$cache/zfs/usr/lib/python3/dist-packages'
export PATH='$cache/zfs/sbin:$cache/zfs/usr/sbin:$PATH:/usr/local/sbin:/usr/sbin:/sbin' PYTHONPATH='${PYTHONPATH:-}'
cd '$PWD'
$1 >/run/zfs-vm/console 2>&1 </dev/null
echo \$? >/run/zfs-vm/code
sync
echo o >/proc/sysrq-trigger
sleep 30
GUEST
}

# boot ACCEL SECONDS COMMAND: one life of the guest; what it printed is in $job/share/console, its exit code in .../code
boot() {
  local accel=$1 seconds=$2 name
  rm -rf "$job/share"
  mkdir "$job/share"
  touch "$job/share/console"
  guest "$3" >"$job/share/guest"
  chmod +x "$job/share/guest"
  rm -f "$job/disk"
  truncate -s 16G "$job/disk"
  # One partition: without udev zpool cannot make it itself.
  python3 - "$job/disk" <<'PYTHON'
import os, struct, sys
with open(sys.argv[1], "r+b") as disk:
    sectors = os.path.getsize(sys.argv[1]) // 512
    disk.seek(446)
    disk.write(struct.pack("<8sII", b"\0\xfe\xff\xff\x83\xfe\xff\xff", 2048, sectors - 2048))
    disk.seek(510)
    disk.write(b"\x55\xaa")
PYTHON
  local devices=() pids=()
  for name in host job; do
    local source=/ mode=always
    [ $name = host ] || { source="$job/share" mode=none; }
    rm -f "$job/$name.socket"
    /usr/lib/qemu/virtiofsd --socket-path="$job/$name.socket" -o source="$source" -o cache=$mode -o sandbox=chroot \
      -o xattr --thread-pool-size=2 >"$job/$name.log" 2>&1 &
    pids+=($!)
    devices+=(-chardev "socket,id=$name,path=$job/$name.socket" -device "vhost-user-fs-pci,chardev=$name,tag=$name")
  done
  for name in host job; do
    for _ in $(seq 100); do [ -S "$job/$name.socket" ] && break || sleep 0.1; done
  done
  tail -n +1 -f "$job/share/console" 2>/dev/null &
  local tail=$!
  timeout "$seconds" qemu-system-x86_64 -accel "$accel" -cpu max -smp "$(nproc)" -m "$memory" -machine q35 -nodefaults \
    -no-reboot -display none -object "memory-backend-memfd,id=memory,size=${memory}M,share=on" -numa node,memdev=memory \
    -kernel "$cache/vmlinuz" -initrd "$cache/initrd.gz" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on" -serial "file:$job/serial" \
    -drive "file=$job/disk,format=raw,if=virtio,cache=unsafe" "${devices[@]}" >"$job/qemu.log" 2>&1 || true
  sleep 0.5
  kill $tail "${pids[@]}" 2>/dev/null || true
  wait $tail "${pids[@]}" 2>/dev/null || true
}

# kvm, if a guest boots with it here (there are machines where it only hangs); remembered until the machine changes.
accel() {
  local here
  here=$(uname -nr)
  if [ -w /dev/kvm ] && ! grep -qxF "$here: tcg" "$cache/accel" 2>/dev/null; then
    if grep -qxF "$here: kvm" "$cache/accel" 2>/dev/null; then
      echo kvm
      return
    fi
    boot kvm 30 true >&2
    [ "$(cat "$job/share/code" 2>/dev/null)" != 0 ] || { echo "$here: kvm" >"$cache/accel" && echo kvm && return; }
    say "no guest boots with /dev/kvm here: it is emulated, which is about 20 times slower"
  fi
  echo "$here: tcg" >"$cache/accel"
  echo tcg,thread=multi
}

run() {
  [ -e "$cache/complete" ] || die "nothing is built yet: $0 build"
  [ "$(id -u)" -eq 0 ] || die "only root can share its files with a virtual machine"
  job=$(mktemp -d "${TMPDIR:-/tmp}/zfs-vm.XXXXXX")
  trap 'rm -rf "$job"' EXIT
  local how=${ZFS_VM_ACCEL:-} started=$SECONDS
  [ -n "$how" ] || how=$(accel)
  boot "$how" "${ZFS_VM_TIMEOUT:-2400}" "$(printf '%q ' "$@")"
  say "$(cat "$cache/complete") (${how%%,*}): $((SECONDS - started)) s"
  if [ ! -e "$job/share/code" ]; then
    tail -n 20 "$job/serial" "$job/qemu.log" "$job/host.log" >&2
    die "the virtual machine ended without an answer"
  fi
  exit "$(cat "$job/share/code")"
}

case ${1:-} in
  build) build ;;
  run)
    shift
    [ "${1:-}" != -- ] || shift
    run "$@"
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
