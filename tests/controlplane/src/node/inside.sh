# The first process of a node: it has mounts and process numbers of its own, and whatever it starts ends with it.
# $1 the folder with configurations and image  $2 the cgroup  $3 the kubelet; the rest are the kubelet's flags
set -eu
dir=$1 cgroup=$2 kubelet=$3
shift 3

# Our own processes are children of the node's cgroup, so whoever ends it knows when all are gone.
for at in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ ! -d "$at$cgroup/node" ] || echo $$ >"$at$cgroup/node/cgroup.procs"
done
# crun refuses a hybrid of both versions.
[ ! -f /sys/fs/cgroup/unified/cgroup.procs ] || umount /sys/fs/cgroup/unified
# All that containerd and kubelet write lies in memory, and none of the machine's is seen.
for at in /run /var/lib /var/log; do
  mount -t tmpfs tmpfs "$at"
done

containerd --config "$dir/containerd.toml" >"$dir/containerd.log" 2>&1 &
until ctr version >/dev/null 2>&1; do
  kill -0 $! || { tail -n 5 "$dir/containerd.log"; exit 1; }
  sleep 0.1
done
ctr --namespace k8s.io images import --snapshotter native "$dir/image.tar"
# Not in place of this shell, which picks up orphans.
"$kubelet" "$@"
